"""What tests share beside fixtures (`tests/conftest.py`)."""
