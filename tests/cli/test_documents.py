"""Every `gapless` command that a document prints can be typed: it is understood, and ends in a documented way."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gapless.local import warehouse as local
from tests.conftest import ROOT, Result

DOCS = ROOT / "docs"
# Pages whose commands are about the sample season; those about a deployed project are tested where they are built.
PAGES = sorted(
    name
    for name in (
        "acknowledgements", "backfill", "commands", "getting-started", "local-stack", "operations", "repair", "reports",
        "troubleshooting", "validation", "verdicts", "../README",
    )
)  # fmt: skip
BLOCK = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.M | re.S)
ENDS = {0, 1, 3}  # complete, gaps, refused: what a command finds is not the document's matter


def commands(page: str) -> list[str]:
    """The commands of a page's code blocks, continued lines joined, without comments."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    lines = "\n".join(match[1] for match in BLOCK.finditer(text)).replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ").strip() for line in lines]
    return list(dict.fromkeys(line for line in typed if line.startswith("gapless ")))


@pytest.fixture(scope="module")
def home(pristine_season: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A complete season for all documents: they may delete and repair, and each follows on what another left."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copyfile(pristine_season / "bqemulator.duckdb", folder / "bqemulator.duckdb")
    yield folder
    local.stop(folder)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_document_runs(
    page: str,
    home: Path,
    pristine_season: Path,
    gapless: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    files = pristine_season / "files"
    monkeypatch.setenv("GAPLESS_HOME", str(home))
    monkeypatch.chdir(ROOT)
    typed = commands(page)
    assert typed, f"{page}.md prints no command"
    for line in typed:
        # The incidents of December 2021 are told with their dates; the sample season is a year later.
        there = line.replace("2021-12-", "2022-12-").replace("FILE", str(tmp_path / "out.yaml"))
        there = re.sub(r" --home (own|shop)\b", "", there)  # the season's home stands for those that a page makes
        words = [str(files) if word == "data" else word for word in shlex.split(there, comments=True)[1:]]
        result = gapless(*words)
        # a project of the reader's is not there
        ends = {4} if "my-project" in words else ENDS
        assert result.code in ends, f"{line}\n{result.out[-500:]}\n{result.err}"
