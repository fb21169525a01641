"""Each rule has one home: what decides it stands once, and everybody else asks there."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.conftest import ROOT

LIBRARY = ROOT / "shared" / "gapless"


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules of the library, or of some of its folders, each with its path from there."""
    for path in sorted(LIBRARY.rglob("*.py")):
        name = str(path.relative_to(LIBRARY))
        if not folders or name.startswith(folders):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def test_only_the_declaration_compares_coverage_with_a_threshold() -> None:
    """Elsewhere a threshold is only told, in a text: `has_enough` and `is_thin` say whether it is reached."""
    used: set[str] = set()
    for name, tree in modules():
        if name.startswith("declare/"):
            continue
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)}
        for node in ast.walk(tree):
            is_threshold = isinstance(node, ast.Attribute) and node.attr in ("gate_pct", "warn_pct")
            if is_threshold and id(node) not in told:
                used.add(f"{name}: {ast.unparse(node)}")
    assert used == set()


def test_only_the_declaration_says_where_a_completion_is_announced() -> None:
    """`Pipeline.topic_of` does; a topic of a phase alone is not where a processor with a topic of its own is heard."""
    used = {
        f"{name}: {ast.unparse(node)}"
        for name, tree in modules("tasks", "execute", "cli", "functions", "questions", "tell", "engine.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(("pipeline.topics", "processor.topic"))
    }
    assert used == set()


def test_only_an_observation_finds_a_date_in_the_calendar() -> None:
    """`Observation.day` does, and knows that a date may lie outside of what was looked at."""
    used = {
        f"{name}: {ast.unparse(node)}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value).endswith("calendar")
        and "days" in ast.unparse(node.slice)
    }
    assert used == set()


# What changes a table, the ledger or the world; questions ask only.
ACTS = {
    "execute", "upload", "drop", "create_dataset", "publish", "stage", "discard", "start", "claim", "record", "declare",
    "acknowledge", "withdraw", "apply",
}  # fmt: skip


def test_questions_never_act() -> None:
    called = {
        f"{name}: {ast.unparse(node.func)}"
        for name, tree in modules("questions/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ACTS
    }
    assert called == set()
