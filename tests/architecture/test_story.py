"""The folders are the story: the same list is the import contract and the page that a newcomer reads."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "shared" / "gapless"
# The demo shows the generated season, and the default pipeline is the shipped one: a path, no import.
KNOW_THE_LEAGUE = {"cli/demo.py"}


def layers() -> list[list[str]]:
    """The layers of the import contract, from the top; what a line of the contract holds side by side is one layer."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (story,) = (each for each in declared["contracts"] if each["name"] == "the story, as folders")
    assert story["exhaustive"]
    return [line.split(" | ") for line in story["layers"]]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_page_about_the_architecture_shows_the_contracts_layers_in_their_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"```text\n(cli \| functions.*?)```", page, re.DOTALL)
    shown = [re.split(r"  +", line)[0].split(" | ") for line in picture.strip().splitlines()]
    assert shown == [layer for layer in layers() if layer != ["__main__"]]


def test_every_folder_says_in_its_first_line_what_it_is() -> None:
    for folder in (path for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()):
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder.name


def test_nobody_but_the_demo_knows_the_league() -> None:
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "nba" not in path.relative_to(PACKAGE).parts
        and any(name.startswith("gapless.nba") for name in imported(path))
    }
    assert knowing == KNOW_THE_LEAGUE
