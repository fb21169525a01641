"""Starts phase 3 for dates whose phase 2 is there."""

from gapless.functions.phase2_to_phase3 import phase2_to_phase3

__all__ = ["phase2_to_phase3"]
