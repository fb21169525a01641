"""Translations are kept for every embedded warehouse of a user, and change no answer."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from bqemulator.sql.rules import get_all_rules

from gapless.declare.settings import read_settings
from gapless.local import warehouse as local
from gapless.local.emulator import parsing, store
from gapless.local.emulator.store import Store
from gapless.wiring import connect

KEY = ("translate", "a project", "SELECT " + "x" * 300)
TEXT = "SELECT 'ä' AS \"x\"\n"


def test_what_one_process_kept_another_reads(tmp_path: Path) -> None:
    Store(tmp_path, 1).put(KEY, TEXT)
    assert Store(tmp_path, 1).get(KEY) == TEXT
    assert Store(tmp_path, 1).get((*KEY[:2], KEY[2] + "y")) is None


def test_memory_holds_what_was_used_last_and_the_folder_the_rest(tmp_path: Path) -> None:
    kept, without = Store(tmp_path, 2), Store(None, 2)
    for each in (kept, without):
        for n in range(3):
            each.put((*KEY, str(n)), str(n))
    assert [kept.get((*KEY, str(n))) for n in range(3)] == ["0", "1", "2"]
    assert [without.get((*KEY, str(n))) for n in range(3)] == [None, "1", "2"]


def test_a_file_that_was_cut_off_is_no_translation(tmp_path: Path) -> None:
    Store(tmp_path, 1).put(KEY, TEXT)
    (path,) = tmp_path.iterdir()
    for content in (path.read_bytes()[:-3], b"", b"\xff\xfe\n" + TEXT.encode()):
        path.write_bytes(content)
        assert Store(tmp_path, 1).get(KEY) is None
    Store(tmp_path, 1).put(KEY, TEXT)
    assert Store(tmp_path, 1).get(KEY) == TEXT


def test_another_version_of_what_translates_makes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path, 1).put(KEY, TEXT)
    monkeypatch.setattr(store, "version", lambda name: "99" if name == "sqlglot" else "1")
    assert Store(tmp_path, 1).get(KEY) is None


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Store(tmp_path / "file" / "cache", 1)
    kept.put(KEY, TEXT)
    assert kept.get(KEY) == TEXT, "in memory"


def test_the_folder_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_FILES", 3)
    for n in range(5):
        Store(tmp_path, 1).put((*KEY, str(n)), str(n))
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    found = Store(tmp_path, 1)
    assert [found.get((*KEY, str(n))) for n in range(5)] == [None, None, "2", "3", "4"]


def test_a_statement_answers_the_same_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "translations"
    kept = []
    for number, cache in enumerate(("off", str(folder), str(folder))):
        monkeypatch.setenv("GAPLESS_CACHE", cache)
        assert answers(tmp_path / str(number)) == ['{"id":7}', '{"id":"7"}'], "the column's type belongs to the key"
        kept.append(len(list(folder.iterdir())) if folder.exists() else 0)
    assert 0 == kept[0] < kept[1] == kept[2]


EVERYTHING = """
WITH sold AS (SELECT o.day, o.branch AS b, ROW_NUMBER() OVER (PARTITION BY (o.branch) ORDER BY o.day DESC) AS n
  FROM "p__shop"."orders" AS o WHERE o.day = $first AND o.branch <> 'x' AND NOT o.gone IS NULL AND TRUE)
SELECT s.*, CAST(x.cents AS DOUBLE) / 7, x.day - INTERVAL 1 DAY, COALESCE(x.a, NULL), ? AS q
FROM sold AS s LEFT JOIN (SELECT * FROM "p__shop"."revenue") AS x ON x.day = s.day AND x.n >= 5
WHERE s.day BETWEEN $first AND $last ORDER BY 1, s.b NULLS LAST LIMIT 5
"""


def test_no_rule_wants_a_node_that_is_passed_over() -> None:
    tree = sqlglot.parse_one(EVERYTHING, read="duckdb")
    passed_over = [node for node in tree.walk() if type(node).__name__ in parsing.NO_RULE_NAMES]
    assert {type(node).__name__ for node in passed_over} >= set(parsing.NO_RULE_NAMES) - {"Var"}
    assert [(rule.name, node) for rule in get_all_rules() for node in passed_over if rule.applies_to(node)] == []


def test_a_quick_copy_is_whole_and_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    core: Any = importlib.import_module("sqlglot.expressions.core")
    monkeypatch.setattr(core, "deepcopy", core.deepcopy)  # what it was comes back after the test
    tree = sqlglot.parse_one(EVERYTHING + "-- a comment", read="duckdb")
    slow = tree.copy()
    parsing.copy_quickly()
    quick = tree.copy()
    for mine, original, expected in zip(quick.walk(), tree.walk(), slow.walk(), strict=True):
        assert mine is not original
        assert (type(mine), mine.meta, mine.comments) == (type(expected), expected.meta, expected.comments)
        mine.meta["changed"] = True
        assert "changed" not in original.meta
    assert quick == tree


def answers(home: Path) -> list[str]:
    """What a statement says about a column that is a number first, and a text then."""
    told = []
    try:
        warehouse = connect(read_settings({}, home=home)).warehouse
        warehouse.create_dataset("shop")
        for kind, value in (("INT64", "7"), ("STRING", "'7'")):
            warehouse.execute(f"CREATE OR REPLACE TABLE shop.sale (id {kind})", purpose="test")
            warehouse.execute(f"INSERT INTO shop.sale (id) VALUES ({value})", purpose="test")
            statement = (
                "SELECT TO_JSON_STRING(STRUCT(id AS id)), SAFE_CAST(id AS FLOAT64), "
                "FORMAT_DATE('%Y', DATE '2024-01-31'), ARRAY_LENGTH(GENERATE_ARRAY(1, 5)) "
                "FROM shop.sale WHERE id IS NOT NULL -- " + "long " * 80
            )
            ((text, *rest),) = warehouse.rows(statement, purpose="test").rows
            assert rest == [7.0, "2024", 5]
            told.append(str(text))
    finally:
        local.stop(home)
    return told
