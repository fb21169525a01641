"""`gapless backfill`: what it refuses, what it prints, and that what it prints can be typed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from gapless.model import Target
from tests.conftest import ROOT, Result, Season, Shop, plain

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 6)
NOW = "2024-02-12T11:00Z"
RANGE = ("--start-date", FIRST, "--end-date", LAST)
UPCOMING = "nba_analytics.upcoming_player_game_context"
pytestmark = pytest.mark.run(command="backfill", now=NOW, sold=(FIRST, LAST))


WRONG = {
    "no start": (("--end-date", "2024-02-05"), "--start-date is needed"),
    "no end": (("--start-date", "2024-02-05"), "--end-date is needed"),
    "a reversed range": (("--start-date", "2024-02-05", "--end-date", "2024-02-01"), "exchange them"),
    "an end in the future": (("--start-date", "2024-02-05", "--end-date", "2024-02-13"), "up to 2024-02-12"),
    "a start in the future": (("--start-date", "2024-03-05", "--end-date", "2024-03-13"), "lies in the future"),
    "before all data": (("--start-date", "2023-01-05", "--end-date", "2023-01-13"), "the data begins on 2024-02-01"),
    "before history": (("--start-date", "2019-01-05", "--end-date", "2019-01-13"), "begins on 2020-01-01"),
    "an unknown phase": ((*map(str, RANGE), "--phases", "7"), "there is no phase 7"),
    "a loaded phase": ((*map(str, RANGE), "--phases", "1"), "what you chose is filled from outside, not run"),
    "an unknown processor": ((*map(str, RANGE), "--processors", "x"), "there is no processor 'x'"),
    "no batch at a time": ((*map(str, RANGE), "--max-concurrent", "0"), "not in the range"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_use_is_one_sentence_with_the_remedy_and_changes_nothing(
    run: Callable[..., Result], chain: Shop, wrong: str
) -> None:
    words, said = WRONG[wrong]
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert said in plain(result.err)
    assert "Traceback" not in result.err
    assert chain.versions() == {}


def test_a_dry_run_shows_plan_and_command_and_changes_nothing(run: Callable[..., Result], chain: Shop) -> None:
    result = run(*RANGE, "--dry-run", "--phases", "2,3")
    assert result.code == 1
    assert "12 targets in 2 waves" in result.out
    assert "2024-02-01: looks good" in result.out
    assert chain.versions() == {}
    command = next(line for line in result.out.splitlines() if "Run it with" in line).split("gapless backfill ")[1]
    again = run(*[word for word in shlex.split(command) if word not in ("--home", str(chain.home), "--now", NOW)])
    assert again.code == 0, again.out
    assert len(chain.versions()) == 12


def test_each_phase_is_told_with_its_numbers_and_the_end_is_plain(run: Callable[..., Result]) -> None:
    result = run(*RANGE)
    assert result.code == 0
    for phase in (2, 3, 4):
        assert f"Phase {phase}: 6 targets complete, 6 of them made now" in result.out
    assert "18 complete" in result.out
    assert "Complete: nothing in the range asks for anything." in result.out
    assert "phase 4, wave 1 of 1: standing; 12 of 18, " in result.err  # rate and time left
    assert "s left" in result.err
    again = run(*RANGE)
    assert (again.code, "nothing had to be run" in again.out) == (0, True)


def test_the_answer_for_programs_is_json_and_nothing_else(run: Callable[..., Result]) -> None:
    result = run(*RANGE, "--json", "--skip-preflight", "--force")
    told = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert (told["complete"], told["lifted"], told["stopped"]) == (True, ["force", "preflight"], "")
    assert [(p["phase"], p["complete"], p["outcomes"], p["announced"]) for p in told["phases"]] == [
        (2, 6, {"complete": 6}, ["shop-2"]), (3, 6, {"complete": 6}, ["shop-3"]), (4, 6, {"complete": 6}, ["shop-4"]),
    ]  # fmt: skip
    assert "preflight" not in told


def test_what_a_phase_waits_for_is_named_with_the_command_that_makes_it(
    run: Callable[..., Result], chain: Shop
) -> None:
    result = run(*RANGE, "--phases", "3")
    assert result.code == 1
    assert "2024-02-03: waits for revenue 2024-02-03, which this backfill does not run" in plain(result.out)
    line = next(line for line in result.out.splitlines() if line.startswith("Waits for revenue"))
    assert "not complete on 6 dates, 2024-02-01 to 2024-02-06: gapless backfill" in line
    command = shlex.split(line.split("gapless backfill ")[1])
    assert run(*command[: command.index("--home")]).code == 0
    assert run(*RANGE, "--phases", "3").code == 0
    assert chain.count(Target("forecast", FIRST)) == 3


def test_an_off_season_range_is_complete_and_says_why(run: Callable[..., Result]) -> None:
    result = run("--start-date", "2024-02-09", "--end-date", "2024-02-11")
    assert (result.code, "3 off days" in result.out) == (0, True)


# ------------------------------------------------------------------------------------- one of 187, on a whole season


def keep_rows(season: Season, day: date, count: int) -> None:
    """Rows of a past date in the table about the days to come, as a forgotten clean-up leaves them."""
    season.run(
        f"""INSERT INTO `{UPCOMING}` (game_id, game_date, player_lookup, universal_player_id, player_full_name,
  season_year, team_abbr, opponent_team_abbr, home_game, games_in_last_30_days, has_prop_line, completeness_percentage,
  is_production_ready, backfill_bootstrap_mode, data_source, processed_at)
