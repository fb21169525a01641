"""What the deployed functions do, between HTTP and the engine; `functions/<name>/main.py` takes it from here."""
