"""The demo removes what a demo made, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result


@pytest.mark.parametrize("name", ["notes.txt", "bqemulator.duckdb"])
def test_the_demo_removes_no_folder_that_no_demo_made(
    gapless: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    (home / name).write_text("mine")
    result = gapless("demo", "--home", home)
    assert result.code == 2
    assert "--home" in result.err
    assert (home / name).read_text() == "mine"
