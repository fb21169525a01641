"""The pipeline file: what is read from it, and that every mistake names the processor and the field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
import yaml

from gapless.declare.pipeline import DEFAULT_FILE, Pipeline, build_pipeline, load_pipeline
from gapless.declare.processor import Upstream
from gapless.declare.words import Over, Words
from gapless.errors import BadPipeline
from gapless.model import Target
from gapless.warehouse.expectation import expected_keys
from gapless.warehouse.tables import create_table
from gapless.warehouse.texts import render
from tests.twin import declare

TINY = Path(__file__).parents[1] / "tiny" / "pipeline.yaml"
Raw = dict[str, Any]


def raw_shop() -> Raw:
    return copy.deepcopy(yaml.safe_load(TINY.read_text(encoding="utf-8")))


def build(raw: Raw, sql: Path = TINY.parent / "sql") -> Pipeline:
    return build_pipeline(raw, sql, "shop.yaml")


def field(path: str, value: Any) -> Callable[[Raw], None]:
    """Set a field, or remove it where the value is None."""

    def change(raw: Raw) -> None:
        *parents, last = path.split(".")
        place = raw
        for name in parents:
            place = place[name]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


REVENUE = "processors.revenue"
OVER = {"hours_after_last_start": 2.5, "without_start": "07:30", "open_days": 3}
MISTAKES: list[tuple[str, Any, str, str]] = [
    # what is set to what, and which processor and which words the message has
    (f"{REVENUE}.tabel", "x.y", "revenue", "tabel: unknown field"),
    (f"{REVENUE}.upstream.orders.lookback", 3, "revenue", "upstream.orders.lookback: unknown field"),
    (f"{REVENUE}.expect.querry", "x", "revenue", "expect.querry: unknown field"),
    (f"{REVENUE}.upstream.refunds", {"own_day": True}, "revenue", "upstream: 'refunds' is not declared"),
    (f"{REVENUE}.upstream.orders", {}, "revenue", "upstream: 'orders' needs own_day or lookback_days"),
    (f"{REVENUE}.upstream.orders.lookback_days", -1, "revenue", "upstream.orders.lookback_days"),
    (f"{REVENUE}.upstream.orders.own_day", "sometimes", "revenue", "upstream.orders.own_day"),
    (f"{REVENUE}.phase", 0, "revenue", "phase"),
    (f"{REVENUE}.phase", None, "revenue", "phase"),
    ("processors.orders.phase", 3, "revenue", "upstream: 'orders' is of phase 3, later than its own 2"),
    (f"{REVENUE}.table", "shop_raw.orders", "revenue", "shop_raw.orders belongs to 'orders' already"),
    (f"{REVENUE}.table", "revenue", "revenue", "table: 'revenue' is not dataset.table"),
    (f"{REVENUE}.table", None, "revenue", "table"),
    (f"{REVENUE}.gate_pct", 0, "revenue", "gate_pct"),
    (f"{REVENUE}.gate_pct", 101, "revenue", "gate_pct"),
    (f"{REVENUE}.gate_pct", 96, "revenue", "warn_pct: 95 is below gate_pct 96"),
    (f"{REVENUE}.warn_pct", 80, "revenue", "warn_pct: 80 is below gate_pct 90"),
    (f"{REVENUE}.max_dates_per_run", 0, "revenue", "max_dates_per_run"),
    (f"{REVENUE}.bootstrap_days", 400, "revenue", "bootstrap_days"),
    (f"{REVENUE}.restate", "sometimes", "revenue", "restate"),
    (f"{REVENUE}.run", "magic", "revenue", "run"),
    (f"{REVENUE}.key", [], "revenue", "key"),
    (f"{REVENUE}.key", ["shop"], "revenue", "key: 'shop' is not among its columns"),
    (f"{REVENUE}.expect.match_on", ["shop"], "revenue", "expect: 'shop' is not among its columns"),
    (f"{REVENUE}.expect.query", "no_such_file", "revenue", "expect: there is no file no_such_file.sql"),
    (f"{REVENUE}.expect", {"keys_of": "customers"}, "revenue", "expect: 'customers' is not among its upstream"),
    (f"{REVENUE}.expect", {}, "revenue", "expect: exactly one of"),
    (f"{REVENUE}.expect", {"keys_of": "orders", "query": "expect_revenue"}, "revenue", "expect: exactly one of"),
    (f"{REVENUE}.expect", {"constant": {"branch": ["a"]}}, "revenue", "expect: exactly one of"),
    (f"{REVENUE}.expect", {"on_dates_of": "orders"}, "revenue", "expect: exactly one of"),
    (f"{REVENUE}.expect", {"historical": {}}, "revenue", "expect.historical: exactly one of"),
    (f"{REVENUE}.expect", {"upcoming": {"query": "nothing"}}, "revenue", "expect: there is no file nothing.sql"),
    (f"{REVENUE}.expect", {"constant": {"shop": ["a"]}, "on_dates_of": "orders"}, "revenue", "expect: 'branch' is not"),
    (f"{REVENUE}.expect", {"keys_of": "orders", "match_on": ["orders_today"]}, "revenue", "columns of orders"),
    (f"{REVENUE}.date_column", "date", "revenue", "date_column: 'date' is not among its columns"),
    (f"{REVENUE}.date_column", "branch", "revenue", "date_column: 'branch' is not a DATE"),
    (f"{REVENUE}.columns.day", "TIMESTAMP", "revenue", "date_column: 'day' is not a DATE"),
    (f"{REVENUE}.columns.branch", "TEXT required", "revenue", "column branch: 'TEXT required' is not"),
    (f"{REVENUE}.columns.orders_today", "INT64 1..", "revenue", "column orders_today"),
    (f"{REVENUE}.columns.orders_today", "INT64 required required", "revenue", "column orders_today"),
    (f"{REVENUE}.columns", ["day"], "revenue", "columns"),
    (f"{REVENUE}.columns.row_hash", "INT64", "revenue", "columns: 'row_hash' is filled by the engine"),
    (f"{REVENUE}.columns.processed_at", "TIMESTAMP", "revenue", "columns: 'processed_at' is filled by the engine"),
    (f"{REVENUE}.upstream", None, "revenue", "upstream: a processor that runs reads something"),
    (f"{REVENUE}.due", "when_over", "revenue", "due: the pipeline declares no calendar"),
    (f"{REVENUE}.due", "after_games", "revenue", "due: 'after_games' is called 'when_over' now"),
    (f"{REVENUE}.due", "sometimes", "revenue", "due"),
    ("processors.gate_pct", {"phase": 1}, "gate_pct", "a name has"),
]


@pytest.mark.parametrize(("path", "value", "processor", "words"), MISTAKES, ids=[f"{m[0]}={m[1]}" for m in MISTAKES])
def test_every_mistake_names_the_processor_and_the_field(path: str, value: Any, processor: str, words: str) -> None:
    raw = raw_shop()
    field(path, value)(raw)
    with pytest.raises(BadPipeline) as error:
        build(raw)
    assert f"processor '{processor}'" in str(error.value)
    assert words in str(error.value)
    assert str(error.value).startswith("shop.yaml: ")
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("timezone", "Europe/Atlantis", "timezone: there is no time zone 'Europe/Atlantis'"),
        ("timezone", None, "timezone"),
        ("history_start", "soon", "history_start"),
        ("horizon_days", 31, "horizon_days"),
        ("calendar", "holidays", "calendar: there is no file holidays.sql"),
        ("gate_pct", 0, "gate_pct"),
        ("files", "shop/files.py", "files: 'shop/files.py' is not the name of a module"),
        ("files", ["shop.files"], "files: Input should be a valid string"),
        ("colour", "blue", "colour: unknown field"),
        ("processors", None, "processors"),
        ("unit", {"name": "Order"}, "unit.name: 'Order' is not a word"),
        ("unit", {"name": 7}, "unit.name: '7' is not a word"),
        ("unit", {"plural": "dates"}, "unit.plural: 'dates' has a meaning of its own in reports"),
        ("unit", {"done": "units"}, "unit, period: 'units' is the word for two things"),
        ("unit", {"name": "period"}, "unit, period: 'period' is the word for two things"),
        ("unit", {"many": "orders"}, "unit.many: unknown field"),
        ("unit", {"over": {}}, "unit.over.hours_after_last_start"),
        ("unit", {"over": OVER | {"hours_after_last_start": 0}}, "unit.over.hours_after_last_start"),
        ("unit", {"over": OVER | {"without_start": 360}}, "unit.over.without_start: '360' is not a time of day"),
        ("unit", {"over": OVER | {"without_start": "24:00"}}, "unit.over.without_start: '24:00' is not a time"),
        ("unit", {"over": OVER | {"open_days": -1}}, "unit.over.open_days"),
        ("period", {"name": ""}, "period.name: '' is not a word"),
        ("period", {"lasts_days": 0}, "period.lasts_days"),
        ("messages", {"date": "status"}, "messages.date: 'status' is a field of every message already"),
        ("messages", {"dates": "date"}, "messages: 'date' is there twice"),
        ("messages", {"other_dates": ["Day"]}, "messages.other_dates.0: 'Day' is not a word"),
        ("messages", {"other_dates": ["dates"]}, "messages: 'dates' is there twice"),
        ("messages", {"phases": {10: "last"}}, "messages.phases: there is no phase 10"),
        ("messages", {"phases": {2: " "}}, "messages.phases: phase 2 has an empty name"),
        ("view_columns", {"runs": {}}, "view_columns.runs"),
        ("view_columns", {"processing_metadata": {"expected": "n"}}, "view_columns.processing_metadata.expected: unk"),
        ("view_columns", {"processing_metadata": {"actual_count": "n n"}}, "actual_count: 'n n' is not a word"),
        (
            "view_columns",
            {"processing_metadata": {"actual_count": "expected_count"}},
            "'expected_count' is there twice",
        ),
        ("view_columns", {"precompute_failures": {"actual_count": "can_retry"}}, "'can_retry' is another column of it"),
        ("processors.Big-Name", {"phase": 1}, "processor 'Big-Name': a name has lower-case letters"),
    ],
)
def test_every_mistake_of_the_pipeline_itself_names_the_field(path: str, value: Any, words: str) -> None:
    raw = raw_shop()
    field(path, value)(raw)
    with pytest.raises(BadPipeline) as error:
        build(raw)
    assert words in str(error.value)


PREORDERS = {
    "phase": 1, "table": "shop_raw.preorders", "date_column": "day", "key": ["branch"], "run": "none",
    "columns": {"day": "DATE required", "branch": "STRING required"},
}  # fmt: skip


def with_fallback(**edge: Any) -> Raw:
    """The shop whose revenue is made from preorders where there are enough of them, else from orders."""
    raw = raw_shop()
    raw["processors"] = {"preorders": dict(PREORDERS), **raw["processors"]}
    raw["processors"]["revenue"]["upstream"]["preorders"] = {"own_day": True, "fallback": "orders"} | edge
    return raw


def test_an_upstream_can_have_a_fallback() -> None:
    revenue = build(with_fallback()).processors["revenue"]
    assert revenue.preferred == ("preorders", Upstream(own_day="always", fallback="orders"))
    assert build(raw_shop()).processors["revenue"].preferred is None


@pytest.mark.parametrize(
    ("edge", "change", "words"),
    [
        ({"fallback": "refunds"}, {}, "the fallback 'refunds', which is not another upstream"),
        ({"fallback": "preorders"}, {}, "the fallback 'preorders', which is not another upstream"),
        ({"fallback": True}, {}, "upstream.preorders.fallback"),
        ({"lookback_days": 3}, {}, "it is read on the own day only"),
        ({"own_day": False}, {}, "needs own_day or lookback_days"),
        ({}, {"revenue.expect": {"keys_of": "preorders"}}, "it would be measured by itself"),
        ({}, {"revenue.expect": {"upcoming": {"keys_of": "preorders"}}}, "it would be measured by itself"),
        ({}, {"revenue.expect": None}, "expect is needed"),
        (
            {},
            {"preorders.columns": {"day": "DATE required", "shop": "STRING"}, "preorders.key": ["shop"]},
            "lacks the column 'branch'",
        ),
        ({}, {"revenue.upstream.orders": {"own_day": True, "fallback": "preorders"}}, "one can have it"),
    ],
)
def test_a_fallback_that_cannot_be_decided_is_refused(edge: Raw, change: Raw, words: str) -> None:
    raw = with_fallback(**edge)
    for path, value in change.items():
        field(f"processors.{path}", value)(raw)
    with pytest.raises(BadPipeline, match="processor 'revenue': upstream") as error:
        build(raw)
    assert words in str(error.value)


def test_a_circle_of_upstreams_is_named_in_full() -> None:
    raw = raw_shop()
    raw["processors"]["orders"] = {
        **raw["processors"]["orders"],
        "phase": 2,
        "upstream": {"revenue": {"lookback_days": 1}},
    }
    with pytest.raises(BadPipeline, match=r"upstream: reads itself in a circle: .*orders -> revenue|revenue -> orders"):
        build(raw)


def test_an_alias_belongs_to_one_processor_whatever_its_case() -> None:
    raw = raw_shop()
    raw["processors"]["orders"]["alias"] = "ORD"
    raw["processors"]["revenue"]["alias"] = "ord"
    with pytest.raises(BadPipeline, match="processor 'revenue': alias ord belongs to 'orders' already"):
        build(raw)


def sql_folder(place: Path, **files: str) -> Path:
    folder = place / "sql"
    folder.mkdir()
    for source in (TINY.parent / "sql").glob("*.sql"):
        (folder / source.name).write_text(source.read_text())
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def test_a_processor_without_its_sql_file_is_named(tmp_path: Path) -> None:
    folder = sql_folder(tmp_path)
    (folder / "revenue.sql").unlink()
    with pytest.raises(BadPipeline, match=r"processor 'revenue': run: there is no file revenue\.sql"):
        build(raw_shop(), folder)


@pytest.mark.parametrize("name", ["revenue", "expect_revenue"])
def test_a_query_that_reads_a_table_that_is_not_declared_upstream_is_named(tmp_path: Path, name: str) -> None:
    folder = sql_folder(tmp_path, **{name: "SELECT day, branch FROM {customers} WHERE day BETWEEN @first AND @last"})
    with pytest.raises(BadPipeline, match=rf"processor 'revenue': upstream: {name}\.sql reads 'customers'"):
        build(raw_shop(), folder)


def test_a_part_is_included_where_it_is_named_and_is_no_query_of_its_own(tmp_path: Path) -> None:
    part = "-- {customers} are mentioned\nSELECT order_day AS day, branch\nFROM {orders} -- all\n"
    text = "-- {include days}\nSELECT *\nFROM (\n  {include days}\n)"
    shop = build(raw_shop(), sql_folder(tmp_path, _days=part, expect_revenue=text))
    assert "_days" not in shop.texts
    assert render(shop, "expect_revenue", shop.processors["revenue"]) == (
        "SELECT *\nFROM (\nSELECT order_day AS day, branch\nFROM `shop_raw.orders`\n)"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT * FROM (\n{include weeks}\n)", "has {include weeks}"),
        ("SELECT * FROM ({include days})", "needs a line of its own"),
        ("{include nested}", "has {include days}"),
        ("SELECT * FROM (\n{include days}\n), {customers}", "reads 'customers'"),
    ],
)
def test_a_part_that_is_not_there_is_named(tmp_path: Path, text: str, words: str) -> None:
    folder = sql_folder(tmp_path, _days="SELECT 1", _nested="{include days}", expect_revenue=text)
    with pytest.raises(BadPipeline, match=r"processor 'revenue': (expect|upstream): expect_revenue\.sql") as error:
        build(raw_shop(), folder)
    assert words in str(error.value)


def test_a_part_says_how_many_days_it_reads_and_its_reader_has_to_declare_them(tmp_path: Path) -> None:
    text = "SELECT {orders.lookback(6)}, {orders.lookback(2)}, {orders.lookback}, {gate_pct} FROM {orders}"
    shop = build(raw_shop(), sql_folder(tmp_path, expect_revenue=text))
    assert render(shop, "expect_revenue", shop.processors["revenue"]) == "SELECT 6, 2, 6, 90 FROM `shop_raw.orders`"
    (tmp_path / "sql" / "expect_revenue.sql").write_text(text.replace("(6)", "(7)"))
    with pytest.raises(BadPipeline, match="reads 7 days of 'orders', and lookback_days is 6"):
        build(raw_shop(), tmp_path / "sql")


def test_what_a_comment_mentions_is_not_read(tmp_path: Path) -> None:
    text = "-- {customers} come later\nSELECT day, branch FROM {orders} -- {refunds}"
    folder = sql_folder(tmp_path, expect_revenue=text)
    assert build(raw_shop(), folder).processors["revenue"]


@pytest.mark.parametrize("text", ["processors: [", "just words", "- a\n- list"])
def test_a_file_that_is_no_pipeline_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(BadPipeline, match=r"mine\.yaml"):
        load_pipeline(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPipeline, match="cannot be read"):
        load_pipeline(tmp_path / "nothing.yaml")


def test_an_unknown_processor_or_phase_is_answered_with_those_that_exist() -> None:
    pipeline = load_pipeline(TINY)
    with pytest.raises(BadPipeline, match=r"no processor 'revenu'.*orders, revenue"):
        pipeline.processor("revenu")
    with pytest.raises(BadPipeline, match=r"no phase 7.*\[1, 2\]"):
        pipeline.select(phases=(7,))


# -- what is read ---------------------------------------------------------------------------------------------------


def test_a_column_is_read_with_what_an_audit_asks_of_it() -> None:
    raw = raw_shop()
    raw["processors"]["revenue"]["columns"] |= {"rate": "NUMERIC(5, 2) required -1.5..100", "at": "TIMESTAMP stamp"}
    columns = build(raw).processors["revenue"].columns
    assert columns["rate"] == ("rate", "NUMERIC(5,2)", True, -1.5, 100.0, False)
    assert columns["at"].stamp
    assert "at" not in {c.name for c in build(raw).processors["revenue"].content}


def test_words_are_neutral_where_none_are_declared() -> None:
    shop = build(raw_shop())
    assert shop.words == Words("unit", "units", "over", "period", "periods", loads=False)
    assert (shop.over, shop.period_days, shop.view_columns) == (None, 1, {})
    assert (shop.messages.single, shop.messages.dates, shop.messages.phase(2)) == (("date",), "dates", "phase_2")


def test_declared_words_are_those_of_the_pipeline() -> None:
    raw = raw_shop() | {
        "unit": {"name": "parcel", "plural": "parcels", "done": "delivered", "over": OVER},
        "period": {"name": "year", "plural": "years", "lasts_days": 365},
        "messages": {"date": "parcel_date", "other_dates": ["date"], "phases": {2: "marts"}},
        "view_columns": {"processing_metadata": {"expected_count": "parcels_expected"}},
    }
    shop = build(raw)
    assert shop.words == Words("parcel", "parcels", "delivered", "year", "years", loads=False)
    assert (shop.words.count(1), shop.words.count(1200)) == ("1 parcel", "1,200 parcels")
    assert shop.over == Over(hours_after_last_start=2.5, without_start="07:30", open_days=3)
    assert (shop.over.without_start, shop.period_days) == (time(7, 30), 365)
    assert shop.messages.single == ("parcel_date", "date")
    assert [shop.messages.phase(number) for number in (1, 2)] == ["phase_1", "marts"]
    counted = shop.view_columns["processing_metadata"]
    assert (counted.expected_count, counted.actual_count) == ("parcels_expected", "actual_count")


def test_who_waits_for_units_to_be_over_has_to_say_when_they_are(tmp_path: Path) -> None:
    folder = sql_folder(tmp_path, days="SELECT 1")
    raw = raw_shop() | {"calendar": "days"}
    raw["processors"]["revenue"]["due"] = "when_over"
    with pytest.raises(
        BadPipeline, match=r"processor 'revenue': due: the pipeline does not declare when .* \(unit: over\)"
    ):
        build(raw, folder)
    assert build(raw | {"unit": {"over": OVER}}, folder).processors["revenue"].due == "when_over"


def test_the_second_pipeline_knows_no_games() -> None:
    shop = load_pipeline(TINY)
    assert shop.calendar is None
    assert str(shop.timezone) == "Europe/Berlin"
    assert shop.levels == {"orders": 0, "revenue": 1}
    assert shop.longest_lookback == 6
    assert shop.processors["revenue"].upstream["orders"] == Upstream(own_day="always", lookback_days=6)
    assert "PARTITION BY day" in create_table(shop.processors["revenue"])
    assert "INTERVAL 6 DAY" in render(shop, "revenue", shop.processors["revenue"])


@pytest.fixture(scope="module")
def nba() -> Pipeline:
    return load_pipeline()


def test_every_processor_comes_after_everything_that_it_reads(nba: Pipeline) -> None:
    order = list(nba.processors)
    for p in nba.processors.values():
        for name in p.upstream:
            assert order.index(name) < order.index(p.name)
            assert nba.levels[name] < nba.levels[p.name]
            assert nba.processors[name].phase <= p.phase


def test_every_processor_is_found_by_name_and_by_alias_in_any_case(nba: Pipeline) -> None:
    for p in nba.processors.values():
        assert nba.processor(p.name) is p
        if p.alias:
            assert nba.processor(p.alias) is nba.processor(p.alias.lower()) is p


def test_a_completion_is_announced_on_the_own_topic_or_on_that_of_the_phase_or_nowhere() -> None:
    declared: dict[str, Raw] = {"own": {"topic": "mine"}, "of_phase": {}, "nowhere": {"phase": 2}}
    pipeline = declare(declared, topics={1: "first"})
    assert [pipeline.topic_of(p) for p in pipeline.processors.values()] == ["mine", "first", None]


def test_a_choice_of_phases_and_processors_adds_up(nba: Pipeline) -> None:
    assert nba.select() == frozenset()
    phase_3 = nba.select(phases=(3,))
    assert phase_3 == {p.name for p in nba.processors.values() if p.phase == 3}
    assert nba.select(("pcf",), (3,)) == phase_3 | {"player_composite_factors"}


def test_every_date_column_is_a_date_and_every_key_a_column_of_every_table(nba: Pipeline) -> None:
    assert {p.date_column for p in nba.processors.values()} == {"game_date", "analysis_date", "cache_date"}
    for p in nba.processors.values():
        assert p.columns[p.date_column].type == "DATE"
        assert {*p.key, *p.expect_on} <= p.columns.keys()
        assert p.gate_pct == 90
        assert p.warn_pct == 95


def test_every_declared_expectation_can_be_written_as_a_query(nba: Pipeline) -> None:
    for p in nba.processors.values():
        wanted = expected_keys(nba, p)
        assert (wanted is None) == (p.expect is None)
        if wanted:
            assert "{" not in wanted, p.name
            assert "@first" in wanted, p.name


def test_who_may_play_is_decided_in_one_place_and_never_by_the_table_that_is_measured_by_it(nba: Pipeline) -> None:
    """What is missing of upcoming_player_game_context must not be missing from what is expected."""
    readers = [p.name for p in nba.processors.values() if "upcoming_player_game_context" in p.upstream]
    assert readers == ["player_composite_factors"]
    assert nba.processors["player_composite_factors"].preferred == (
        "upcoming_player_game_context",
        Upstream(own_day="upcoming", fallback="player_game_summary"),
    )
    for name in ("upcoming_player_game_context", "player_composite_factors", "ml_feature_store_v2"):
        p = nba.processors[name]
        assert p.expect
        assert "expect_upcoming_players" in {form.query for form in p.expect.forms}
        wanted = expected_keys(nba, p)
        assert wanted
        assert "INTERVAL 30 DAY" in wanted
        assert "upcoming_player_game_context" not in wanted


def test_every_processor_that_runs_reads_every_upstream_that_can_make_it_stale(nba: Pipeline) -> None:
    """A version that no query reads would rebuild for nothing."""
    for p in nba.processors.values():
        if p.run == "sql":
            text = nba.texts[p.name]
            unread = [name for name, edge in p.upstream.items() if edge.version and f"{{{name}}}" not in text]
            assert not unread, f"{p.name} does not read {unread}"


def test_the_default_file_is_the_one_beside_the_code(nba: Pipeline) -> None:
    assert DEFAULT_FILE.name == "pipeline.yaml"
    assert nba.name == "nba"
    assert nba.history_start == date(1946, 11, 1)
    assert str(Target("schedule", nba.history_start)) == "schedule 1946-11-01"
