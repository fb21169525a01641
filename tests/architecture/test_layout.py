"""The layout holds: imports point one way, the cloud is in one place, nothing is declared or required for nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapless.declare.pipeline import DEFAULT_FILE, Pipeline, load_pipeline
from gapless.declare.processor import Keys
from gapless.declare.texts import PLACEHOLDER
from tests.conftest import ROOT, TINY

FOLDERS = ("shared", "functions", "deploy")
# What a requirement is imported as, where that is not its name with underscores.
IMPORTED_AS = {
    "google-cloud-bigquery": "google.cloud.bigquery",
    "google-cloud-pubsub": "google.cloud.pubsub_v1",
    "google-cloud-scheduler": "google.cloud.scheduler_v1",
    "pyyaml": "yaml",
}
# read by zoneinfo where the system has no time zones; and what starts the functions
NEVER_IMPORTED = {"tzdata", "functions-framework"}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_imports_point_one_way() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed: pip install -e '.[dev]'")
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_only_gcp_imports_google() -> None:
    guilty = {
        str(path.relative_to(ROOT))
        for path in sources(*FOLDERS)
        if any(name == "google" or name.startswith("google.") for name in imported(path))
    }
    assert {path.rpartition("/")[0] for path in guilty} == {"shared/gapless/gcp"}


def test_nothing_in_shared_knows_the_command_line_or_the_functions() -> None:
    """The import contract keeps folders apart; this keeps the libraries of the edges at the edges."""
    for path in sources("shared"):
        roots = {name.split(".")[0] for name in imported(path)}
        folder = path.relative_to(ROOT / "shared" / "gapless").parts[0]
        edges = {"cli": {"click", "rich"}, "stack": {"click"}, "functions": {"flask", "functions_framework"}}
        libraries = {"click", "rich", "flask", "functions_framework"} - edges.get(folder, set())
        assert not roots & {*libraries, "functions", "deploy", "tests", "bench"}, path


def test_the_environment_is_read_in_one_place_only() -> None:
    """settings.py reads it; what runs on a laptop passes on or asks for what concerns a process, not a setting."""
    readers = {
        str(path.relative_to(ROOT / "shared" / "gapless"))
        for path in sources("shared")
        if re.search(r"os\.environ\b|os\.getenv\b", path.read_text(encoding="utf-8"))
    }
    at_home = {path for path in readers if path.startswith(("local/", "stack/", "deploy/"))}
    assert readers - at_home == {"declare/settings.py"}


# Words of the shipped pipeline's subject, each alone or as a part of a name.
GAME = (
    "basketball|bookmaker|box|boxscore|game|league|matchup|nba|odds|opponent|player|playoff|points|prop|rebound|roster|"
    "schedule|score|season|shot|team|tipoff|tricode"
)


def words_of_the_game(text: str) -> list[str]:
    return re.findall(rf"(?<![a-z])(?:{GAME})s?(?![a-z])", text.lower())


def test_words_of_the_game_are_found_wherever_they_stand() -> None:
    assert words_of_the_game("_NBA game_dates: the Team's boxscores") == ["nba", "game", "team", "boxscores"]
    assert words_of_the_game("a proposal of teamwork, properly boxed") == []


def test_the_general_reader_of_files_knows_nothing_of_the_shipped_pipelines_files() -> None:
    """They are kinds that the pipeline file names, and a string is all that leads to them."""
    reader = sorted((ROOT / "shared" / "gapless" / "files").rglob("*.py"))
    assert reader
    for path in reader:
        assert not [name for name in imported(path) if name.startswith("gapless.nba")], path
        assert words_of_the_game(path.read_text(encoding="utf-8")) == [], path


def test_only_a_load_brings_in_the_files_of_the_pipeline() -> None:
    program = (
        "import sys; import gapless.cli.main, gapless.files.kinds\n"
        "print(sorted(m for m in sys.modules if m.startswith('gapless.nba.files')))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------ the pipeline


def queries(keys: Keys | None) -> Iterator[str]:
    if keys:
        if keys.query:
            yield keys.query
        yield from queries(keys.historical)
        yield from queries(keys.upcoming)


@pytest.fixture(scope="module", params=["nba", "shop"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return load_pipeline(DEFAULT_FILE if request.param == "nba" else TINY / "pipeline.yaml")


def owners(pipeline: Pipeline) -> dict[str, set[str]]:
    """The SQL files that the pipeline uses, each with the upstream that it may read."""
    found: dict[str, set[str]] = {}
    for p in pipeline.processors.values():
        for name in ([p.name] if p.run == "sql" else []) + list(queries(p.expect)):
            found.setdefault(name, set()).update(p.upstream)
    if pipeline.calendar:
        found[pipeline.calendar] = set(pipeline.processors)
    return found


def test_every_sql_file_is_used(pipeline: Pipeline) -> None:
    assert set(pipeline.texts) == set(owners(pipeline))


def test_every_placeholder_is_a_declared_upstream(pipeline: Pipeline) -> None:
    """Comments included: they name what is read."""
    for name, allowed in owners(pipeline).items():
        used = {match[1] for match in PLACEHOLDER.finditer(pipeline.texts[name])}
        assert used <= allowed, name


def test_everything_that_is_declared_as_upstream_is_read(pipeline: Pipeline) -> None:
    """A table that is declared and not read would make targets stale for nothing."""
    for p in pipeline.processors.values():
        read = set(p.expect.tables) if p.expect else set()
        for name in ([p.name] if p.run == "sql" else []) + list(queries(p.expect)):
            read |= {match[1] for match in PLACEHOLDER.finditer(pipeline.texts[name])}
        assert set(p.upstream) <= read, p.name


def test_sql_names_tables_through_placeholders_only(pipeline: Pipeline) -> None:
    """A dataset in a file could not be renamed and would escape the declaration of what is read."""
    tables = {p.table for p in pipeline.processors.values()}
    datasets = {table.split(".")[0] for table in tables}
    for name, text in pipeline.texts.items():
        code = "\n".join(line.split("--")[0] for line in text.splitlines())
        assert not [d for d in datasets if re.search(rf"\b{d}\.", code)], name


def test_sql_asks_no_clock_and_draws_no_lots(pipeline: Pipeline) -> None:
    """The same inputs give the same bytes, whenever they are run."""
    for name, text in pipeline.texts.items():
        code = "\n".join(line.split("--")[0] for line in text.splitlines()).upper()
        assert not re.search(r"\b(CURRENT_(DATE|TIMESTAMP|DATETIME|TIME)|RAND|GENERATE_UUID)\b", code), name


# ---------------------------------------------------------------------------------------------- requirements


def requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.split(r"[<>=!~\[; ]", line.strip(), maxsplit=1)[0].lower() for line in lines if line.strip()]
    return [name for name in names if name and not name.startswith("#")]


def test_functions_need_everything_in_requirements() -> None:
    functions = [path for path in sources("functions") if path.name == "main.py"]
    if not functions:
        pytest.skip("there are no functions yet")
    used = {name for path in sources("shared", "functions") for name in imported(path)}
    needless = {
        name
        for name in set(requirements()) - NEVER_IMPORTED
        if not any((IMPORTED_AS.get(name, name.replace("-", "_")) + ".") in f"{module}." for module in used)
    }
    assert needless == set()


def test_the_command_lines_packages_are_no_requirement_of_functions() -> None:
    assert not set(requirements()) & {"click", "rich", "pyarrow", "duckdb", "bqemulator", "sqlglot", "pytest", "numpy"}


STARTS = ["gapless.engine", "gapless.wiring", "gapless.questions.explain", "gapless.messages"]


@pytest.mark.parametrize("module", STARTS)
def test_a_cold_start_imports_no_library_that_it_does_not_need(module: str) -> None:
    """Google's clients take most of a second: they are imported when a warehouse is connected, not before."""
    program = (
        f"import sys; there = set(sys.modules); import {module}; "  # a .pth file may have put an empty `google` there
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - there} & "
        "{'google', 'pyarrow', 'click', 'rich', 'numpy', 'pandas', 'duckdb', 'bqemulator', 'sqlglot', 'requests'}))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
