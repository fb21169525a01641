"""Gapless: keeps a date-partitioned data pipeline complete. The story starts in `gapless.engine`."""

__version__ = "0.1.0"
