"""The reports of `gapless report`, and how reports are printed."""
