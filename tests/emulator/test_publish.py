"""Publishing replaces whole partitions, all of a batch or none, and never over a newer claim."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from gapless.errors import CannotObserve
from gapless.execute.workshop import SqlWorkshop, staging_table
from gapless.model import Batch, Status, Target, Wanted, days_between
from gapless.tasks.load import load
from tests.conftest import Season, Shop

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 10)
D3, D4, D5 = (date(2024, 2, day) for day in (3, 4, 5))
TODAY = date(2024, 2, 12)


@pytest.fixture
def complete(chain: Shop) -> Shop:
    """Ten days of three branches, built through every phase, and then a source that is a little different."""
    chain.built(FIRST, LAST)
    chain.run("UPDATE `shop_raw.orders` SET amount_cents = amount_cents + 1 WHERE TRUE")
    return chain


def claimed(shop: Shop, processor: str, days: tuple[date, ...]) -> tuple[SqlWorkshop, Batch]:
    """A staged batch under a claim of its own."""
    look = shop.scan()
    book = shop.engine().executor.ledger
    seen = look.observation.ledger
    wanted = [Wanted(Target(processor, day), 0, "test") for day in days]
    claim = book.claim(wanted, seen.newest_claim, seen.generation, "run-of-the-test")
    workshop = SqlWorkshop(shop.gapless.warehouse, shop.pipeline)
    batch = Batch(processor, days, claim.number, 0)
    workshop.stage(batch, TODAY)
    return workshop, batch


def changed(before: dict[Target, object], after: dict[Target, object]) -> set[Target]:
    return {target for target in before | after if before.get(target) != after.get(target)}


def test_only_the_given_dates_are_replaced(complete: Shop) -> None:
    before, runs = complete.versions(), complete.runs()
    workshop, batch = claimed(complete, "revenue", (D3, D4, D5))
    workshop.publish(batch, [D4], "run-of-the-test", complete.clock())
    workshop.discard(batch)
    assert changed(before, complete.versions()) == {Target("revenue", D4)}
    assert changed(runs, complete.runs()) == {Target("revenue", D4)}
    assert complete.runs()[Target("revenue", D4)] == "run-of-the-test"
    assert complete.versions()[Target("revenue", D4)].rows == 3


def test_a_publication_that_fails_leaves_every_date_as_it_was(complete: Shop) -> None:
    """One bad row on one date: not even the good dates of the statement change."""
    before = [complete.content(Target("revenue", day)) for day in (D3, D4)]
    workshop, batch = claimed(complete, "revenue", (D3, D4))
    staged = staging_table(complete.pipeline, batch)
    complete.run(f"UPDATE `{staged}` SET branch = NULL WHERE day = @day AND branch = 'A'", day=D4)
    with pytest.raises(CannotObserve):
        workshop.publish(batch, [D3, D4], "run-of-the-test", complete.clock())
    assert [complete.content(Target("revenue", day)) for day in (D3, D4)] == before


def test_a_date_with_a_newer_claim_keeps_its_old_data(complete: Shop) -> None:
    before = complete.content(Target("revenue", D3))
    workshop, batch = claimed(complete, "revenue", (D3, D4))
    _, newer = claimed(complete, "revenue", (D3,))
    assert newer.claim == batch.claim + 1
    workshop.publish(batch, [D3, D4], "late-writer", complete.clock())
    assert complete.content(Target("revenue", D3)) == before
    assert complete.runs()[Target("revenue", D4)] == "late-writer"
    workshop.publish(newer, [D3], "newer-writer", complete.clock())
    assert complete.runs()[Target("revenue", D3)] == "newer-writer"


def test_a_newer_claim_of_another_processor_fences_nothing(complete: Shop) -> None:
    workshop, batch = claimed(complete, "revenue", (D3,))
    claimed(complete, "standing", (D3,))
    workshop.publish(batch, [D3], "run-of-the-test", complete.clock())
    assert complete.runs()[Target("revenue", D3)] == "run-of-the-test"


def test_a_repeated_publication_changes_nothing_but_times(complete: Shop) -> None:
    workshop, batch = claimed(complete, "revenue", (D3, D4))
    contents = []
    for _ in range(2):
        workshop.publish(batch, [D3, D4], "run-of-the-test", complete.clock())
        contents.append([complete.content(Target("revenue", day)) for day in (D3, D4)])
    first, second = ([[row[:-1] for row in part] for part in content] for content in contents)
    assert first == second
    assert contents[0] != contents[1]  # processed_at, the last column


def test_a_date_for_which_nothing_was_staged_is_emptied_when_it_is_published(complete: Shop) -> None:
    workshop, batch = claimed(complete, "revenue", (D3, D4))
    complete.run(f"DELETE FROM `{staging_table(complete.pipeline, batch)}` WHERE day = @day", day=D4)
    workshop.publish(batch, [D3, D4], "run-of-the-test", complete.clock())
    assert (complete.count(Target("revenue", D3)), complete.count(Target("revenue", D4))) == (3, 0)


def test_nobody_else_sees_what_is_staged_and_nothing_of_it_is_left_over(complete: Shop) -> None:
    before = complete.versions()
    workshop, batch = claimed(complete, "revenue", (D3, D4))
    assert complete.versions() == before
    assert len(complete.staged()) == 1
    workshop.discard(batch)
    complete.apply()
    assert complete.staged() == []


# ---------------------------------------------------------------------------------------- restate: never


def test_a_record_stays_byte_for_byte_when_what_it_was_made_from_changes(complete: Shop) -> None:
    """Also run and time of writing: what was forecast then is what was forecast then."""
    before = {day: complete.content(Target("forecast", day)) for day in days_between(FIRST, LAST)}
    report = complete.apply()
    assert report.after is not None
    assert report.after.judgement.complete
    assert {o.target.processor for o in report.outcomes} == {"revenue", "standing"}
    assert {day: complete.content(Target("forecast", day)) for day in before} == before


def test_a_forced_run_adds_what_is_missing_to_a_record_and_keeps_the_rest_byte_for_byte(complete: Shop) -> None:
    target = Target("forecast", D4)
    kept = [row for row in complete.content(target) if row[1] != "B"]
    complete.delete(target, "branch = 'B'")
    complete.apply(D4, D4, "revenue")
    report = complete.apply(D4, D4, "forecast", force=True)
    assert [o.status for o in report.outcomes] == [Status.COMPLETE]
    rows = complete.content(target)
    assert [row for row in rows if row[1] != "B"] == kept
    (added,) = (row for row in rows if row[1] == "B")
    assert added[-2] == report.run_id


def test_damaged_rows_of_a_record_are_replaced_and_whole_ones_kept(complete: Shop) -> None:
    target = Target("forecast", D4)
    kept = [row for row in complete.content(target) if row[1] != "B"]
    complete.update(target, "cents = cents + 1", "branch = 'B'")
    complete.copy_rows(target, D4, "branch = 'A'")
    report = complete.apply(D4, D4, "forecast", "revenue")
    assert Target("forecast", D4) in {o.target for o in report.outcomes}
    rows = complete.content(target)
    assert [row for row in rows if row[1] != "B"] == kept
    assert len(rows) == 3
    assert not complete.scan(D4, D4, "forecast").judgement.gaps


# ------------------------------------------------------------------------------------------------ loading


def order(shop: Shop, *rows: tuple[str, date, str, int]) -> int:
    """Load orders as the command line does, after the file was checked."""
    pa = pytest.importorskip("pyarrow")
    from gapless.files import RawRows

    names = ("order_id", "order_day", "branch", "amount_cents")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    days = tuple(sorted({row[1] for row in rows}))
    return load(shop.gapless.warehouse, shop.pipeline, RawRows("orders", table, "orders.csv", days), shop.clock()).rows


def test_a_load_replaces_the_dates_that_it_holds_and_no_other(chain: Shop) -> None:
    chain.sell(D3, D5)
    others = [chain.content(Target("orders", day)) for day in (D3, D5)]
    assert order(chain, ("new", D4, "A", 1)) == 1
    assert [row[0] for row in chain.content(Target("orders", D4))] == ["new"]
    assert [chain.content(Target("orders", day)) for day in (D3, D5)] == others


def test_a_load_repeated_leaves_the_same_version(chain: Shop) -> None:
    rows = [(f"{day}-{n}", day, "A", n) for day in (D3, D4) for n in range(3)]
    versions = []
    for _ in range(2):
        order(chain, *rows)
        versions.append([seen and seen[:9] for seen in chain.scan().observation.columns["orders"]])
    assert versions[0] == versions[1]


def test_a_load_replaces_the_rows_of_its_own_source_only(chain: Shop, tmp_path: Path) -> None:
    by_branch = chain.variant(tmp_path, change={"orders": {"replace_by": ["branch"]}})
    chain.sell(D3, D4, "AB")
    order(by_branch, ("new", D3, "A", 1))
    assert [(row[0], row[2]) for row in chain.content(Target("orders", D3))] == [
        ("0203-B0", "B"),
        ("0203-B1", "B"),
        ("new", "A"),
    ]
    assert chain.count(Target("orders", D4)) == 4


def test_a_schedule_from_box_scores_never_removes_the_schedules_own_rows(built_season: Season) -> None:
    """Two sources describe one game: a load of one leaves what the other said."""
    pa = pytest.importorskip("pyarrow")
    from gapless.files import RawRows

    day = built_season.season.game_dates[30]
    schedule = built_season.pipeline.processor("schedule")
    target = Target("schedule", day)
    names = [c.name for c in schedule.content]
    rows = built_season.rows(
        f"SELECT {', '.join(names)} FROM `{schedule.table}` WHERE game_date = @day AND data_source = 'schedule'",
        day=day,
    )
    assert rows
    before = built_season.content(target)
    types = {"STRING": pa.string(), "DATE": pa.date32(), "INT64": pa.int64(), "BOOL": pa.bool_()}
    columns = {
        c.name: pa.array(values, types.get(c.type, pa.timestamp("us", "UTC")))
        for c, values in zip(schedule.content, zip(*rows, strict=True), strict=True)
    }
    from_boxes = pa.table(columns | {"data_source": pa.array(["boxscore-test"] * len(rows))})
    for table, count in ((from_boxes, 2), (from_boxes, 2), (from_boxes.slice(0, 1), 1)):
        wanted = len(before) + (len(rows) if count == 2 else 1)
        load(
            built_season.gapless.warehouse,
            built_season.pipeline,
            RawRows("schedule", table, "box", (day,)),
            built_season.gapless.clock(),
        )
        assert built_season.count(target) == wanted
    built_season.delete(target, "data_source = 'boxscore-test'")
    assert built_season.content(target) == before


# -------------------------------------------------------------------------- what the ledger says of a claim


def test_the_fence_looks_at_numbers_and_not_at_times(complete: Shop) -> None:
    """A newer claim fences even where its writer's clock is behind."""
    workshop, batch = claimed(complete, "revenue", (D3,))
    before = complete.content(Target("revenue", D3))
    complete.run(
        f"INSERT INTO {complete.ledger_table('attempts')} (claim_number, run_id, processor_name, target_date, owner, "
        "claimed_at, lease_until) VALUES (@n, 'other', 'revenue', @day, 'elsewhere/1/1/x', @then, @then)",
        n=batch.claim + 5,
        day=D3,
        then=complete.clock() - timedelta(days=1),
    )
    workshop.publish(batch, [D3], "late-writer", complete.clock())
    assert complete.content(Target("revenue", D3)) == before
