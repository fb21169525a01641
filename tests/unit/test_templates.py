"""Templates of SQL: every hole is filled, every file is used, and every file is part of what is installed."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from gapless.declare.pipeline import DEFAULT_FILE, load_pipeline
from gapless.deploy import bundle
from gapless.questions import preflight
from gapless.questions.validation import quality
from gapless.tasks.cleanup import phantoms
from gapless.warehouse.coverage import coverage
from gapless.warehouse.publishing import publish
from gapless.warehouse.staging import stage
from gapless.warehouse.tables import create_table
from gapless.warehouse.template import HOLE, Template
from tests.conftest import ROOT, TINY

PACKAGE = ROOT / "shared" / "gapless"
# The pipeline's own texts have placeholders of another kind; tests/architecture/test_layout.py is about them.
FILES = [path for path in sorted(PACKAGE.rglob("sql/*.sql")) if path.parent.parent.name != "nba"]


@pytest.mark.parametrize("fragments", [{}, {"table": "`a.b`"}, {"table": "`a.b`", "days": "1", "other": ""}])
def test_a_template_takes_exactly_the_fragments_that_it_has_holes_for(fragments: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=r"^x: (nothing fills|there is no hole) (days|days, table|other)$"):
        Template("SELECT * FROM {table} WHERE day IN ({days})", "x").fill(**fragments)


def test_comments_stay_out_and_an_optional_clause_leaves_no_line() -> None:
    text = "-- What {it} is about.\n\nSELECT a\nFROM {table}\n  -- a reason\n  {narrowed}\nGROUP BY a\n"
    assert Template(text).fill(table="`t`", narrowed="") == "SELECT a\nFROM `t`\nGROUP BY a"
    assert Template(text).fill(table="`t`", narrowed="WHERE b") == "SELECT a\nFROM `t`\n  WHERE b\nGROUP BY a"


def test_what_a_fragment_holds_is_taken_as_it_is() -> None:
    assert Template("SELECT {a}, {b}").fill(a="'{b}'", b=r"r'\1{2}'") == r"SELECT '{b}', r'\1{2}'"


@pytest.mark.parametrize("path", [DEFAULT_FILE, TINY / "pipeline.yaml"], ids=["nba", "tiny"])
def test_no_statement_that_a_pipeline_comes_to_has_a_hole_left(path: Path) -> None:
    pipeline = load_pipeline(path)
    every = list(pipeline.processors.values())
    texts = [quality.statement(every), preflight.statement(pipeline, preflight.sources(pipeline))]
    for p in every:
        texts += [create_table(p), publish(p, "s.staged", None), publish(p, "s.staged", "l.attempts")]
        texts += [coverage(pipeline, p, sources=True), coverage(pipeline, p, table="s.staged", only_dates=True)]
        texts += [stage(pipeline, p, "s.staged")] if p.run == "sql" else []
        texts += [phantoms.count(pipeline, p)] if p.expect else []
    for text in texts:
        assert not HOLE.search(text), text


def test_every_file_is_the_template_of_one_module_beside_it() -> None:
    used: Counter[Path] = Counter()
    for module in PACKAGE.rglob("*.py"):
        for name in re.findall(r'\btemplate\(__file__, "(\w+)"\)', module.read_text(encoding="utf-8")):
            used[module.parent / "sql" / f"{name}.sql"] += 1
    assert used == Counter(FILES)


def test_every_file_is_installed_and_deployed() -> None:
    """What `pip install` takes is declared by package, a file below a folder of it included."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-data"
    ]
    deployed = bundle.collect()
    for path in (*FILES, *(PACKAGE / "nba" / "sql").glob("*.sql")):
        folder = path.parent.parent
        package = ".".join(folder.relative_to(PACKAGE.parent).parts)
        patterns = [*declared.get("*", ()), *declared.get(package, ())]
        assert (folder / "__init__.py").is_file(), path
        assert any(fnmatch(f"sql/{path.name}", pattern) for pattern in patterns), path
        at_home = path.is_relative_to(PACKAGE / "nba" / "sample")
        assert at_home or path.relative_to(PACKAGE.parent).as_posix() in deployed, path
