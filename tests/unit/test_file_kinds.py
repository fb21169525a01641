"""Kinds of files belong to a pipeline: the reader takes whatever kinds a module declares, and knows none by itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.errors import BadInput, BadPipeline, RejectedFile
from gapless.files import cells, read
from gapless.files.arrow import Array, Table, flat, pa
from gapless.files.contract import Processor
from gapless.files.kinds import Kind, Notes, declared_kinds
from gapless.files.layouts import Layout, Lookalike
from gapless.files.merge import one_row_per_key
from gapless.files.sheet import Sheet
from tests.conftest import TINY

TODAY = date(2024, 3, 10)
MODULE = "shop_files_of_a_test"


def parse(sheet: Sheet, declared: Processor, _today: date) -> tuple[Table, Notes]:
    columns = declared.columns
    orders = {
        "sheet": pa.repeat(pa.scalar(sheet.number, pa.int64()), len(sheet.rows)),
        "row": sheet.rows,
        "order_id": sheet.read("order_id", cells.text, "an id", required=True),
        "order_day": sheet.read("order_day", cells.day, "a date", required=True),
        "branch": sheet.read("branch", cells.text, "a branch", required=True),
        "amount_cents": sheet.read("amount_cents", cells.whole, "an amount", declared=columns["amount_cents"]),
    }
    return pa.table(orders), []


def settle(orders: Table, sheets: list[Sheet]) -> tuple[Table, Notes]:
    return one_row_per_key(orders, ("order_id",), sheets, lambda row: f"order {row['order_id']}"), []


def as_orders(orders: Table) -> Mapping[str, Array]:
    return {name: flat(orders[name]) for name in orders.column_names if name not in ("sheet", "row")}


ORDERS = Kind(
    processor="orders",
    layouts=(
        Layout(
            "till report",
            {"order_id": "order", "order_day": "day", "branch": "branch", "amount_cents": "cents"},
            marks=frozenset({"order"}),
        ),
    ),
    parse=parse,
    settle=settle,
    rows={"orders": as_orders},
    lookalikes=(Lookalike(frozenset({"refund", "cents"}), frozenset({"order"}), "is a list of refunds"),),
)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, made)
    return made


def shop(files: str | None) -> Pipeline:
    return replace(load_pipeline(TINY / "pipeline.yaml"), files=files)


def written(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_pipelines_own_kind_of_file_is_read_checked_and_conformed(module: ModuleType, tmp_path: Path) -> None:
    module.KINDS = (ORDERS,)  # type: ignore[attr-defined]
    pipeline = shop(MODULE)
    path = written(tmp_path, "till.csv", "order,day,branch,cents", "b2,2024-03-05,north,250", "a1,2024-03-04,south,100")
    (raw,) = read(path, pipeline, declared_kinds(pipeline), TODAY).rows
    assert (raw.processor, raw.source, raw.dates) == ("orders", "till.csv", (date(2024, 3, 4), date(2024, 3, 5)))
    assert raw.rows.to_pylist() == [
        {"order_id": "a1", "order_day": date(2024, 3, 4), "branch": "south", "amount_cents": 100},
        {"order_id": "b2", "order_day": date(2024, 3, 5), "branch": "north", "amount_cents": 250},
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["order,day,branch,cents", "a1,2024-03-04,south,-1"], "row 1, column cents: '-1' is outside 0..1e+08"),
        (["order,day,branch,cents", *["a1,2024-03-04,south,1"] * 2], "repeats row 1: order a1 is there twice"),
        (["order,day,branch", "a1,2024-03-04,south"], "looks like till report and lacks the column cents"),
        (["refund,cents", "a1,5"], "is a list of refunds"),
        (["player_id,points", "7,20"], "the nearest is till report, and for that it lacks order, day, branch, cents"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_pipelines_own_kinds(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    path = written(tmp_path, "till.csv", *lines)
    with pytest.raises(RejectedFile) as error:
        read(path, shop(None), (ORDERS,), TODAY)
    assert sentence in str(error.value)


def test_a_pipeline_without_kinds_says_so_in_one_sentence_and_what_to_do_instead() -> None:
    with pytest.raises(BadInput) as error:
        declared_kinds(shop(None))
    assert str(error.value) == (
        "the pipeline 'shop' declares no kinds of files that can be loaded; fill its sources by other means, or name "
        "the module that holds its kinds in the field 'files' of the pipeline file"
    )
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["no_such_package", "no_such_package.files", "gapless.no_such_files"])
def test_a_module_that_is_not_there_is_one_sentence(name: str) -> None:
    with pytest.raises(BadPipeline) as error:
        declared_kinds(shop(name))
    assert str(error.value) == (
        f"the pipeline 'shop': files: there is no module {name}; see that Python finds it (PYTHONPATH)"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("from gapless.files import no_such_name", "ImportError: cannot import name 'no_such_name'"),
        ("KINDS = (", "SyntaxError"),
        ("KINDS = 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_fails_is_one_sentence_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    written(tmp_path, f"{MODULE}.py", text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadPipeline) as error:
        declared_kinds(shop(MODULE))
    assert f"files: the module {MODULE} cannot be imported: " in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize("kinds", [None, (), [ORDERS], (ORDERS, "orders"), {"orders": ORDERS}])
def test_a_module_without_a_registry_is_one_sentence(module: ModuleType, kinds: object) -> None:
    if kinds is not None:
        module.KINDS = kinds  # type: ignore[attr-defined]
    with pytest.raises(BadPipeline) as error:
        declared_kinds(shop(MODULE))
    assert str(error.value) == (
        f"the pipeline 'shop': files: the module {MODULE} has no KINDS, a tuple of gapless.files.kinds.Kind"
    )


def test_every_kind_of_the_shipped_pipeline_fills_sources_that_it_declares() -> None:
    pipeline = load_pipeline()
    filled = {name for kind in declared_kinds(pipeline) for name in (kind.processor, *kind.rows)}
    assert filled == {"schedule", "boxscores", "shots", "prop_lines"}
    assert all(pipeline.processor(name).run == "none" for name in filled)