SELECT game_id, game_date, player_lookup, universal_player_id, player_full_name, season_year, team_abbr,
  opponent_team_abbr, home_game, 5, FALSE, 100.0, TRUE, FALSE, 'SCHEDULE', CURRENT_TIMESTAMP()
FROM nba_analytics.player_game_summary WHERE game_date = @day ORDER BY player_lookup LIMIT {count}""",
        day=day,
    )


@pytest.fixture
def stale(built_season: Season) -> Iterator[tuple[Season, date, int]]:
    """A season whose one date has one row in the table about the days to come, and no composite factors."""
    day = built_season.season.days.in_season(1, 20)
    keep_rows(built_season, day, 1)
    factors = Target("player_composite_factors", day)
    players = built_season.count(factors)
    built_season.delete(factors)
    yield built_season, day, players
    built_season.run(f"DELETE FROM `{UPCOMING}` WHERE game_date = @day", day=day)


def on(day: date, season: Season) -> tuple[Any, ...]:
    return ("--start-date", day - timedelta(days=3), "--end-date", day, "--home", season.home)


def test_one_of_many_players_in_the_upcoming_table_is_refused_with_three_ways_on(
    gapless: Callable[..., Result], stale: tuple[Season, date, int]
) -> None:
    """The incident: 1 of 187 players was there, the run read it, and reported success."""
    season, day, players = stale
    result = gapless("backfill", *on(day, season))
    assert result.code == 3
    share = f"1 of {players} = {100 / players:.1f} %, missing {players - 1}"
    assert f"{day}: upcoming_player_game_context has partial data ({share})" in plain(result.out)
    options = [line for line in result.out.splitlines() if line.strip().startswith("Option ")]
    assert len(options) == 3
    assert "nothing was run" in result.err
    assert season.count(Target("player_composite_factors", day)) == 0
    checked = json.loads(gapless("backfill", *on(day, season), "--json").out)["preflight"]
    found = [each for each in checked["dates"] if each["standing"] == "partial"]
    assert [(each["day"], each["in_upcoming"], each["expected"]) for each in found] == [(str(day), 1, players)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_of_the_three_ways_leads_to_every_player(
    gapless: Callable[..., Result], stale: tuple[Season, date, int], number: int
) -> None:
    """The commands as they are printed; a past date is never built from the table about the days to come."""
    season, day, players = stale
    result = gapless("backfill", *on(day, season))
    command = next(line for line in result.out.splitlines() if f"Option {number}" in line).split(": gapless ")[1]
    words = shlex.split(command)
    if words[0] == "cleanup":  # everything in this test lies more than 7 days back
        assert gapless(*words).code == 0
        words = ["backfill", *map(str, on(day, season))]
    done = gapless(*words)
    assert done.code == 0, done.out + done.err
    factors = Target("player_composite_factors", day)
    assert season.count(factors) == players
    assert season.count(factors, "data_source = 'PGS_SYNTHETIC'") == players
    newest = season.rows(
        f"SELECT checks_lifted, data_source FROM {season.ledger_table('backfill_date_outcomes')} "
        "WHERE processor_name = 'player_composite_factors' AND analysis_date = @day ORDER BY processed_at DESC LIMIT 1",
        day=day,
    )
    assert newest == [({1: "", 2: "preflight", 3: "force"}[number], "PGS_SYNTHETIC")]
    season.run("DELETE FROM `nba_orchestration.cleanup_log` WHERE TRUE")


# ------------------------------------------------------------------------------------------------------ interrupted


def test_ctrl_c_ends_at_a_batch_and_the_same_command_goes_on(chain: Shop) -> None:
    """A process of its own gets the signal that a terminal sends."""
    chain.sell(FIRST, LAST)
    words = ["backfill", *map(str, RANGE), "--home", str(chain.home), "--now", NOW, "--max-concurrent", "1"]
    pipeline = str(chain.pipeline.sql_folder.parent / "pipeline.yaml")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GAPLESS_")} | {"GAPLESS_PIPELINE": pipeline}
    process = subprocess.Popen(
        [sys.executable, "-m", "gapless.cli.main", *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    attempts = f"SELECT COUNT(*) FROM {chain.ledger_table('attempts')} WHERE claim_number > 0"
    while process.poll() is None and not chain.rows(attempts)[0][0]:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 1, out + err
    assert "stopping when the batches at work are done" in err
    assert "Stopped: by hand. What was published is whole" in out
    assert "Go on with: gapless backfill" in out
    assert "Traceback" not in err
    assert chain.torn() == []
    assert len(chain.versions()) < 18
    again = chain.apply(FIRST, LAST)
    assert again.failed == []
    assert len(chain.versions()) == 18
