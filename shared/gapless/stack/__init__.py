"""The whole system on one machine: warehouse, Pub/Sub, functions, and the clock of the scheduler."""
