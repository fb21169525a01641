"""Names in SQL, one by one and as lists."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(table: str) -> str:
    return f"`{table}`"


def listed(names: Iterable[str], alias: str = "") -> str:
    """The columns of an alias, or of no one, with commas between them."""
    return ", ".join(f"{alias}.{name}" if alias else name for name in names)


def same(names: Iterable[str], left: str, right: str) -> str:
    """The condition that two aliases agree in every one of these columns."""
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)
