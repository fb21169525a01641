"""Starts phase 5 for dates whose phase 4 is there."""

from gapless.functions.transition import transition

phase4_to_phase5 = transition("phase4_to_phase5", 5)
