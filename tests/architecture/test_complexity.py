"""A ratchet: no function grows beyond what a stranger can follow, and those that are beyond it may only get simpler.

The figure is radon's, cyclomatic complexity. `complexity.txt` lists the functions that are above the limit; a line that
is not needed any more has to go, so the list only shrinks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

LIMIT = 15
KNOWN = Path(__file__).with_name("complexity.txt")
PACKAGE = ROOT / "shared" / "gapless"


def figures() -> Iterator[tuple[str, int]]:
    """Every function and method by module and name, with its figure."""
    visitor = pytest.importorskip("radon.visitors", reason="radon is not installed: pip install -e '.[dev]'")
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found = visitor.ComplexityVisitor.from_code(path.read_text(encoding="utf-8"))
        for block in (*found.functions, *found.classes):
            if not getattr(block, "is_method", False):  # a class brings its own
                yield from _figures_of(module, block)


def _figures_of(owner: str, block: object) -> Iterator[tuple[str, int]]:
    name = f"{owner}.{block.name}"  # type: ignore[attr-defined]
    methods = getattr(block, "methods", None)
    if methods is None:
        yield name, block.complexity  # type: ignore[attr-defined]
        return
    for method in methods:
        yield from _figures_of(name, method)


def known() -> dict[str, int]:
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    entries = (line.split() for line in lines if line and not line.startswith("#"))
    return {name: int(figure) for name, figure in entries}


def test_no_function_is_more_complex_than_the_limit_or_than_it_was() -> None:
    allowed = known()
    worse = {name: figure for name, figure in figures() if figure > max(LIMIT, allowed.get(name, 0))}
    assert worse == {}, f"above {LIMIT}: split it, or name a condition; the list in {KNOWN.name} does not grow"


def test_the_list_of_complex_functions_only_shrinks() -> None:
    now = dict(figures())
    stale = {name: figure for name, figure in known().items() if now.get(name, 0) < figure}
    assert stale == {}, f"simpler now, or gone: lower its figure in {KNOWN.name}, or remove the line"
