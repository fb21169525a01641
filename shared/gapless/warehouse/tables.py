"""Tables as they are declared."""

from __future__ import annotations

from gapless.declare.processor import Processor
from gapless.warehouse.names import quoted


def create_table(processor: Processor) -> str:
    """The table of a processor, partitioned by its date and clustered by its key."""
    columns = [f"{c.name} {c.type}{' NOT NULL' if c.required else ''}" for c in processor.columns.values()]
    columns += [f"{name} {kind}" for name, kind in processor.engine_columns.items()]
    # at most four columns, and none of a type that BigQuery cannot cluster by
    fit = (c for c in map(processor.columns.get, processor.key) if c and not c.type.startswith("FLOAT"))
    cluster = [c.name for c in fit if c.name != processor.date_column][:4]
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(processor.table)} (\n  " + ",\n  ".join(columns) + "\n)\n"
        f"PARTITION BY {processor.date_column}" + (f"\nCLUSTER BY {', '.join(cluster)}" if cluster else "")
    )
