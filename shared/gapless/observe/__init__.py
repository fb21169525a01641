"""Observe: one query sees every target in scope, what these read, the calendar and the ledger."""
