"""Events delivered again and again, in any order, from several threads: is every target run once, and memory flat?

200 events, each delivered 50 times, to the functions as the framework calls them, on the small pipeline of the tests
and a warehouse of its own. From the root of the project: python -m bench.deliveries [--events 200] [--times 50]
"""

from __future__ import annotations

import base64
import io
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import flask

from gapless import ledger
from gapless.declare.settings import read_settings
from gapless.functions import web
from gapless.functions.run_processor import run_processor
from gapless.functions.transition import transition
from gapless.local import warehouse as local
from gapless.messages import RUN_TOPIC
from gapless.model import Policy
from gapless.warehouse.names import quoted
from gapless.wiring import Gapless, InProcessBus, connect

FIRST = date(2023, 3, 1)
FUNCTIONS = {name: transition(name, phase) for name, phase in (("phase2_to_phase3", 3), ("phase3_to_phase4", 4))}


@click.command()
@click.option("--events", default=200, show_default=True, help="Dates, each with its event.")
@click.option("--times", default=50, show_default=True, help="How often each event is delivered.")
@click.option("--threads", default=4, show_default=True)
def main(events: int, times: int, threads: int) -> None:
    """Deliver, count, and say what is not as it should be; exit code 1 if anything is."""
    from tests.conftest import shop_pipeline  # the small pipeline with three phases

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "warehouse"
        pipeline = shop_pipeline(Path(folder))
        settings = replace(read_settings({}, home=home), pipeline=Path(folder) / "pipeline.yaml")
        try:
            gapless = replace(connect(settings), pipeline=pipeline, bus=InProcessBus())
            gapless.create()
            faults = _deliver(gapless, home, events, times, threads)
        finally:
            local.stop(home)
    sys.exit(1 if faults else 0)


def _deliver(gapless: Gapless, home: Path, events: int, times: int, threads: int) -> list[str]:
    days = [FIRST + timedelta(days=n) for n in range(events)]
    _sell(gapless, days)
    engine = gapless.engine(Policy())
    whole = replace(gapless.everything(), first=days[0], last=days[-1], explicit=True)
    engine.apply(engine.scan(replace(whole, processors=frozenset({"revenue"}))))
    web.gapless = lambda: gapless  # type: ignore[assignment]
    app = flask.Flask(web.__name__)
    deliveries: list[tuple[str, Mapping[str, Any]]] = [
        (name, {"game_date": day.isoformat(), "status": "success"})
        for day in days
        for name in FUNCTIONS
        for _ in range(times // len(FUNCTIONS))
    ]
    random.Random(7).shuffle(deliveries)
    statuses: dict[int, int] = {}
    memory = []

    def call(name: str, message: Mapping[str, Any]) -> None:
        data = base64.b64encode(json.dumps(message).encode()).decode()
        body = {"message": {"data": data, "messageId": "1"}, "subscription": "s"}
        function = run_processor if name == "run_processor" else FUNCTIONS[name]
        with app.test_request_context("/", method="POST", json=body):
            status = function(flask.request).status_code
        statuses[status] = statuses.get(status, 0) + 1

    assert isinstance(gapless.bus, InProcessBus)
    begin, delivered = time.monotonic(), 0
    with redirect_stdout(io.StringIO()), ThreadPoolExecutor(threads) as pool:
        while deliveries:
            batch, deliveries = deliveries[:200], deliveries[200:]
            list(pool.map(lambda one: call(*one), batch))
            asked = [message for topic, message in gapless.bus.sent if topic == RUN_TOPIC]
            gapless.bus.sent.clear()
            list(pool.map(lambda message: call("run_processor", message), asked))
            delivered += len(batch) + len(asked)
            memory.append((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, _server_mb(home)))
    spent = time.monotonic() - begin
    click.echo(f"{delivered:,} deliveries in {spent:.0f} s, statuses {dict(sorted(statuses.items()))}")
    middle = len(memory) // 2
    for who, column in (("functions", 0), ("warehouse", 1)):
        click.echo(f"{who}: {memory[middle][column]:.0f} MB after half of them, {memory[-1][column]:.0f} MB at the end")
    faults = _faults(gapless, days)
    for fault in faults:
        click.echo(f"NOT AS IT SHOULD BE: {fault}")
    click.echo("every target complete and run once" if not faults else f"{len(faults)} faults")
    return faults


def _faults(gapless: Gapless, days: list[date]) -> list[str]:
    table = quoted(ledger.table(gapless.pipeline.ledger, "attempts"))
    twice = gapless.warehouse.rows(
        f"SELECT processor_name, target_date, COUNT(*) AS n FROM {table} WHERE target_date IS NOT NULL "
        "GROUP BY processor_name, target_date HAVING COUNT(*) > 1",
        purpose="bench",
    ).rows
    found = [f"{name} {day} was claimed {n} times" for name, day, n in twice]
    scope = replace(gapless.everything(), first=days[0], last=days[-1], explicit=True)
    gaps = gapless.engine(Policy()).scan(scope).judgement.gaps
    found += [f"{gap.target} is {gap.verdict}" for gap in gaps]
    for p in gapless.pipeline.processors.values():
        keys = ", ".join((p.date_column, *p.key))
        doubles = gapless.warehouse.rows(
            f"SELECT {keys} FROM {quoted(p.table)} GROUP BY {keys} HAVING COUNT(*) > 1", purpose="bench"
        ).rows
        found += [f"{p.name} holds {row} twice" for row in doubles]
    return found


def _sell(gapless: Gapless, days: list[date]) -> None:
    rows = [
        {"id": f"{day:%y%m%d}-{b}{n}", "day": day, "branch": b, "cents": 1000 + 7 * day.day + n}
        for day in days
        for b in "ABC"
        for n in range(2)
    ]
    gapless.warehouse.execute(
        "INSERT INTO `shop_raw.orders` (order_id, order_day, branch, amount_cents, processed_at) "
        "SELECT o.id, o.day, o.branch, o.cents, @now FROM UNNEST(@rows) AS o",
        {"rows": rows, "now": gapless.clock()},
        purpose="bench",
    )


def _server_mb(home: Path) -> float:
    pid = json.loads((home / "server.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


if __name__ == "__main__":
    main()
