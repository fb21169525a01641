"""Names in SQL."""

from __future__ import annotations


def quoted(table: str) -> str:
    return f"`{table}`"
