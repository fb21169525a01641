"""Which of two sources a run was made from, as it is logged and stored."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapless.model import Target
from tests.conftest import Shop
from tests.functions.conftest import Call, push

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 4)
NEXT = FIRST + timedelta(days=1)


@pytest.fixture
def either(chain: Shop, tmp_path: Path) -> Shop:
    """The shop whose standing is made from the forecast where that has enough branches, else from the revenue."""
    chain.built(FIRST, LAST)
    upstream = {
        "revenue": {"own_day": True, "lookback_days": 2},
        "forecast": {"own_day": True, "fallback": "revenue"},
    }
    return chain.variant(tmp_path, change={"standing": {"upstream": upstream}})


def run(call: Call, shop: Shop, *days: date) -> dict[str, Any]:
    """The line about sources that a run of these dates logs."""
    for day in days:
        shop.delete(Target("standing", day))
    request = {"processor": "standing", "dates": [day.isoformat() for day in days]}
    reply = call("run_processor", shop.gapless, push(request))
    assert reply.status == 200
    assert reply.body["outcomes"] == {"complete": len(days)}
    (line,) = [line for line in reply.log if line["action"] == "data_source"]
    return line


def test_a_run_logs_both_counts_the_coverage_the_source_and_why(either: Shop, call: Call) -> None:
    line = run(call, either, FIRST)
    assert line["severity"] == "INFO"
    assert line["message"] == f"standing {FIRST}: forecast has 3 of 3 (100.0 %)"
    assert (line["expected_count"], line["upcoming_count"], line["coverage_pct"]) == (3, 3, 100.0)
    assert (line["processor"], line["dates"], line["fallbacks"]) == ("standing", 1, 0)
    assert line["run_id"]


def test_a_fallback_is_a_warning_and_comes_first(either: Shop, call: Call) -> None:
    either.delete(Target("forecast", NEXT), "branch != 'A'")
    line = run(call, either, FIRST, NEXT)
    why = "forecast has 1 of 3 (33.3 %), below 90 %: synthetic context from revenue"
    assert line["severity"] == "WARNING"
    assert line["message"] == f"standing {NEXT}: {why}, and 1 more dates"
    assert (line["expected_count"], line["upcoming_count"], line["coverage_pct"]) == (6, 4, 66.67)
    assert (line["dates"], line["fallbacks"]) == (2, 1)
    assert line["reasons"] == {NEXT.isoformat(): why, FIRST.isoformat(): "forecast has 3 of 3 (100.0 %)"}
    stored = either.rows(
        "SELECT analysis_date, upcoming_count, upcoming_pct, source_reason FROM `shop_gapless.processing_metadata` "
        "WHERE run_id = @run ORDER BY 1",
        run=line["run_id"],
    )
    assert stored == [(FIRST, 3, 100.0, "forecast has 3 of 3 (100.0 %)"), (NEXT, 1, 33.33, why)]


def test_a_processor_with_one_source_logs_none(either: Shop, call: Call) -> None:
    either.delete(Target("revenue", FIRST))
    reply = call("run_processor", either.gapless, push({"processor": "revenue", "dates": [FIRST.isoformat()]}))
    assert reply.body["outcomes"] == {"complete": 1}
    assert not [line for line in reply.log if line["action"] == "data_source"]
    stored = either.rows(
        "SELECT upcoming_count, upcoming_pct, source_reason FROM `shop_gapless.processing_metadata` "
        "WHERE run_id = @run",
        run=reply.body["run_id"],
    )
    assert stored == [(None, None, None)]
