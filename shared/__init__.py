"""Gapless: keeps a date-partitioned data pipeline complete. The story starts in `shared.engine`."""
