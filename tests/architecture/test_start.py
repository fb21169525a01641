"""A command starts at once: what it works with is imported when it works, and not for help or a mistyped option."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from gapless.cli.chosen import choose
from gapless.cli.commands import questions, tasks
from gapless.cli.main import gapless
from gapless.cli.options import Command
from gapless.questions.validation import Check
from gapless.tasks.cleanup.decision import CleanupRules
from tests.conftest import ROOT, plain

HEAVY = {
    "bqemulator",
    "duckdb",
    "google",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "requests",
    "rich",
    "sqlglot",
    "yaml",
}
# Runs one command after the other in one process, and says which libraries each of them brought in.
PROGRAM = """
import json, sys
there = set(sys.modules)
from gapless.cli.main import main
brought = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["gapless", *words]
    try:
        main()
    except SystemExit as end:
        code = end.code
    new = sorted({name.split(".")[0] for name in set(sys.modules) - there})
    there = set(sys.modules)
    brought.append([code, new])
print("\\n" + json.dumps(brought))
"""


def brought(commands: Sequence[Sequence[str]], folder: Path) -> list[tuple[int, set[str]]]:
    """How each command ended, and the libraries that it was the first to import."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GAPLESS_", "GOOGLE_"))}
    environment |= {"PYTHONPATH": str(ROOT / "shared"), "GAPLESS_HOME": str(folder)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout.splitlines()[-1])
    return [(int(code or 0), set(new)) for code, new in told]


def declared(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, groups included, under the words that name it."""
    for name, each in group.commands.items():
        yield (*before, name), each
        if isinstance(each, click.Group):
            yield from declared(each, (*before, name))


ALL = dict(declared(gapless))
WORKING = {" ".join(words): each for words, each in ALL.items() if isinstance(each, Command)}


def test_help_and_what_click_refuses_import_no_library_but_click(tmp_path: Path) -> None:
    helped = [["--help"], ["--version"], *([*words, "--help"] for words in ALL)]
    refused = [
        ["nosuch"],
        ["scan", "--nosuch"],
        ["scan", "--start-date", "2024-02-30"],
        ["repair"],
        ["explain", "today"],
        ["history", "--days", "1"],
        ["ack", "remove", "--processor", "X"],
    ]
    commands = [*helped, *refused]
    codes = [0] * len(helped) + [2] * len(refused)
    for words, code, (ended, new) in zip(commands, codes, brought(commands, tmp_path), strict=True):
        assert (ended, new & HEAVY) == (code, set()), words


def test_stop_imports_no_library_but_click(tmp_path: Path) -> None:
    assert [(code, new & HEAVY) for code, new in brought([["stop"]], tmp_path)] == [(0, set())]


def test_what_is_refused_before_a_warehouse_is_touched_does_not_import_googles_client(tmp_path: Path) -> None:
    commands = [
        ["scan", "--phases", "x"],
        ["scan", "--now", "soon"],
        ["scan", "--start-date", "2024-02-02", "--end-date", "2024-02-01"],
        ["backfill", "--start-date", "2024-02-01"],
        ["validate", "--checks", "nosuch"],
        ["validate", "--json", "--markdown"],
        ["report", "recent", "--json", "--markdown"],
        ["report", "season", "--season", "x"],
        ["report", "runs", "--days", "3", "--end-date", "2024-02-01"],
        ["history", "--json", "--markdown"],
        ["restore", "--apply"],
        ["ack", "export", "-", "--json"],
        ["ack", "import", "nosuch.yaml"],
    ]
    for words, (code, new) in zip(commands, brought(commands, tmp_path), strict=True):
        assert (code, new & {"google", "duckdb", "bqemulator"}) == (2, set()), words


@pytest.mark.parametrize("name", sorted(WORKING))
def test_the_work_of_a_command_takes_what_can_be_typed(name: str) -> None:
    """The name of a work is a text: nothing but this holds it to the declaration."""
    command = WORKING[name]
    module, _, function = command.does.rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), function))
    takes = {each.name for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD}
    if len(takes) < len(signature.parameters):  # what it does not name, it hands on as it came
        takes |= set(inspect.signature(choose).parameters)
    assert takes == {param.name for param in command.params}


def test_every_command_has_a_work_or_commands_of_its_own() -> None:
    assert all(isinstance(each, Command | click.Group) for each in ALL.values())


def test_what_help_says_of_other_modules_is_what_they_say() -> None:
    """Help does not import them to ask."""
    (checks,) = (param for param in questions.validate.params if param.name == "checks")
    assert isinstance(checks, click.Option)
    assert f"Only these of {', '.join(Check)}." in plain(checks.help or "")
    assert CleanupRules.keep_days == tasks.KEEP_DAYS
