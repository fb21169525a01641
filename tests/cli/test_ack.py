"""`gapless ack`: what it prints, what it refuses, and that its words hold for every other command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Result, Shop, plain

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
DAY = "2024-02-03"
NOW = "2024-02-12T11:00Z"
WORD = ("--processor", "revenue", "--start-date", DAY, "--reason", "lost in the move", "--owner", "ana")
pytestmark = pytest.mark.run(now=NOW, sold=(FIRST, LAST))


def parsed(result: Result) -> Any:
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def test_a_gap_is_acknowledged_shown_everywhere_and_taken_back(
    run: Callable[..., Result], gapless: Callable[..., Result]
) -> None:
    added = run("ack", "add", *WORD, "--expires", "2024-03-01")
    assert (added.code, added.err) == (0, "")
    assert added.out.splitlines() == [
        "acknowledged: revenue 2024-02-03, until 2024-03-01 (ana): lost in the move",
        "  1 of its targets are left alone now",
    ]
    scan = plain(run("scan").out)
    assert "a acknowledged 1" in scan
    assert "Acknowledged, and left alone: 1" in scan
    assert "revenue 2024-02-03 … 2024-02-03 (1): lost in the move (ana, until 2024-03-01)" in scan
    (told,) = json.loads(run("scan", "--json").out)["acknowledged"]
    assert told == {
        "processor": "revenue", "start_date": DAY, "end_date": DAY, "reason": "lost in the move", "owner": "ana",
        "expires": "2024-03-01", "acknowledged_at": told["acknowledged_at"], "state": "active", "targets": 1,
        "reopened": [], "complete": 0, "note": "",
    }  # fmt: skip
    assert DAY not in {day for wave in parsed_plan(run) for action in wave for day in action["dates"]}
    explained = plain(run("explain", DAY, "revenue").out)
    assert "revenue acknowledged" in explained
    assert "acknowledged by ana on 2024-02-12, until 2024-03-01: lost in the move" in explained
    assert "Nothing needs fixing." in explained
    listed = plain(run("ack", "list").out)
    assert "revenue 2024-02-03 2024-02-03 active 1 ana 2024-03-01 lost in the move" in listed
    assert "| revenue | 2024-02-03 | 2024-02-03 | active | 1 | ana |" in run("ack", "list", "--markdown").out

    removed = run("ack", "remove", "--processor", "revenue", "--start-date", DAY)
    assert removed.out.startswith("removed: revenue 2024-02-03, until 2024-03-01 (ana)")
    command = removed.out.partition("with: gapless ")[2]
    assert gapless(*shlex.split(command)).code == 1
    assert parsed(run("ack", "list", "--json")) == {"acknowledged": []}
    assert any(gap["date"] == DAY for gap in json.loads(run("scan", "--json").out)["gaps"])


def parsed_plan(run: Callable[..., Result]) -> Any:
    return json.loads(run("plan", "--json", "--processors", "revenue").out)["waves"]


def test_several_processors_are_acknowledged_at_once_and_a_second_time_replaces(run: Callable[..., Result]) -> None:
    words = ("--start-date", "yesterday", "--end-date", "today", "--reason", "closed", "--owner", "ana")
    first = run("ack", "add", "--processor", "revenue,forecast", *words)
    assert [line.split()[:2] for line in first.out.splitlines()[::2]] == [
        ["acknowledged:", "forecast"], ["acknowledged:", "revenue"],
    ]  # fmt: skip
    assert "none of its targets is a gap now; it takes effect when one is" in first.out
    again = run("ack", "add", "--processor", "revenue", *words[:-1], "ben")
    assert again.out.startswith("replaced: revenue 2024-02-11 to 2024-02-12, without expiry (ben): closed")
    told = parsed(run("ack", "list", "--json"))["acknowledged"]
    assert [(each["processor"], each["owner"]) for each in told] == [("forecast", "ana"), ("revenue", "ben")]


def test_a_file_carries_them_from_one_ledger_to_another(
    run: Callable[..., Result], chain: Shop, tmp_path: Path
) -> None:
    run("ack", "add", *WORD, "--expires", "2024-03-01")
    run("ack", "add", "--processor", "orders", "--start-date", DAY, "--end-date", "2024-02-05", *WORD[4:])
    file, again = tmp_path / "gaps.yaml", tmp_path / "again.yaml"
    assert run("ack", "export", file).out == f"{file}: 2 acknowledgements\n"
    assert run("ack", "export", "-").out == file.read_text(encoding="utf-8")
    chain.run(f"DELETE FROM {chain.ledger_table('acknowledged_gaps')} WHERE TRUE")
    looked = run("ack", "import", file, "--dry-run")
    assert f"{file}: 2 new, 0 changed, 0 as they were\nNothing was written." in looked.out
    assert parsed(run("ack", "list", "--json")) == {"acknowledged": []}
    assert f"{file}: 2 new, 0 changed, 0 as they were\n" in run("ack", "import", file).out
    run("ack", "export", again)
    assert again.read_bytes() == file.read_bytes()

    assert run("ack", "import", file).out == f"{file}: 0 new, 0 changed, 2 as they were\n"
    file.write_text(file.read_text(encoding="utf-8").replace("owner: ana", "owner: ben", 1), encoding="utf-8")
    run("ack", "add", "--processor", "standing", "--start-date", DAY, *WORD[4:])
    facts = parsed(run("ack", "import", file, "--json"))
    assert [len(facts[name]) for name in ("new", "changed", "same", "only_in_ledger")] == [0, 1, 1, 1]
    rows = chain.rows(f"SELECT COUNT(*) FROM {chain.ledger_table('acknowledged_gaps')}")
    assert rows == [(4,)]


def test_nothing_of_a_malformed_file_is_taken(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "gaps.yaml"
    good = "acknowledged:\n- {processor: revenue, start_date: 2024-02-03, end_date: 2024-02-03, reason: r, owner: o}\n"
    file.write_text(
        good + "- {processor: revenue, start_date: 2024-02-30, end_date: 2024-02-05, reason: r, owner: o}\n"
    )
    result = run("ack", "import", file)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "gapless: gaps.yaml: entry 2 (revenue): start_date '2024-02-30' is not a date that exists; "
        "write it as YYYY-MM-DD\n"
    )
    assert parsed(run("ack", "list", "--json")) == {"acknowledged": []}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", *WORD, "--end-date", "2024-02-01"), "start_date 2024-02-03 is after end_date 2024-02-01; exchange"),
        (("add", *WORD, "--expires", "2024-02-11"), "--expires 2024-02-11 has passed (today is 2024-02-12)"),
        (("add", *WORD[:-1], " "), "owner is empty; name a person or a group"),
        (("add", *WORD[:4], "--reason", "", *WORD[6:]), "reason is empty; say why"),
        (("add", "--processor", "revenu", *WORD[2:]), "there is no processor 'revenu'"),
        (("add", *WORD[2:]), "Missing option '--processor'"),
        (("remove", *WORD[:4]), "revenue has no acknowledgement of exactly 2024-02-03 to 2024-02-03; there is none"),
        (("import", "nowhere.yaml"), "nowhere.yaml cannot be read: No such file"),
        (("export", "/nowhere/gaps.yaml"), "/nowhere/gaps.yaml cannot be written: No such file"),
        (("export", "-", "--json"), "would share standard output"),
        (("forget",), "No such command 'forget'"),
    ],
)
def test_wrong_use_is_one_sentence_and_changes_nothing(
    run: Callable[..., Result], chain: Shop, words: tuple[str, ...], said: str
) -> None:
    result = run("ack", *words)
    assert (result.code, result.out) == (2, "")
    assert said in plain(result.err)
    assert chain.rows(f"SELECT COUNT(*) FROM {chain.ledger_table('acknowledged_gaps')}") == [(0,)]


def test_removing_names_the_ranges_that_exist(run: Callable[..., Result]) -> None:
    run("ack", "add", *WORD, "--end-date", "2024-02-05")
    result = run("ack", "remove", *WORD[:4])
    assert result.code == 2
    assert "there is 2024-02-03 to 2024-02-05" in result.err


def test_every_subcommand_explains_itself(gapless: Callable[..., Result]) -> None:
    for name in ("add", "remove", "list", "export", "import"):
        result = gapless("ack", name, "--help")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith(f"Usage: gapless ack {name} ")
