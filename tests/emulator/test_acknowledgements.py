"""Acknowledgements in a real ledger: given, replaced, withdrawn, carried over, and honoured by every repair."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from gapless.model import Acknowledged, Target, Verdict
from gapless.questions.acknowledgements import AckState, as_yaml, compare, in_look, parse, read
from gapless.questions.explain import explain
from tests.conftest import Shop

FIRST, DAY, LAST = date(2024, 2, 1), date(2024, 2, 3), date(2024, 2, 6)
OLD = datetime(2023, 12, 24, 18, 30, 0, 123456, tzinfo=UTC)


def word(processor: str = "revenue", first: date = DAY, last: date = DAY, **more: object) -> Acknowledged:
    return Acknowledged(processor, first, last, "lost in the move", "ana", **more)  # type: ignore[arg-type]


def held(shop: Shop) -> list[Acknowledged]:
    return read(shop.gapless.warehouse, shop.pipeline)


def test_the_newest_word_about_a_range_counts_until_it_is_withdrawn(shop: Shop) -> None:
    book = shop.book()
    book.declare([word(), word(first=FIRST), word("orders", LAST, LAST, expires=LAST)])
    book.declare([word()._replace(owner="ben")])
    found = held(shop)
    assert [(w.processor, w.first, w.last, w.owner, w.expires) for w in found] == [
        ("orders", LAST, LAST, "ana", LAST), ("revenue", FIRST, DAY, "ana", None), ("revenue", DAY, DAY, "ben", None),
    ]  # fmt: skip
    book.withdraw(found[1:])
    assert held(shop) == found[:1]
    assert shop.rows(f"SELECT COUNT(*) FROM {shop.ledger_table('acknowledged_gaps')}") == [(6,)]


def test_a_word_with_an_old_time_still_comes_after_what_was_said_before(shop: Shop) -> None:
    """A file from another ledger, or a clock that runs slow, must not lose against a withdrawal that it follows."""
    book = shop.book()
    book.declare([word()])
    (first,) = held(shop)
    book.withdraw([first])
    book.declare([word(since=OLD)])
    (again,) = held(shop)
    assert first.since is not None
    assert again.since is not None
    assert first.since < again.since < first.since + timedelta(minutes=1)


def test_a_ledger_travels_through_a_file_and_back_to_the_same_bytes(shop: Shop) -> None:
    words = [word(since=OLD), word("orders", FIRST, LAST, expires=date(2027, 1, 1), since=OLD + timedelta(days=1))]
    words.append(Acknowledged("revenue", FIRST, DAY, 'it\'s "gone": 100 % # really\\n', "o'neil", None, OLD))
    shop.book().declare(words)
    text = as_yaml(held(shop))
    shop.run(f"DELETE FROM {shop.ledger_table('acknowledged_gaps')} WHERE TRUE")
    entries = parse(text, shop.pipeline, "gaps.yaml")
    shop.book().declare(entries)
    assert as_yaml(held(shop)) == text
    assert compare(held(shop), entries).new == compare(held(shop), entries).changed == []


def test_an_acknowledged_gap_is_left_alone_by_every_repair_shown_by_every_look_and_explained(shop: Shop) -> None:
    shop.sell(FIRST, LAST)
    shop.book().declare([word(first=FIRST, expires=date(2024, 3, 1))])
    report = shop.apply()
    assert report.after is not None
    assert report.after.judgement.complete
    assert {o.target.day for o in report.outcomes} == {date(2024, 2, 4), date(2024, 2, 5), LAST}
    assert report.after.judgement.counts()[Verdict.ACKNOWLEDGED] == 3
    assert shop.apply(FIRST, LAST, force=True).landed == {o.target for o in report.outcomes}
    (told,) = in_look(shop.pipeline, report.after)
    assert (told.state, told.targets, told.filled) == (AckState.ACTIVE, 3, 0)
    evidence = explain(shop.pipeline, report.after, Target("revenue", DAY))
    assert (evidence.verdict, [w.owner for w in evidence.acknowledged]) == (Verdict.ACKNOWLEDGED, ["ana"])
    assert not list(evidence.roots())


def test_it_reopens_when_its_source_is_written_and_when_its_last_day_has_passed(shop: Shop) -> None:
    shop.sell(FIRST, DAY)
    shop.book().declare([word(expires=date(2024, 2, 12)), word(first=FIRST, last=FIRST)])
    assert {g.target.day for g in shop.scan().judgement.gaps} == {date(2024, 2, 2)}

    shop.run("UPDATE `shop_raw.orders` SET processed_at = @now WHERE order_day = @day", now=shop.clock(), day=FIRST)
    reopened = shop.scan()
    assert {g.target.day for g in reopened.judgement.gaps} == {FIRST, date(2024, 2, 2)}
    assert {t.word.first: t.state for t in in_look(shop.pipeline, reopened)} == {
        FIRST: AckState.REOPENED, DAY: AckState.ACTIVE,
    }  # fmt: skip

    shop.clock.now += timedelta(days=1)
    expired = shop.scan()
    assert {g.target.day for g in expired.judgement.gaps} == {FIRST, date(2024, 2, 2), DAY}
    assert {t.word.first: t.state for t in in_look(shop.pipeline, expired)}[DAY] is AckState.EXPIRED
    report = shop.apply()
    assert report.after is not None
    assert report.after.judgement.complete
    assert in_look(shop.pipeline, report.after) == []
