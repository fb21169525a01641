"""What can be typed: every command with its options and its help. What it does is in the module that it names."""
