"""Starts phase 4 for dates whose phase 3 is there."""

from gapless.functions.transition import transition

phase3_to_phase4 = transition("phase3_to_phase4", 4)
