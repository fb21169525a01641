"""The views that people query, over the datasets' own names."""

from __future__ import annotations

from collections.abc import Mapping

from gapless.ledger.tables import OUTCOMES, REPORTED_RUNS, table
from gapless.warehouse.names import quoted
from gapless.warehouse.template import Template, template

VIEWS: Mapping[str, Template] = {
    name: template(__file__, name) for name in ("processing_metadata", "precompute_failures", "processor_run_history")
}


def view_body(dataset: str, view: str) -> str:
    """The SELECT of one of `VIEWS`."""
    body = VIEWS[view]
    tables = {"outcomes": OUTCOMES, "reported_runs": REPORTED_RUNS}
    return body.fill(**{hole: quoted(table(dataset, tables[hole].name)) for hole in body.holes})
