"""The subcommands of `gapless report`, and how reports are printed."""
