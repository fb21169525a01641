"""The `gapless` command: one module per subcommand, which asks, calls, and shows. Nothing is decided here. Not deployed."""
