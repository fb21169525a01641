"""Starts phase 6 for dates whose phase 5 is there."""

from gapless.functions.transition import transition

phase5_to_phase6 = transition("phase5_to_phase6", 6)
