"""The embedded warehouse, for a laptop and the tests. Not deployed."""
