"""The engine speaks of no games: nothing that the shop prints, stores or sends has a word of basketball in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import click
import pytest
import yaml

from gapless.cli.main import gapless as root
from gapless.declare.pipeline import load_pipeline
from gapless.model import Target
from gapless.warehouse.names import quoted
from gapless.wiring import InProcessBus
from tests.conftest import Result, Shop, shop_pipeline
from tests.functions.conftest import Call, push
from tests.functions.conftest import call as call  # the fixture

FIRST, LAST, DAY = date(2024, 2, 1), date(2024, 2, 6), date(2024, 2, 3)
NOW = "2024-02-12T11:00Z"
OF_THE_GAME = re.compile(
    r"game|player|season|league|team|basketball|\bnba|tip.?off|play.?off|box.?score|\bplayed|\bcourt\b|\bcoach", re.I
)
CALENDAR = """
SELECT order_day AS date, COUNT(DISTINCT branch) AS scheduled, COUNT(DISTINCT branch) - 1 AS final,
  DATE '2024-02-01' AS opening_day, CAST(NULL AS TIMESTAMP) AS last_start
FROM {orders} WHERE order_day BETWEEN @first AND @last GROUP BY 1"""


def refuse_words(where: str, text: str) -> None:
    found = OF_THE_GAME.search(text)
    assert not found, f"{where} says '{found[0]}': …{text[max(found.start() - 120, 0) : found.end() + 60]}…"


def every_command(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each
            yield from every_command(each, (*path, name))


@pytest.fixture
def with_calendar(chain: Shop, tmp_path: Path) -> Shop:
    """The shop, whose units of work are counted, each period of which begins with days of which nothing is expected."""
    shop_pipeline(tmp_path, {"days": CALENDAR})
    file = tmp_path / "pipeline.yaml"
    raw = yaml.safe_load(file.read_text())
    over = {"hours_after_last_start": 2, "without_start": "06:00", "open_days": 3}
    raw |= {"calendar": "days", "unit": {"over": over}}
    raw["processors"]["standing"]["bootstrap_days"] = 2
    raw["processors"]["revenue"]["due"] = "when_over"
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    return replace(chain, gapless=replace(chain.gapless, pipeline=load_pipeline(file), bus=InProcessBus()))


def damage(shop: Shop) -> None:
    """Something of every kind: missing, partial, altered, double, rows that nobody expects, days to come."""
    shop.sell(FIRST, LAST)
    shop.apply()
    shop.delete(Target("revenue", DAY))
    shop.delete(Target("forecast", FIRST), "branch = 'A'")
    shop.update(Target("standing", LAST), "cents_3_days = cents_3_days + 1")
    shop.copy_rows(Target("standing", DAY), DAY, "branch = 'A'")
    shop.copy_rows(Target("revenue", LAST), date(2024, 2, 9))
    shop.delete(Target("orders", date(2024, 2, 5)))


COMMANDS: list[tuple[str, ...]] = [
    ("scan",),
    ("scan", "--json"),
    ("plan",),
    ("plan", "--json"),
    ("explain", "2024-02-03", "standing"),
    ("explain", "2024-02-09", "revenue"),
    ("explain", "2024-02-03", "standing", "--json"),
    ("validate", "--start-date", "2024-02-01", "--end-date", "2024-02-10", "--by-date"),
    ("validate", "--start-date", "2024-02-01", "--end-date", "2024-02-10", "--by-date", "--json"),
    ("validate", "--start-date", "2024-02-01", "--end-date", "2024-02-10", "--by-date", "--markdown"),
    ("report", "period"),
    ("report", "period", "--json"),
    ("report", "period", "--markdown"),
    ("report", "period", "--period", "2024"),
    ("report", "period", "--period", "1999"),
    ("report", "period", "--period", "soon"),
    ("report", "period", "--period", "2024", "--start-date", "2024-02-01"),
    ("report", "recent"),
    ("report", "recent", "--json"),
    ("report", "recent", "--markdown"),
    ("report", "recent", "--days", "2", "--end-date", "2024-03-30"),
    ("report", "freshness"),
    ("report", "freshness", "--json"),
    ("report", "runs"),
    ("report", "runs", "--json"),
    ("ack", "add", "orders", "--start-date", "2024-02-05", "--end-date", "2024-02-05", "--reason", "x", "--owner", " "),
    ("ack", "add", "orders", "--start-date", "2024-02-05", "--end-date", "2024-02-05", "--reason", "x", "--owner", "y"),
    ("ack", "list"),
    ("clean-phantoms",),
    ("clean-phantoms", "--json"),
    ("clean-phantoms", "--markdown"),
    ("cleanup",),
    ("cleanup", "--older-than", "0"),
    ("backfill", "--start-date", "2024-02-01", "--end-date", "2024-02-12", "--dry-run"),
    ("backfill", "--start-date", "2024-02-01", "--end-date", "2024-02-12", "--dry-run", "--json"),
    ("backfill", "--start-date", "2024-02-01", "--end-date", "2024-02-12", "--processors", "orders"),
    ("backfill", "--start-date", "2024-02-01", "--end-date", "2024-02-12"),
    ("repair", "--date", "2024-02-05"),
    ("repair", "--date", "2024-02-09"),
    ("repair", "--date", "2024-02-03", "--processors", "orders"),
    ("apply",),
    ("apply", "--json"),
    ("history",),
    ("history", "--json"),
    ("restore",),
    ("doctor",),
    ("doctor", "--json"),
    ("load", "no-such-file.csv"),
    ("init",),
    ("scan", "--start-date", "2023-01-01", "--end-date", "2023-01-02"),
]


def test_no_command_explains_itself_in_words_of_the_game(
    gapless: Callable[..., Result], chain: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the demo, which is about a generated season."""
    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    asked = list(every_command(root, ()))
    assert {("report", "period"), ("ack", "add"), ("clean-phantoms",)} <= set(asked)
    for path in asked:
        if path != ("demo",):
            refuse_words(f"gapless {' '.join(path)} --help", gapless(*path, "--help").out)


