"""The `gapless` command: one module per subcommand, which asks, calls and shows; nothing is decided here."""
