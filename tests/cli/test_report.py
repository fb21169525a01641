"""What `gapless report …` and `gapless history` print, in every format, how they end, and how many jobs they are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import date

import pytest

from gapless.model import Target
from tests.conftest import Result, Season, Shop, parsed, plain

FIRST, LAST = date(2024, 2, 1), date(2024, 2, 11)
NOW = "2024-02-12T11:00Z"
Run = Callable[..., Result]
REPORTS = (("report", "period"), ("report", "recent"), ("report", "freshness"), ("report", "runs"), ("history",))
pytestmark = pytest.mark.run(now=NOW, built=(FIRST, LAST))


@pytest.mark.parametrize("words", REPORTS, ids=" ".join)
def test_every_report_has_three_formats_and_ends_with_0_where_all_is_well(run: Run, words: tuple[str, ...]) -> None:
    text, markdown, told = run(*words), run(*words, "--markdown"), run(*words, "--json")
    assert {text.code, markdown.code, told.code} == {0}
    assert {text.err, markdown.err} == {""}
    assert markdown.out.startswith("## ")
    sheets = [value for value in parsed(told).values() if isinstance(value, dict) and "rows" in value]
    assert sheets
    for sheet in sheets:
        assert f"## {sheet['title']}\n" in markdown.out
        assert plain(sheet["title"]) in plain(text.out)
    assert "gapless apply" not in text.out + markdown.out


@pytest.mark.parametrize("words", REPORTS, ids=" ".join)
def test_a_lost_date_is_in_every_report_of_the_state_with_a_command_that_brings_it_back(
    run: Run, chain: Shop, words: tuple[str, ...]
) -> None:
    chain.delete(Target("revenue", LAST))
    result = run(*words)
    if words == ("history",):  # is about runs, and none failed
        assert result.code == 0
        return
    assert result.code == 1
    (command,) = (match for match in re.findall(r"gapless apply.*", result.out))
    assert f"--home {chain.home} --now {NOW}" in command
    for form in ("--json", "--markdown"):
        again = run(*words, form)
        assert again.code == 1
        assert command in again.out
    assert run(*shlex.split(command)[1:]).code == 0
    assert run(*words).code == 0


@pytest.mark.parametrize(("words", "jobs"), [*((words, 1) for words in REPORTS), (("report", "runs"), 2)], ids=str)
def test_a_report_is_a_constant_number_of_jobs(
    run: Run, chain: Shop, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], jobs: int
) -> None:
    if words == ("report", "runs") and jobs == 1:
        return
    bench, watched = chain.watched()
    module = {"history": "history", "period": "reports.periods"}.get(words[-1], f"reports.{words[-1]}")
    monkeypatch.setattr(f"gapless.cli.{module}.open_gapless", lambda *_: bench.gapless)
    assert run(*words).code == 0
    assert len(watched.calls) == jobs


# ------------------------------------------------------------------------------------------------------- season


def test_the_season_report_of_a_whole_season(built_season: Season, gapless: Run) -> None:
    told = parsed(gapless("report", "season", "--json", "--home", built_season.home))
    (season,) = told["seasons"]
    games = built_season.season.games_on
    assert (season["season"], season["dates"], season["games"]) == ("2022-23", len(games), games.total())
    assert {phase: layer["coverage_pct"] for phase, layer in season["phases"].items()} == dict.fromkeys("23456", 100.0)
    assert season["verdicts"]["player_composite_factors"]["bootstrap"] == 14
    (row,) = told["season"]["rows"]
    assert (row["season"], row["gaps"], row["issues"]) == ("2022-23", 0, "clean")
    health = {row["processor"]: row["2022-23"] for row in told["health"]["rows"]}
    assert health["team_defense_zone_analysis"] == "clean"
    assert "upcoming_player_game_context" not in health  # past dates are not its business
    assert told["complete"] is True
    assert told["gaps"] == 0
    (early,) = (row for row in told["notes"]["rows"] if row["kind"] == "bootstrap")
    assert (early["meaning"], early["targets"]) == ("expected", 98)


def test_one_season_is_chosen_by_its_label_or_year(built_season: Season, gapless: Run) -> None:
    result = gapless("report", "season", "--season", "2022", "--home", built_season.home)
    assert (result.code, result.err) == (0, "")
    assert re.search(r"^2022-23 ", result.out, flags=re.M)
    assert "gapless" not in result.out  # nothing is wrong, so nothing is advised
    missing = gapless("report", "season", "--season", "2021-22", "--home", built_season.home)
    assert (missing.code, missing.out) == (2, "")
    assert "there is no season '2021-22'" in missing.err
    assert "2022-23" in missing.err


def test_recent_days_have_games_and_keys_per_table(built_season: Season, gapless: Run) -> None:
    day = date(2023, 1, 11)
    told = parsed(gapless("report", "recent", "--days", 3, "--end-date", day, "--json", "--home", built_season.home))
    assert [each["date"] for each in told["days"]] == ["2023-01-09", "2023-01-10", "2023-01-11"]
    last = told["days"][-1]
    players = built_season.season.players_on[day]
    assert (last["status"], last["games"]) == ("complete", built_season.season.games_on[day])
    assert last["tables"]["player_game_summary"] == {
        "verdict": "complete", "expected": players, "covered": players, "rows": players,
    }  # fmt: skip
    text = gapless("report", "recent", "--end-date", "2023-09-01", "--home", built_season.home)
    assert text.code == 0
    (command,) = re.findall(r"gapless report recent.*", text.out)
    assert "--end-date 2023-06-08" in command
    assert gapless(*shlex.split(command)[1:]).code == 0


# ---------------------------------------------------------------------------------------------------- the others


def test_freshness_names_the_table_that_is_behind_and_how_far(run: Run, chain: Shop) -> None:
    chain.delete(Target("revenue", LAST))
    rows = {row["processor"]: row for row in parsed(run("report", "freshness", "--json"))["freshness"]["rows"]}
    revenue = rows["revenue"]
    assert (revenue["latest"], revenue["complete to"], revenue["expected"]) == (
        "2024-02-10",
        "2024-02-10",
        "2024-02-11",
    )
    assert (revenue["behind"], revenue["status"]) == (1, "BEHIND")
    assert rows["orders"]["status"] == "nothing due"


def test_a_narrow_terminal_leaves_out_details_and_never_breaks_a_command(
    run: Run, chain: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.delete(Target("revenue", LAST))
    assert "shop_mart.revenue" in run("report", "freshness").out
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("report", "freshness").out
    assert "shop_mart.revenue" not in narrow
    (command,) = re.findall(r"gapless apply.*", narrow)
    assert command.endswith(NOW)
    assert max(len(line) for line in narrow.splitlines() if "gapless apply" not in line) <= 80


def test_long_lists_are_cut_for_people_and_whole_for_programs(run: Run, chain: Shop) -> None:
    chain.run(
        f"INSERT INTO {chain.ledger_table('reported_runs')} (processor_name, data_date, run_id, status, processed_at, "
        "records_processed) SELECT 'revenue', day, 'theirs', 'success', @now, 0 FROM UNNEST(@days) AS day",
        now=chain.clock(), days=[date(2024, 2, number) for number in range(1, 12)],
    )  # fmt: skip
    text = run("report", "runs", "--limit", 4)
    assert text.code == 0  # tracking faults alone are no loss
    assert "7 more; all of them with --json, or --limit 11" in text.out
    assert len(parsed(run("report", "runs", "--json", "--limit", 4))["faults"]["rows"]) == 11
    days = parsed(run("report", "runs", "--json", "--days", 3))["faults"]["rows"]
    assert [row["date"] for row in days] == ["2024-02-11", "2024-02-10"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "period", "--json", "--markdown"), "exclude each other"),
        (("report", "period", "--period", "last"), "write for example --period 2021-22"),
        (("report", "period", "--period", "2024", "--start-date", "2024-02-01"), "names the dates itself"),
        (("report", "period", "--period", "2019-20"), "the data begins on 2024-02-01"),
        (("report", "runs", "--days", "3", "--start-date", "2024-02-01"), "leave it out"),
        (("report", "runs", "--start-date", "2024-02-09", "--end-date", "2024-02-01"), "exchange them"),
        (("report", "recent", "--days", "0"), "--days"),
        (("report", "recent", "--end-date", "2010-01-01"), "2010-01-01"),
        (("history", "--days", "1"), "--days"),
        (("report", "everything"), "No such command"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(run: Run, words: tuple[str, ...], said: str) -> None:
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert said in plain(result.err)


@pytest.mark.parametrize("name", ["period", "recent", "freshness", "runs"])
def test_tables_that_hold_nothing_at_all_are_not_reported_as_complete(
    chain: Shop, gapless: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GAPLESS_PIPELINE", str(chain.pipeline.sql_folder.parent / "pipeline.yaml"))
    result = gapless("report", name, "--home", chain.home, "--now", NOW)
    assert (result.code, result.out) == (4, "")
    assert "hold nothing at all" in result.err
