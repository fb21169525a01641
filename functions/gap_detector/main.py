"""Looks at all dates once a day: heals what is recent, tells people of the rest, and writes the daily report."""

from gapless.functions.gap_detector import gap_detector

__all__ = ["gap_detector"]