@pytest.mark.parametrize("kind", ["chain", "with_calendar"])
def test_nothing_that_a_command_prints_has_a_word_of_the_game(
    kind: str,
    request: pytest.FixtureRequest,
    gapless: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shop: Shop = request.getfixturevalue(kind)
    damage(shop)
    monkeypatch.setenv("GAPLESS_PIPELINE", str(shop.pipeline.sql_folder.parent / "pipeline.yaml"))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for words in COMMANDS:
        result = gapless(*words, "--home", shop.home, *(("--now", NOW) if words[0] not in ("doctor", "init") else ()))
        assert result.code != 70, result.err
        refuse_words(f"gapless {' '.join(words)}", result.out + result.err)
    refuse_what_is_stored(shop)


def refuse_what_is_stored(shop: Shop) -> None:
    """Names, columns and content of every table and view of the ledger."""
    warehouse = shop.gapless.warehouse
    views = list(shop.pipeline.views.values())
    for name in [*(f"{shop.pipeline.ledger}.{table}" for table in warehouse.tables(shop.pipeline.ledger)), *views]:
        refuse_words("a name", name)
        columns = [row[0] for row in shop.rows(f"SELECT TO_JSON_STRING(t) FROM {quoted(name)} AS t")]
        refuse_words(name, "\n".join(columns))
    for table, columns in warehouse.tables(shop.pipeline.ledger).items():
        refuse_words(table, " ".join(columns))


@pytest.mark.parametrize("kind", ["chain", "with_calendar"])
def test_nothing_that_a_function_answers_logs_sends_or_stores_has_a_word_of_the_game(
    kind: str, request: pytest.FixtureRequest, call: Call
) -> None:
    shop: Shop = request.getfixturevalue(kind)
    damage(shop)
    shop.clock.now += timedelta(days=31)
    gapless = shop.gapless
    range_ = {"start_date": "2024-02-01", "end_date": "2024-02-12"}
    calls: list[tuple[str, object]] = [
        *((name, body) for name in TRANSITIONS for body in ({"scan_for_gaps": True}, range_, {"other": 1})),
        *((name, push({"date": DAY.isoformat()})) for name in TRANSITIONS),
        *((name, push({"status": "success"})) for name in TRANSITIONS),
        ("run_processor", push({"processor": "revenue", "dates": [DAY.isoformat()], "requested_by": "test"})),
        ("run_processor", push({"processor": "standing", "dates": [DAY.isoformat()], "force": True})),
        ("run_processor", push({"processor": "nothing", "dates": []})),
        ("gap_detector", {"dry_run": True}),
        ("gap_detector", {}),
        ("gap_detector", {"self_test": True}),
        ("upcoming_cleanup", {"dry_run": True}),
        ("upcoming_cleanup", {}),
    ]
    for name, body in calls:
        reply = call(name, gapless, body)
        assert reply.status != 500, reply.body
        refuse_words(name, json.dumps([reply.body, reply.log], default=str))
    assert {topic for topic, _ in shop.bus.sent} >= {"gapless-run", "gapless-dead-letter"}
    for topic, message in shop.bus.sent:
        refuse_words(f"a message on {topic}", json.dumps([topic, message], default=str))
    refuse_what_is_stored(shop)


TRANSITIONS = ("phase2_to_phase3", "phase3_to_phase4", "phase4_to_phase5", "phase5_to_phase6")
