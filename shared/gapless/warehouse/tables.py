"""Tables as they are declared."""

from __future__ import annotations

from gapless.declare.processor import Column, Processor
from gapless.warehouse.names import quoted
from gapless.warehouse.template import Template

_MOST_CLUSTERED = 4  # columns that BigQuery takes
_CREATE = Template("""
CREATE TABLE IF NOT EXISTS {table} (
  {columns}
)
PARTITION BY {day}
{cluster}
""")


def create_table(processor: Processor) -> str:
    """The table of a processor, partitioned by its date and clustered by its key."""
    columns = [_declared(column) for column in processor.columns.values()]
    columns += [f"{name} {kind}" for name, kind in processor.engine_columns.items()]
    clustered = _clustered_by(processor)
    return _CREATE.fill(
        table=quoted(processor.table),
        columns=",\n  ".join(columns),
        day=processor.date_column,
        cluster=f"CLUSTER BY {', '.join(clustered)}" if clustered else "",
    )


def _declared(column: Column) -> str:
    return f"{column.name} {column.type}{' NOT NULL' if column.required else ''}"


def _clustered_by(processor: Processor) -> list[str]:
    """The first columns of the key; BigQuery cannot cluster by every type."""
    columns = [column for column in map(processor.columns.get, processor.key) if column]
    fit = [column.name for column in columns if not column.type.startswith("FLOAT")]
    return [name for name in fit if name != processor.date_column][:_MOST_CLUSTERED]
