"""Questions about a look: they read, and change nothing. Whatever changes something is a task."""
