"""`gapless validate`: three formats, one answer, and commands that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from gapless.model import Target
from tests.conftest import Result, Shop, parsed, plain

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
DAY = date(2024, 2, 3)
NOW = "2024-02-12T11:00Z"
CHECKS = ["coverage", "quality", "cascade", "consistency", "history"]
pytestmark = pytest.mark.run(now=NOW, built=(FIRST, LAST))


def test_a_complete_range_passes(run: Callable[..., Result]) -> None:
    result = run("validate")
    assert (result.code, result.err) == (0, "")
    assert "Validation of 2024-02-01 to 2024-02-12: passed" in result.out
    for check in CHECKS:
        assert re.search(rf"^{check} +pass +0 +0 +0", result.out, flags=re.M), check
    told = parsed(run("validate", "--json"))
    assert (told["passed"], told["start_date"], told["end_date"]) == (True, "2024-02-01", "2024-02-12")
    assert [row["check"] for row in told["checks"]["rows"]] == CHECKS
    assert told["findings"]["rows"] == told["expected"]["rows"] == []


def test_a_loss_is_told_alike_in_three_formats(run: Callable[..., Result], chain: Shop) -> None:
    chain.delete(Target("revenue", DAY))
    told = run("validate", "--json")
    assert told.code == 1
    report = parsed(told)
    first = report["findings"]["rows"][0]
    assert first == {
        "check": "coverage", "rule": "nothing there", "severity": "critical", "category": "true_gap",
        "processor": "revenue", "from": "2024-02-03", "to": "2024-02-03", "dates": 1, "expected": 3, "found": 0,
        "follows": False, "evidence": "none of 3 expected keys; its upstream is complete",
        "repair": f"gapless apply --start-date {DAY} --end-date {DAY} --home {chain.home} --now {NOW}",
    }  # fmt: skip
    assert {row["processor"] for row in report["findings"]["rows"] if row["follows"]} == {"forecast", "standing"}

    markdown = run("validate", "--markdown")
    assert (markdown.code, markdown.err) == (1, "")
    assert markdown.out.startswith(
        "# Validation of 2024-02-01 to 2024-02-12: failed\n\n## Checks\n\n| check | result |"
    )
    assert f"| `{first['repair']}` |" in markdown.out
    assert "| coverage | fail | " in markdown.out

    person = run("validate")
    assert person.code == 1
    text = plain(person.out)
    for words in (
        "critical revenue 2024-02-03 true_gap", "coverage, nothing there: none of 3 expected keys",
        "Follow from these: 4 targets", "forecast: 2024-02-03",
    ):  # fmt: skip
        assert words in text
    assert f"    fix: {first['repair']}\n" in person.out


def test_commands_are_printed_on_one_line_however_narrow_the_terminal_is(
    run: Callable[..., Result], chain: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.delete(Target("revenue", DAY))
    monkeypatch.setenv("COLUMNS", "60")
    fix = f"fix: gapless apply --start-date {DAY} --end-date {DAY} --home {chain.home} --now {NOW}"
    assert f"{fix}\n" in run("validate").out


@pytest.mark.parametrize(
    "hurt",
    [
        lambda shop: shop.delete(Target("revenue", DAY)),
        lambda shop: shop.delete(Target("standing", DAY), "branch != 'A'"),
        lambda shop: shop.update(Target("forecast", DAY), "cents = cents + 1"),
        lambda shop: shop.copy_rows(Target("standing", DAY), DAY, "branch = 'A'"),
        lambda shop: shop.update(Target("orders", DAY), "amount_cents = amount_cents + 1"),
        lambda shop: [
            shop.run(f"DELETE FROM {shop.ledger_table(name)} WHERE processor_name = 'standing'")
            for name in ("attempts", "backfill_date_outcomes")
        ],
    ],
    ids=["gone", "thin", "changed", "twice", "corrected below", "unrecorded"],
)
def test_what_is_printed_repairs_it(
    run: Callable[..., Result], gapless: Callable[..., Result], chain: Shop, hurt: Any
) -> None:
    hurt(chain)
    for _ in range(2):  # what a repair changes may be a finding of its own
        found = run("validate", "--strict")
        fixes = dict.fromkeys(re.findall(r"fix: gapless (.*)", found.out))
        assert (found.code, bool(fixes)) in {(1, True), (0, False)}
        for words in fixes:
            assert gapless(*shlex.split(words, comments=True)).code in (0, 1)
    assert run("validate", "--strict").code == 0


def test_a_range_phases_processors_and_checks_narrow_it(run: Callable[..., Result], chain: Shop) -> None:
    chain.delete(Target("revenue", DAY))
    chain.delete(Target("standing", LAST))
    assert run("validate", "--end-date", "2024-02-02").code == 0
    only = parsed(run("validate", "--phase", "4", "--start-date", LAST, "--json"))
    assert {row["processor"] for row in only["findings"]["rows"]} == {"standing"}
    phases = parsed(run("validate", "--phase", "2,3", "--json"))
    assert {row["processor"] for row in phases["findings"]["rows"]} == {"revenue", "forecast"}
    named = parsed(run("validate", "--processors", "forecast", "--checks", "coverage,history", "--json"))
    assert [row["check"] for row in named["checks"]["rows"]] == ["coverage", "history"]
    assert {row["processor"] for row in named["findings"]["rows"]} == {"forecast"}


def test_what_a_later_phase_reads_is_asked_with_its_look_back(run: Callable[..., Result], chain: Shop) -> None:
    chain.delete(Target("revenue", DAY))
    words = ("--phase", "2", "--checks", "coverage", "--start-date", "2024-02-05", "--end-date", "2024-02-06")
    assert run("validate", *words).code == 0
    result = run("validate", *words, "--for-phase", "4")
    assert result.code == 1
    assert "what phase 4 reads, so many days back: revenue 2" in result.out


def test_a_warning_fails_only_where_it_is_asked_to(run: Callable[..., Result], chain: Shop) -> None:
    chain.run(f"DELETE FROM {chain.ledger_table('attempts')} WHERE processor_name = 'standing'")
    chain.run(f"DELETE FROM {chain.ledger_table('backfill_date_outcomes')} WHERE processor_name = 'standing'")
    told = run("validate")
    assert told.code == 0
    assert "warning   standing  2024-02-01 … 2024-02-06 (6 dates)  untracked" in told.out
    assert run("validate", "--strict").code == 1


def test_each_date_can_have_its_line(run: Callable[..., Result], chain: Shop) -> None:
    chain.delete(Target("revenue", DAY))
    told = parsed(run("validate", "--by-date", "--json", "--end-date", "2024-02-04"))
    assert [(row["date"], row["data"], row["issue"], row["processors"]) for row in told["dates"]["rows"]] == [
        ("2024-02-01", "ok", "none", ""),
        ("2024-02-02", "ok", "none", ""),
        ("2024-02-03", "missing", "true gap", "revenue"),
        ("2024-02-04", "wrong", "cascading", "standing"),
    ]
    assert "By date" in run("validate", "--by-date").out


def test_findings_beyond_the_limit_are_counted(run: Callable[..., Result], chain: Shop) -> None:
    for day in (FIRST, DAY, LAST):
        chain.delete(Target("standing", day))
    out = run("validate", "--limit", "1").out
    assert out.count("fix: ") == 1
    assert "… 2 more places; see all with --limit 3, --markdown or --json" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--checks", "covrage"), "there is no check 'covrage'; there are coverage, quality, cascade"),
        (("--json", "--markdown"), "two formats; choose one"),
        (("--for-phase", "1"), "phase 1 reads nothing of what you chose"),
        (("--for-phase", "9"), "there is no phase 9"),
        (("--phase", "nine"), "'nine' is not a number"),
        (("--start-date", "2024-02-05", "--end-date", "2024-02-01"), "2024-02-05 is after --end-date"),
        (("--start-date", "2024-03-05"), "lies in the future"),
        (("--start-date", "2023-03-01", "--end-date", "2023-03-05"), "the data begins on 2024-02-01"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(run: Callable[..., Result], words: tuple[str, ...], told: str) -> None:
    result = run("validate", *words)
    assert (result.code, result.out) == (2, "")
    assert told in plain(result.err)


def test_an_empty_warehouse_did_not_pass(
    chain: Shop, gapless: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    for words in ((), ("--start-date", "2024-02-01", "--end-date", "2024-02-02")):
        result = gapless("validate", *words, "--home", chain.home, "--now", NOW)
        assert (result.code, result.out) == (4, "")
        assert "hold nothing at all" in result.err


def test_it_changes_nothing(run: Callable[..., Result], chain: Shop) -> None:
    chain.delete(Target("standing", DAY))
    before = (chain.versions(), chain.rows(f"SELECT COUNT(*) FROM {chain.ledger_table('attempts')}"))
    run("validate")
    assert (chain.versions(), chain.rows(f"SELECT COUNT(*) FROM {chain.ledger_table('attempts')}")) == before
