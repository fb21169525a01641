"""Runs one processor for a batch of dates, if these still ask for it when the tables are looked at again."""

from gapless.functions.run_processor import run_processor

__all__ = ["run_processor"]
