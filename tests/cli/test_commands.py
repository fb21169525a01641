"""What each command prints, to a person and to a program, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from gapless.cli.main import COMMANDS
from gapless.model import Target, gap_id
from tests.conftest import ROOT, Result, Season, Shop, parsed, plain

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
DAY = date(2024, 2, 3)
NOW = "2024-02-12T11:00Z"
ESCAPE = "\x1b"
pytestmark = pytest.mark.run(now=NOW, sold=(FIRST, LAST))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(gapless: Callable[..., Result], name: str) -> None:
    result = gapless(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: gapless {name} ")
    for option in re.findall(r"^  (--[a-z-]+)", result.out, flags=re.M):
        # an option without a description is a riddle
        after = result.out.split(f"  {option}", 1)[1].split("\n  -", 1)[0]
        assert len(plain(after)) > 10, f"{name} {option}"


def test_the_help_lists_every_command_and_every_exit_code(gapless: Callable[..., Result]) -> None:
    result = gapless("--help")
    assert result.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z]", result.out, flags=re.M), name
    for code in range(5):
        assert re.search(rf"^ +{code}  [a-z]", result.out, flags=re.M)


def test_the_version_is_told() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gapless.cli.main", "--version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "is not installed" in result.stderr:
        pytest.skip("gapless runs from its folder here: an installed package has a version")
    assert re.search(r"\d+\.\d+\.\d+", result.stdout)


# ----------------------------------------------------------------------------------------------------- scan


def test_scan_as_json_has_counts_gaps_and_the_plan(run: Callable[..., Result]) -> None:
    result = run("scan", "--json")
    assert result.code == 1
    look = parsed(result)
    assert look["complete"] is False
    assert look["counts"] == {"complete": 6, "blocked": 12, "missing": 6, "off_day": 8} | look["counts"]
    assert (look["start_date"], look["end_date"]) == ("2024-02-01", "2024-02-12")
    gap = next(gap for gap in look["gaps"] if (gap["processor"], gap["date"]) == ("revenue", "2024-02-03"))
    assert gap["id"] == gap_id(Target("revenue", DAY))
    assert {name: gap[name] for name in ("verdict", "expected", "covered", "coverage_pct", "phase")} == {
        "verdict": "missing",
        "expected": 3,
        "covered": 0,
        "coverage_pct": 0.0,
        "phase": 2,
    }
    assert gap["age_days"] == pytest.approx(0, abs=0.1)
    assert gap["reason"] == "none of 3 expected keys, upstream complete"
    assert gap["fix"].startswith("gapless apply --start-date 2024-02-03 --end-date 2024-02-03 --home ")
    waiting = next(gap for gap in look["gaps"] if gap["processor"] == "forecast")
    assert (waiting["verdict"], waiting["blockers"]) == ("blocked", ["revenue 2024-02-01"])
    assert re.fullmatch(r"[0-9a-f]{16}", look["plan"]["checksum"])
    assert look["plan"]["targets"] == 18
    assert [[action["processor"] for action in wave] for wave in look["plan"]["waves"]] == [
        ["revenue"],
        ["forecast"],
        ["standing"],
    ]
    assert look["plan"]["waves"][0][0]["dates"] == [f"2024-02-0{n}" for n in range(1, 7)]
    assert look["plan"]["waves"][0][0]["reasons"] == {"missing": 6}


def test_scan_for_people_says_what_is_wrong_why_and_what_fixes_it(run: Callable[..., Result]) -> None:
    result = run("scan")
    assert result.code == 1
    text = plain(result.out)
    for words in (
        "missing 6",
        "blocked 12",
        "none of 3 expected keys",
        "--start-date 2024-02-01 --end-date",
        "Repair with: gapless apply",
        "(18 targets in 3 waves)",
        "2024-02 ",
    ):
        assert words in text
    assert ESCAPE not in result.out


def test_a_scan_can_be_narrowed_to_dates_phases_and_processors(run: Callable[..., Result]) -> None:
    narrowed = parsed(run("scan", "--json", "--start-date", DAY, "--end-date", DAY, "--phases", "2"))
    assert [(gap["processor"], gap["date"]) for gap in narrowed["gaps"]] == [("revenue", "2024-02-03")]
    named = parsed(run("scan", "--json", "--processors", "forecast,standing", "--end-date", "2024-02-02"))
    assert {gap["processor"] for gap in named["gaps"]} == {"forecast", "standing"}
    assert {gap["date"] for gap in named["gaps"]} == {"2024-02-01", "2024-02-02"}


def test_words_for_dates_are_those_of_the_pipelines_zone(run: Callable[..., Result]) -> None:
    look = parsed(run("scan", "--json", "--start-date", "yesterday", "--end-date", "today"))
    assert (look["end_date"], look["counts"]) == ("2024-02-12", look["counts"])


def test_a_scan_changes_nothing(run: Callable[..., Result], chain: Shop) -> None:
    for command in ("scan", "plan"):
        run(command)
    assert chain.versions() == {}
    assert chain.rows(f"SELECT COUNT(*) FROM {chain.ledger_table('attempts')}") == [(1,)]


# ------------------------------------------------------------------------------------------- plan and apply


def test_a_plan_is_applied_as_it_was_reviewed_and_the_end_is_complete(run: Callable[..., Result], chain: Shop) -> None:
    planned = run("plan", "--json")
    assert planned.code == 1
    plan = parsed(planned)
    assert plan["bytes"] >= 0
    assert plan["held"] == []
    applied = run("apply", "--json", "--checksum", plan["checksum"])
    assert applied.code == 0
    report = parsed(applied)
    assert report["checksum"] == plan["checksum"]
    assert len(chain.versions()) == 18
    quiet = run("scan", "--json")
    assert quiet.code == 0
    look = parsed(quiet)
    assert (look["complete"], look["gaps"], look["plan"]["targets"], look["plan"]["waves"]) == (True, [], 0, [])


def test_another_plan_than_the_reviewed_one_is_refused(run: Callable[..., Result], chain: Shop) -> None:
    reviewed = parsed(run("plan", "--json"))["checksum"]
    chain.sell(date(2024, 2, 7), date(2024, 2, 7))
    result = run("apply", "--checksum", reviewed)
    assert (result.code, result.out) == (3, "")
    assert f"{reviewed} was reviewed" in result.err
    assert "gapless plan" in result.err
    assert chain.versions() == {}


def test_a_plan_as_markdown_is_a_document_for_a_review(run: Callable[..., Result]) -> None:
    result = run("plan", "--markdown")
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0] == "# Plan"
    assert "| 1 | revenue | 6 | 2024-02-01 | 2024-02-06 | missing 6 |  |" in lines
    assert "| 3 | standing | 6 | 2024-02-01 | 2024-02-06 | blocked 6 |  |" in lines
    (checksum,) = re.findall(r"gapless apply .*--checksum ([0-9a-f]{16})", result.out)
    assert f"checksum `{checksum}`" in result.out


def test_an_apply_for_people_tells_what_was_done(run: Callable[..., Result]) -> None:
    result = run("apply")
    assert (result.code, result.err) == (0, "")
    assert "18 complete" in result.out
    assert "Complete: nothing asks for anything." in result.out
    assert ESCAPE not in result.out


def test_a_repair_that_does_not_land_ends_with_1_and_says_why(
    run: Callable[..., Result], chain: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    nothing = (
        "SELECT order_day AS day, branch, 1 AS orders_today, 1 AS orders_7_days, 1 AS amount_cents_7_days "
        "FROM {orders} WHERE FALSE"
    )
    faulty = chain.variant(tmp_path, sql={"revenue": nothing})
    monkeypatch.setenv("GAPLESS_PIPELINE", str(faulty.pipeline.sql_folder.parent / "pipeline.yaml"))
    result = run("apply")
    assert result.code == 1
    assert "6 failed" in result.out
    assert "0 of 3 expected keys were written" in plain(result.out)
    assert run("scan").code == 1


def test_switches_in_the_environment_stop_every_repair(
    run: Callable[..., Result], chain: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for switch in ("GAPLESS_HALT", "GAPLESS_REPORT_ONLY"):
        monkeypatch.setenv(switch, "true")
        result = run("apply")
        assert (result.code, result.out) == (3, "")
        assert f"{switch} is set" in result.err
        assert run("scan").code == 1
        monkeypatch.delenv(switch)
    assert chain.versions() == {}


def test_force_runs_what_is_complete(run: Callable[..., Result], chain: Shop) -> None:
    run("apply")
    runs = chain.runs()
    assert parsed(run("plan", "--json"))["targets"] == 0
    words = ("--force", "--start-date", DAY, "--end-date", DAY, "--processors", "revenue", "--json")
    assert parsed(run("plan", *words))["targets"] == 1
    assert run("apply", *words).code == 0
    after = chain.runs()
    assert {target for target in runs if runs[target] != after[target]} == {Target("revenue", DAY)}


def test_printed_commands_can_be_run_as_they_stand(
    run: Callable[..., Result], gapless: Callable[..., Result], chain: Shop
) -> None:
    """They name the warehouse, the moment, and what was lifted."""

    def printed(after: str, text: str) -> list[str]:
        return shlex.split(plain(text).partition(after)[2].partition("gapless ")[2].partition("  ")[0])

    run("apply")
    planned = run("plan", "--force", "--start-date", DAY, "--end-date", DAY, "--processors", "revenue")
    assert gapless(*printed("Apply exactly this with:", planned.out)).code == 0
    chain.delete(Target("standing", DAY))
    told = run("scan", "--json", "--start-date", DAY, "--end-date", DAY)
    (gap,) = parsed(told)["gaps"]
    assert gapless(*shlex.split(gap["fix"])[1:]).code == 0
    assert run("scan").code == 0


def test_an_empty_warehouse_has_no_plan(
    gapless: Callable[..., Result], chain: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    result = gapless("plan", "--home", chain.home)
    assert (result.code, result.out) == (4, "")
    assert "fill the sources first" in result.err


# -------------------------------------------------------------------------------------------------- explain


def test_explain_tells_the_chain_of_evidence_back_to_the_source(run: Callable[..., Result]) -> None:
    result = run("explain", DAY, "standing", "--json")
    assert result.code == 1
    evidence = parsed(result)
    assert (evidence["processor"], evidence["date"], evidence["verdict"]) == ("standing", "2024-02-03", "blocked")
    chained = {read["processor"]: read for read in evidence["reads"]}
    assert set(chained) == {"revenue", "forecast"}
    cause = chained["revenue"]["causes"][0]
    assert (cause["processor"], cause["verdict"]) == ("revenue", "missing")
    assert [read["processor"] for read in cause["reads"]] == ["orders"]
    assert cause["reads"][0]["counts"] == {"complete": 3}
    assert any(fix.startswith("gapless apply --start-date 2024-02-03 --end-date 2024-02-03") for fix in evidence["fix"])


def test_explain_for_people_is_a_tree_with_the_command_that_fixes_it(run: Callable[..., Result]) -> None:
    result = run("explain", DAY, "standing")
    assert result.code == 1
    text = plain(result.out)
    for words in (
        "2024-02-03 standing blocked",
        "reads revenue, 2024-02-01 to 2024-02-03: missing 3",
        "reads orders",
        "none of 3 expected keys, upstream complete",
        "Fix: gapless apply --start-date 2024-02-03 --end-date 2024-02-03",
    ):
        assert words in text
    assert ESCAPE not in result.out
    run("apply")
    healed = run("explain", DAY, "standing")
    assert healed.code == 0
    assert "Nothing needs fixing." in healed.out


def test_explain_reaches_the_raw_tables_through_every_phase(
    built_season: Season, gapless: Callable[..., Result]
) -> None:
    """Box scores gone: what is made of them says so, six steps down, and names the file to load as the only remedy."""
    day = built_season.season.game_dates[60]
    built_season.delete(Target("boxscores", day))
    try:
        result = gapless("explain", day, "GRADING", "--home", built_season.home, "--json")
    finally:
        built_season.restore()
    assert result.code == 1
    evidence = json.loads(result.out)
    assert any(fix.startswith(f"load the file that holds {day}: gapless load FILE") for fix in evidence["fix"])
    names, front = set(), [evidence]
    while front:
        node = front.pop()
        names.add(node["processor"])
        front += [cause for read in node["reads"] for cause in read["causes"]]
    assert {"prediction_accuracy", "player_game_summary", "boxscores"} <= names


# --------------------------------------------------------------------------------------- programs and pipes


@pytest.mark.usefixtures("run")
def test_nothing_is_coloured_when_nobody_looks(chain: Shop) -> None:
    """A real process with its output in a pipe: plain text for a file, and JSON and nothing else for a program."""
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
    for words in (["scan"], ["plan"], ["scan", "--json"], ["apply"]):
        command = [sys.executable, "-m", "gapless.cli.main", *words, "--home", str(chain.home), "--now", NOW]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == (0 if words == ["apply"] else 1), result.stderr
        assert ESCAPE not in result.stdout + result.stderr
        if "--json" in words:
            json.loads(result.stdout)


@pytest.mark.usefixtures("run")
def test_a_reader_that_stops_reading_is_no_error(chain: Shop) -> None:
    command = f"{sys.executable} -m gapless.cli.main scan --json --home {chain.home} --now {NOW} | head -1"
    result = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr


def test_init_can_be_repeated(run: Callable[..., Result], chain: Shop) -> None:
    chain.apply()
    before = chain.versions()
    result = run("init")
    assert (result.code, result.err) == (0, "")
    assert "4 tables" in result.out
    assert chain.versions() == before


def test_stop_says_whether_something_was_running(gapless: Callable[..., Result], tmp_path: Any) -> None:
    result = gapless("stop", "--home", tmp_path)
    assert (result.code, result.out.strip()) == (0, f"nothing was running in {tmp_path}")


def test_the_demo_damages_no_cloud_project(gapless: Callable[..., Result]) -> None:
    result = gapless("demo", "--project", "production")
    assert result.code == 2
    assert "--project" in result.err
