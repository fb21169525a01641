"""What should be there, and in which project and region the commands that mend it work."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gapless import ledger
from gapless.declare.catalogue import Catalogue
from gapless.declare.pipeline import Pipeline
from gapless.doctor.facts import Table, TableColumn
from gapless.warehouse.tables import create_table

# The only role of the project that a function's account has, as in terraform/accounts.tf.
PROJECT_ROLE = "roles/bigquery.jobUser"


@dataclass(frozen=True)
class DeliveryRules:
    """How a message is pushed to a function, as in terraform/subscriptions.tf."""

    ack_seconds: int = 600  # also how long a push may take
    retry_seconds: tuple[int, int] = (10, 600)  # least and most
    attempts: int = 20  # then it is a dead letter


DELIVERY = DeliveryRules()


@dataclass(frozen=True)
class Declared:
    """What should be there, and in which project and region the commands that mend it work."""

    catalogue: Catalogue
    pipeline: Pipeline
    project: str
    place: str = ""  # the options that choose the warehouse, for commands that are printed
    emulator: str = ""  # address of the Pub/Sub emulator's REST interface; empty on Google Cloud


def declared_tables(pipeline: Pipeline) -> dict[str, Table]:
    """Every table of the pipeline and its ledger, read from the statements that create them."""
    found = {p.table: parse_table(create_table(p)) for p in pipeline.processors.values()}
    for name, declared in ledger.TABLES.items():
        columns = {column.name: TableColumn(column.type, column.required) for column in declared.columns.values()}
        found[ledger.table(pipeline.ledger, name)] = Table(columns, declared.partition, declared.cluster)
    return found


def declared_datasets(pipeline: Pipeline) -> list[str]:
    """Every dataset with a table or view of the pipeline, and the one for what is staged."""
    names = {name.partition(".")[0] for name in (*declared_tables(pipeline), *pipeline.views.values())}
    return sorted(names | {pipeline.staging})


def parse_table(statement: str) -> Table:
    """The table that a CREATE TABLE of ours makes."""
    body, _, after = statement[statement.index("(") + 1 :].rpartition("\n)")
    columns = {}
    for text in re.split(r",(?![^(]*\))", body):  # not the comma in NUMERIC(5, 2)
        name, kind, *rest = text.split()
        columns[name] = TableColumn(kind, rest[:2] == ["NOT", "NULL"])
    partition, cluster = re.search(r"PARTITION BY (\w+)", after), re.search(r"CLUSTER BY ([\w, ]+)", after)
    clustered = tuple(name.strip() for name in cluster[1].split(",")) if cluster else ()
    return Table(columns, partition[1] if partition else "", clustered)


def declared_topics(catalogue: Catalogue) -> list[str]:
    """Every topic that a function listens or publishes to."""
    used = (topic for f in catalogue.functions.values() for topic in (*f.topics, *f.publishes))
    return sorted({*catalogue.topics, *used})
