"""python -m deploy.ledger: the ledger's tables as Terraform reads them, written into terraform/ledger.yaml."""

from __future__ import annotations

from pathlib import Path

from gapless.ledger.tables import TABLES, LedgerTable

FILE = Path(__file__).resolve().parents[1] / "terraform" / "ledger.yaml"
_HEAD = """\
# The ledger's tables, from gapless/ledger/tables.py. Made by: python -m deploy.ledger
#
# columns: name TYPE [required]
"""


def text() -> str:
    """The whole file."""
    return "\n".join([_HEAD, *map(_table, TABLES.values())])


def _table(declared: LedgerTable) -> str:
    lines = [f"# {declared.holds}", f"{declared.name}:", "  columns:"]
    for column in declared.columns.values():
        lines.append(f"    - {column.name} {column.type}{' required' if column.required else ''}")
    if declared.partition:
        lines.append(f"  partition: {declared.partition}")
    lines.append(f"  cluster: [{', '.join(declared.cluster)}]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
