"""Starts phase 5 for dates whose phase 4 is there."""

from gapless.functions.phase4_to_phase5 import phase4_to_phase5

__all__ = ["phase4_to_phase5"]
