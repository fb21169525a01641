"""The shipped pipeline, and the only place that knows basketball: declaration, SQL, files, seasons."""
