"""The record behind every verdict, and the document that tells it to readers."""

from __future__ import annotations

import re

from gapless.verdict import IS_A_GAP, SETTLED, WORST_FIRST, Asks, Verdict
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")


def named(sentence: str) -> set[str]:
    """The words of a sentence that stand between marks of code."""
    return set(re.findall(r"`(\w+)`", sentence))


def test_the_table_of_the_document_is_that_of_the_records() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in DOCUMENT.splitlines()]
    told = {row[0].strip("`"): row[1:4] for row in rows if row and row[0].strip("`") in list(Verdict)}
    assert list(told) == [*Verdict]
    for verdict in Verdict:
        sign, words, asks = told[verdict]
        meaning = verdict.meaning
        assert sign.strip("`") == meaning.sign.strip()
        assert words.startswith(meaning.words), verdict
        assert asks == meaning.asks


def test_the_document_names_what_is_a_gap_and_what_is_settled() -> None:
    gap = DOCUMENT.partition("is a **gap** while its verdict is ")[2].partition(".")[0]
    settled = DOCUMENT.partition("(*settled*): ")[2].partition(".")[0]
    assert (named(gap), named(settled)) == (IS_A_GAP, SETTLED)


def test_no_two_verdicts_have_the_same_sign_or_rank() -> None:
    assert len({verdict.meaning.sign for verdict in Verdict}) == len(Verdict)
    assert len({verdict.meaning.rank for verdict in Verdict}) == len(Verdict)
    assert (WORST_FIRST[0], WORST_FIRST[-1]) == (Verdict.UNKNOWN, Verdict.OFF_DAY)


def test_every_gap_asks_for_something_and_nobody_builds_on_it() -> None:
    assert all(verdict.meaning.asks is not Asks.NOTHING for verdict in IS_A_GAP)
    assert not IS_A_GAP & SETTLED
