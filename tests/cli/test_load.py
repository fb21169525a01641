"""Loading from the command line: a file is checked completely, and a bad one changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gapless.model import Target, Verdict
from tests.conftest import TINY, Result, Season, Shop, plain

pa = pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")
pq = pytest.importorskip("pyarrow.parquet")


def raw_content(season: Season, day: date) -> dict[str, list[tuple[Any, ...]]]:
    """A date's rows in the raw tables without the time at which they were loaded."""
    found = {}
    for name in ("schedule", "boxscores", "prop_lines"):
        p = season.pipeline.processor(name)
        found[name] = season.rows(
            f"SELECT {', '.join(c.name for c in p.content)} FROM `{p.table}` WHERE {p.date_column} = @day "
            f"ORDER BY {', '.join(p.key)}",
            day=day,
        )
    return found


def one_day(season: Season, day: date) -> Any:
    (file,) = (season.pristine / "files").glob("player_box_*.parquet")
    table = pq.read_table(file)
    return table.filter(pc.equal(table.column("game_date"), pa.scalar(day)))


def with_value(table: Any, column: str, row: int, value: object) -> Any:
    values = table.column(column).to_pylist()
    values[row] = value
    index = table.schema.get_field_index(column)
    return table.set_column(index, column, pa.array(values, table.schema.field(column).type))


@pytest.fixture
def day(built_season: Season) -> date:
    return built_season.season.game_dates[40]


def test_a_file_with_one_bad_value_is_refused_with_its_place_and_nothing_is_written(
    built_season: Season, gapless: Callable[..., Result], tmp_path: Path, day: date
) -> None:
    before = raw_content(built_season, day)
    attempts = built_season.rows(f"SELECT COUNT(*) FROM {built_season.ledger_table('attempts')}")
    pq.write_table(with_value(one_day(built_season, day), "pts", 7, -5), tmp_path / "box.parquet")
    result = gapless("load", tmp_path / "box.parquet", "--home", built_season.home)
    assert (result.code, result.out) == (2, "")
    for words in ("box.parquet", "pts", "-5"):
        assert words in plain(result.err)
    assert raw_content(built_season, day) == before
    assert built_season.rows(f"SELECT COUNT(*) FROM {built_season.ledger_table('attempts')}") == attempts
    assert built_season.scan(day, day).plan.size == 0


def test_a_folder_with_one_bad_file_is_refused_as_a_whole(
    built_season: Season, gapless: Callable[..., Result], tmp_path: Path, day: date
) -> None:
    before = raw_content(built_season, day)
    good = one_day(built_season, day)
    pq.write_table(with_value(good, "pts", 0, None), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("game_id,points\n1,2\n", encoding="utf-8")
    result = gapless("load", tmp_path, "--home", built_season.home, "--json")
    assert (result.code, result.out) == (2, "")
    assert "a.parquet" in result.err
    assert raw_content(built_season, day) == before


def test_loading_the_same_file_again_changes_nothing_that_is_read(
    built_season: Season, gapless: Callable[..., Result], tmp_path: Path, day: date
) -> None:
    before = raw_content(built_season, day)["boxscores"]
    pq.write_table(one_day(built_season, day), tmp_path / "box.parquet")
    (tmp_path / "notes.txt").write_text("not data", encoding="utf-8")
    result = gapless("load", tmp_path, "--home", built_season.home, "--json")
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    (boxes,) = (item for item in told["loaded"] if item["processor"] == "boxscores")
    assert (boxes["rows"], boxes["dates"], boxes["first"], boxes["last"]) == (len(before), 1, str(day), str(day))
    assert [skipped["file"] for skipped in told["skipped"]] == ["notes.txt"]
    assert raw_content(built_season, day)["boxscores"] == before
    look = built_season.scan(day, day)
    assert look.judgement.complete
    assert look.plan.size == 0


def test_a_corrected_file_makes_what_reads_it_stale_and_the_old_one_takes_that_back(
    built_season: Season, gapless: Callable[..., Result], tmp_path: Path, day: date
) -> None:
    """Content decides, not the time of a load: with the old bytes back there is nothing to do."""
    good = one_day(built_season, day)
    row = next(i for i, r in enumerate(good.to_pylist()) if r["ftm"] and r["fta"] and r["pts"] > r["ftm"])
    values = good.to_pylist()[row]
    made = {"ftm": values["ftm"] - 1, "pts": values["pts"] - 1}
    corrected = good
    for column, value in made.items():
        corrected = with_value(corrected, column, row, value)
    readers = ("player_game_summary", "team_defense_game_summary", "team_offense_game_summary")
    for table, stale in ((corrected, readers), (good, ())):
        pq.write_table(table, tmp_path / "box.parquet")
        result = gapless("load", tmp_path / "box.parquet", "--home", built_season.home)
        assert result.code == 0, result.err
        look = built_season.scan(day, day)
        verdicts = {name: look.judgement.verdict(Target(name, day)) for name in readers}
        assert [name for name, verdict in verdicts.items() if verdict is Verdict.CONTAMINATED] == list(stale)
    assert look.judgement.complete
    assert built_season.differences() == []


@pytest.mark.parametrize("name", ["nothing.parquet", "no/such/folder"])
def test_a_path_that_does_not_exist_is_refused(
    built_season: Season, gapless: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    result = gapless("load", tmp_path / name, "--home", built_season.home)
    assert (result.code, result.out) == (2, "")
    assert "does not exist" in result.err


def test_a_pipeline_that_declares_no_kinds_of_files_says_so_and_what_to_do_instead(
    shop: Shop, gapless: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAPLESS_PIPELINE", str(TINY / "pipeline.yaml"))
    (tmp_path / "till.csv").write_text("order,day,branch,cents\na1,2024-02-04,south,100\n", encoding="utf-8")
    result = gapless("load", tmp_path / "till.csv", "--home", shop.home)
    assert (result.code, result.out) == (2, "")
    told = " ".join(plain(result.err).split())
    assert "the pipeline 'shop' declares no kinds of files that can be loaded; fill its sources by other means" in told
    assert "layout" not in told
