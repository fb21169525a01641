"""The bundle: the same input gives the same bytes, everything in it works alone, nothing is in it for nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from gapless.declare.catalogue import load_catalogue
from gapless.deploy import bundle
from gapless.errors import BadInput
from tests.conftest import ROOT
from tests.deploy.conftest import Served


def test_the_same_input_gives_the_same_bytes_wherever_and_whenever_it_lies(tree: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "elsewhere"
    shutil.copytree(tree.parents[1], checkout)
    copy = checkout / "shared" / "gapless"
    for number, path in enumerate(sorted(checkout.rglob("*"))):
        os.utime(path, (1_000_000_000 + number, 1_000_000_000))
        path.chmod(0o700 if path.is_dir() else 0o600)
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.pyc").write_bytes(b"1")
    (copy / ".hidden").write_text("2")
    for number, root in enumerate((tree, copy)):
        content = bundle.collect(root)
        bundle.write_zip(content, tmp_path / f"{number}.zip")
        bundle.write_folder(content, tmp_path / f"folder{number}")
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    first, second = (
        {p.relative_to(tmp_path / name).as_posix(): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("folder0", "folder1")
    )
    assert first == second


def test_zip_and_folder_hold_the_same_files_sorted_with_fixed_times_and_permissions(tree: Path, tmp_path: Path) -> None:
    content = bundle.collect(tree)
    bundle.write_folder(content, tmp_path / "bundle")
    bundle.write_zip(content, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == sorted(content)
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
        for entry in entries:
            path = tmp_path / "bundle" / entry.filename
            assert path.read_bytes() == archive.read(entry)
            assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_change_of_one_byte_is_another_zip(tree: Path, tmp_path: Path) -> None:
    bundle.write_zip(bundle.collect(tree), tmp_path / "before.zip")
    with (tree / "nba" / "sql" / "calendar.sql").open("a") as sql:
        sql.write("\n")
    bundle.write_zip(bundle.collect(tree), tmp_path / "after.zip")
    assert (tmp_path / "before.zip").read_bytes() != (tmp_path / "after.zip").read_bytes()


def test_what_only_a_laptop_needs_stays_at_home(tree: Path) -> None:
    content = bundle.collect(tree)
    wanted = ("nba/pipeline.yaml", "nba/sql/calendar.sql", "wiring.py", "functions/web.py", "_commit.txt")
    assert {"main.py", "requirements.txt", *(f"gapless/{path}" for path in wanted)} <= set(content)
    assert not [path for path in content if path.startswith(bundle.AT_HOME)]
    assert not [path for path in content if "__pycache__" in path or path.endswith(".md")]
    assert {path.partition("/")[0] for path in content} == {"main.py", "requirements.txt", "gapless"}


def test_everything_that_stays_at_home_exists() -> None:
    for path in bundle.AT_HOME:
        assert (ROOT / "shared" / path).exists(), path


def test_every_function_imports_from_the_bundle_alone(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    bundle.write_folder(bundle.collect(tree), folder)
    program = (
        "import importlib, main, sys\n"
        "assert not [m for m in sys.modules if m.startswith('gapless')], 'main.py imports too early'\n"
        "for name in sys.argv[1:]:\n"
        "    assert callable(getattr(main, name)), name\n"
        "    module = importlib.import_module(f'gapless.functions.{name}')\n"
        "    assert callable(getattr(module, name)), name\n"
        "    assert module.__file__.startswith(sys.path[0]), module.__file__\n"
        "import gapless.gcp.admin, gapless.gcp.outside, gapless.wiring\n"
        "found = {m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'gapless'"
        " and getattr(m, '__file__', None)}\n"
        "assert all(f.startswith(sys.path[0]) for f in found), found\n"
    )
    names = list(load_catalogue(tree / "functions" / "functions.yaml").functions)
    assert names
    sites = [path for path in sys.path if path.endswith("site-packages")]
    # -S and -I: neither the project's own folder, nor an editable installation of it, is on the path
    start = f"import sys; sys.path[:0] = [{str(folder)!r}]; sys.path += {sites!r}\n"
    result = subprocess.run(
        [sys.executable, "-S", "-I", "-c", start + program, *names],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_a_deployed_module_that_imports_what_stays_at_home_is_refused(tree: Path) -> None:
    with (tree / "functions" / "web.py").open("a") as source:
        source.write("\ndef f():\n    from gapless.nba.sample import season\n    return season\n")
    with pytest.raises(BadInput, match=r"functions/web\.py imports gapless\.nba\.sample, which is not deployed"):
        bundle.collect(tree)


def test_a_function_without_a_file_is_refused(tree: Path) -> None:
    (tree / "functions" / "run_processor.py").unlink()
    with pytest.raises(BadInput, match=r"run_processor: there is no gapless/functions/run_processor\.py"):
        bundle.collect(tree)


def test_a_folder_that_holds_something_else_is_left_alone(tree: Path, tmp_path: Path) -> None:
    mine = tmp_path / "bundle"
    mine.mkdir()
    (mine / "main.py").write_text("print('mine')\n")
    with pytest.raises(BadInput, match="holds something that is not a bundle"):
        bundle.write_folder(bundle.collect(tree), mine)
    assert (mine / "main.py").read_text() == "print('mine')\n"


def test_a_bundle_is_replaced_whole(tree: Path, tmp_path: Path) -> None:
    content = bundle.collect(tree)
    bundle.write_folder(content, tmp_path / "bundle")
    (tmp_path / "bundle" / "gapless" / "gone.py").write_text("")
    bundle.write_folder(content, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "gapless" / "gone.py").exists()


# -------------------------------------------------------------------------------------------------------- commit


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    result = subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True)
    return result.stdout.strip()


def test_the_commit_is_the_one_that_last_changed_what_is_deployed(tree: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    assert bundle.commit(tree) == "unknown"
    root = tree.parents[1]
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    first = git(root, "rev-parse", "HEAD")
    assert bundle.commit(tree) == first
    content = bundle.collect(tree)
    (root / "notes.md").write_text("x")
    git(root, "add", ".")
    git(root, "commit", "-qm", "documents only")
    assert bundle.collect(tree) == content, "a commit that deploys nothing new gives the same bytes"
    (tree / "new.py").write_text("")
    assert bundle.commit(tree) == f"{first}-dirty"
    git(root, "add", ".")
    git(root, "commit", "-qm", "second")
    assert bundle.commit(tree) == git(root, "rev-parse", "HEAD")


# ------------------------------------------------------------------------------------------------------ over HTTP


def ask(url: str, body: bytes | None, method: str = "POST") -> tuple[int, str, dict[str, object], str]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    with refused.value as error:
        return error.code, error.headers.get_content_type(), json.loads(error.read()), error.headers.get("Allow", "")


def test_a_function_of_the_bundle_answers_over_http(tree: Path, tmp_path: Path, served: Served) -> None:
    bundle.write_folder(bundle.collect(tree), tmp_path / "bundle")
    # nothing answers at this address: a malformed request never gets there
    address = served(tmp_path / "bundle", "run_processor", {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9"})
    status, kind, told, _ = ask(address, b'{"')
    assert (status, kind, told["status"]) == (400, "application/problem+json", 400)
    assert told["title"] == "the request is malformed"
    status, kind, told, allow = ask(address, None, "GET")
    assert (status, kind, allow) == (405, "application/problem+json", "POST")
