"""Wrong use ends with 2 and one sentence that says what to write instead; nothing was looked at or changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.conftest import Result, Shop, plain

NOW = "2024-02-12T11:00Z"


WRONG = {
    "a reversed range": (("--start-date", "2024-02-05", "--end-date", "2024-02-01"), "2024-02-05 is after", "exchange"),
    "an unknown phase": (("--phases", "7"), "there is no phase 7", "[1, 2, 3, 4]"),
    "a phase that is no number": (("--phases", "three"), "'three' is not a number", "--phases 3,4"),
    "an unknown processor": (("--processors", "revenu"), "there is no processor 'revenu'", "forecast"),
    "a date that does not exist": (("--start-date", "2024-02-30"), "'2024-02-30' is not a date", "YYYY-MM-DD"),
    "a date in another order": (("--end-date", "01.02.2024"), "'01.02.2024' is not a date", "YYYY-MM-DD"),
    "a date in the future": (("--start-date", "2024-02-13"), "lies in the future", "2024-02-12"),
    "a date before history": (("--end-date", "2019-12-31"), "before the pipeline's history", "2020-01-01"),
}


@pytest.mark.parametrize("command", ["scan", "plan", "apply"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_choice_that_contradicts_itself_is_answered_with_what_exists(
    run: Callable[..., Result], command: str, wrong: str
) -> None:
    words, *said = WRONG[wrong]
    result = run(command, *words, "--now", NOW)
    assert (result.code, result.out) == (2, "")
    for part in said:
        assert part in plain(result.err)
    assert "Traceback" not in result.err


@pytest.mark.parametrize("now", ["yesterday", "2024-13-01", "12:00"])
def test_a_moment_that_is_none_is_refused(run: Callable[..., Result], now: str) -> None:
    result = run("scan", "--now", now)
    assert (result.code, result.out) == (2, "")
    assert f"--now '{now}' is not a time" in result.err
    assert "2024-01-15T12:00Z" in result.err


def test_a_moment_without_a_zone_is_utc(run: Callable[..., Result], chain: Shop) -> None:
    """A minute before midnight in Berlin it is still the twelfth, and a minute later the thirteenth."""
    chain.sell(date(2024, 2, 1), date(2024, 2, 1))
    for now, today in (("2024-02-12T22:59", "2024-02-12"), ("2024-02-12T23:00", "2024-02-13")):
        assert json.loads(run("scan", "--json", "--now", now).out)["end_date"] == today


def test_tables_that_hold_nothing_at_all_are_not_called_complete(run: Callable[..., Result]) -> None:
    result = run("scan", "--now", NOW)
    assert (result.code, result.out) == (4, "")
    assert "hold nothing at all" in result.err
    assert "fill the sources first" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("explain", "2024-02-01", "nope"), "there is no processor 'nope'"),
        (("explain", "2024-02-31", "revenue"), "is not a date"),
        (("explain", "2024-02-01"), "Missing argument 'PROCESSOR'"),
        (("scna",), "No such command 'scna'"),
        (("scan", "--colour"), "No such option"),
        (("load",), "Missing argument 'PATH'"),
    ],
)
def test_words_that_no_command_knows_are_refused(run: Callable[..., Result], words: tuple[str, ...], said: str) -> None:
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert said in plain(result.err)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GAPLESS_TIMEOUT_SECONDS", "soon", "GAPLESS_TIMEOUT_SECONDS is 'soon'; a number from 10 to 21600"),
        ("GAPLESS_MAX_GIB_BILLED", "-1", "GAPLESS_MAX_GIB_BILLED is '-1'"),
        ("GAPLESS_HALT", "perhaps", "GAPLESS_HALT is 'perhaps'; true or false"),
        ("GAPLESS_PIPELINE", "/nowhere/pipeline.yaml", "/nowhere/pipeline.yaml: cannot be read"),
    ],
)
def test_a_bad_setting_is_named(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    result = run("scan", "--now", NOW)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_a_pipeline_file_that_contradicts_itself_is_refused_with_processor_and_field(
    run: Callable[..., Result], chain: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (chain.pipeline.sql_folder.parent / "pipeline.yaml").read_text(encoding="utf-8")
    (tmp_path / "sql").symlink_to(chain.pipeline.sql_folder)
    (tmp_path / "pipeline.yaml").write_text(text.replace("restate: never", "restate: sometimes"), encoding="utf-8")
    monkeypatch.setenv("GAPLESS_PIPELINE", str(tmp_path / "pipeline.yaml"))
    result = run("scan")
    assert (result.code, result.out) == (2, "")
    assert "processor 'forecast': restate" in result.err


def test_dates_before_the_first_data_are_off_days_and_no_error(run: Callable[..., Result], chain: Shop) -> None:
    """Inside the pipeline's history and before anything was loaded: there is nothing to do there."""
    chain.sell(date(2024, 2, 1), date(2024, 2, 1))
    result = run("scan", "--start-date", "2020-01-01", "--end-date", "2020-03-01", "--now", NOW)
    assert result.code == 0
    assert "nothing" in result.out
