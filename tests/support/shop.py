"""The second pipeline, nothing about basketball: orders, and what is made of them in three phases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from gapless import ledger
from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.model import days_between
from gapless.warehouse.names import quoted
from gapless.wiring import InProcessBus
from tests.support.bench import Bench, Clock

TINY = Path(__file__).parents[1] / "tiny"


@dataclass
class Shop(Bench):
    """The second pipeline. `variant` gives it other processors on the same warehouse."""

    @property
    def clock(self) -> Clock:
        assert isinstance(self.gapless.clock, Clock)
        return self.gapless.clock

    def sell(self, first: date, last: date, branches: str = "ABC", orders: int = 2) -> None:
        """Orders of every branch on every day; the amounts follow from day, branch and number."""
        rows = [
            {"id": f"{day:%m%d}-{b}{n}", "day": day, "branch": b, "cents": 1000 + 7 * day.day + 100 * i + n}
            for day in days_between(first, last)
            for i, b in enumerate(branches)
            for n in range(orders)
        ]
        self.run(
            "INSERT INTO `shop_raw.orders` (order_id, order_day, branch, amount_cents, processed_at) "
            "SELECT o.id, o.day, o.branch, o.cents, @now FROM UNNEST(@rows) AS o",
            rows=rows,
            now=self.clock(),
        )

    def built(self, first: date, last: date) -> None:
        """The orders of `sell`, gone through every processor; built once, and copied from then on."""
        p = self.pipeline
        names = [q.table for q in p.processors.values()]
        names += [ledger.table(p.ledger, name) for name in ("attempts", "backfill_date_outcomes")]
        kept_in, ending = f"{p.staging}_kept", f"{len(names)}_{first:%m%d}_{last:%m%d}"
        kept = {name: f"{kept_in}.{name.replace('.', '_')}_{ending}" for name in names}
        self.gapless.warehouse.create_dataset(kept_in)
        if kept[names[0]].split(".")[1] in self.gapless.warehouse.tables(kept_in):
            for name in names:
                # Not the head of the ledger: its generation is part of the ids of jobs, which are accepted once.
                claims = "claim_number > 0" if name == ledger.table(p.ledger, "attempts") else "TRUE"
                self.run(f"INSERT INTO {quoted(name)} SELECT * FROM {quoted(kept[name])} WHERE {claims}")
            self.clock.now += timedelta(minutes=1)  # later than all that was copied
            return
        self.sell(first, last)
        report = self.apply()
        assert report.after is not None
        assert report.after.judgement.complete
        for name in reversed(names):
            self.run(f"CREATE TABLE {quoted(kept[name])} AS SELECT * FROM {quoted(name)}")

    def variant(
        self, folder: Path, sql: Mapping[str, str] | None = None, change: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Shop:
        """The same shop with other SQL and other fields of its processors."""
        pipeline = shop_pipeline(folder, sql, change)
        return replace(self, gapless=replace(self.gapless, pipeline=pipeline, bus=InProcessBus()))

    def backups(self) -> list[str]:
        """The backup tables that are there, written down or not."""
        dataset = self.pipeline.ledger
        return [f"{dataset}.{name}" for name in self.gapless.warehouse.tables(dataset) if name.startswith("backup_")]

    def forget_backups(self) -> None:
        """Drop them, and everything that is written of clean-ups."""
        for name in self.backups():
            self.gapless.warehouse.drop(name)
        for name in ("cleanup_log", "table_backups"):
            self.run(f"DELETE FROM {self.ledger_table(name)} WHERE TRUE")

    def empty(self) -> None:
        """Everything gone, and a new ledger."""
        for p in self.pipeline.processors.values():
            self.run(f"DELETE FROM {quoted(p.table)} WHERE TRUE")
        for name in ("attempts", "backfill_date_outcomes", "acknowledged_gaps", "reported_runs"):
            self.run(f"DELETE FROM `{self.pipeline.ledger}.{name}` WHERE TRUE")
        self.run(
            f"INSERT INTO `{self.pipeline.ledger}.attempts` (claim_number, run_id, processor_name, owner, claimed_at, "
            "lease_until) VALUES (0, @generation, '', '', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP())",
            generation=os.urandom(6).hex(),
        )
        for name in self.staged():
            self.gapless.warehouse.drop(f"{self.pipeline.staging}.{name}")
        self.bus.sent.clear()


CHAIN: dict[str, dict[str, Any]] = {
    # a record of what was expected of a day: made once, never remade
    "forecast": {
        "phase": 3,
        "table": "shop_mart.forecast",
        "date_column": "day",
        "key": ["branch"],
        "expect": {"keys_of": "revenue"},
        "restate": "never",
        "upstream": {"revenue": {"own_day": True}},
        "columns": {"day": "DATE required", "branch": "STRING required", "cents": "INT64 required 0..1000000000"},
    },
    "standing": {
        "phase": 4,
        "table": "shop_mart.standing",
        "date_column": "day",
        "key": ["branch"],
        "expect": {"keys_of": "revenue"},
        "upstream": {"revenue": {"own_day": True, "lookback_days": 2}, "forecast": {"own_day": True}},
        "columns": {
            "day": "DATE required",
            "branch": "STRING required",
            "cents_3_days": "INT64 required",
            "forecast_cents": "INT64",
        },
    },
}
CHAIN_SQL = {
    "forecast": "SELECT day, branch, DIV(amount_cents_7_days, 7) AS cents FROM {revenue} WHERE day IN UNNEST(@dates)",
    "standing": """
SELECT d AS day, r.branch, SUM(r.amount_cents_7_days) AS cents_3_days, MAX(f.cents) AS forecast_cents
FROM UNNEST(@dates) AS d
JOIN {revenue} AS r ON r.day BETWEEN DATE_SUB(d, INTERVAL {revenue.lookback} DAY) AND d
LEFT JOIN {forecast} AS f ON f.day = d AND f.branch = r.branch
GROUP BY d, r.branch
HAVING COUNTIF(r.day = d) > 0""",
}


def shop_pipeline(
    folder: Path,
    sql: Mapping[str, str] | None = None,
    change: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    chain: bool = True,
) -> Pipeline:
    """The pipeline of tests/tiny, with two more phases and the given changes, read from files in a folder."""
    raw = yaml.safe_load((TINY / "pipeline.yaml").read_text(encoding="utf-8"))
    raw["topics"] = {2: "shop-2", 3: "shop-3", 4: "shop-4"}
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (TINY / "sql").glob("*.sql")}
    if chain:
        raw["processors"] |= {name: dict(fields) for name, fields in CHAIN.items()}
        texts |= CHAIN_SQL
    for name, fields in (change or {}).items():
        raw["processors"][name] = {**raw["processors"][name], **fields}
    (folder / "sql").mkdir(parents=True, exist_ok=True)
    for name, text in (texts | dict(sql or {})).items():
        (folder / "sql" / f"{name}.sql").write_text(text, encoding="utf-8")
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return load_pipeline(folder / "pipeline.yaml")
