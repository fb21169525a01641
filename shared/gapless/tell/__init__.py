"""Tell: alerts, the memory of what was told, and the channels that carry it."""
