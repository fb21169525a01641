"""Starts phase 6 for dates whose phase 5 is there."""

from gapless.functions.phase5_to_phase6 import phase5_to_phase6

__all__ = ["phase5_to_phase6"]
