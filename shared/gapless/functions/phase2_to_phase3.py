"""Starts phase 3 for dates whose phase 2 is there."""

from gapless.functions.transition import transition

phase2_to_phase3 = transition("phase2_to_phase3", 3)
