"""Starts phase 4 for dates whose phase 3 is there."""

from gapless.functions.phase3_to_phase4 import phase3_to_phase4

__all__ = ["phase3_to_phase4"]
