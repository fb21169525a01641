"""The views that people query, over the datasets' own names."""

from __future__ import annotations

from collections.abc import Mapping

from gapless.declare.words import Counted
from gapless.ledger.tables import OUTCOMES, REPORTED_RUNS, table
from gapless.warehouse.names import quoted
from gapless.warehouse.template import Template, template

VIEWS: Mapping[str, Template] = {
    "processing_metadata": template(__file__, "processing_metadata"),
    "precompute_failures": template(__file__, "precompute_failures"),
    "processor_run_history": template(__file__, "processor_run_history"),
}


_NEUTRAL = Counted()


def view_body(dataset: str, view: str, counted: Counted = _NEUTRAL) -> str:
    """The SELECT of one of `VIEWS`, its counts under the names that the pipeline declares."""
    body = VIEWS[view]
    names = {
        "outcomes": quoted(table(dataset, OUTCOMES.name)),
        "reported_runs": quoted(table(dataset, REPORTED_RUNS.name)),
        "expected_count": counted.expected_count,
        "actual_count": counted.actual_count,
    }
    return body.fill(**{hole: names[hole] for hole in body.holes})
