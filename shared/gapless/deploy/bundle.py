"""Writes what is deployed: `build/bundle/`, which Terraform zips, and `build/gapless.zip`. Same input, same bytes.

Functions are deployed from one folder: `main.py` is written from the catalogue, with an entry point for each function,
beside the package `gapless` and `requirements.txt`. What only the command line or the embedded warehouse needs stays
at home; a deployed module that imports any of it is an error here, and not the first call's.

    python -m gapless.deploy.bundle
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path

from gapless.declare.catalogue import Catalogue, load_catalogue
from gapless.doctor import DEPLOYED_PATHS
from gapless.errors import BadInput, GaplessError

PACKAGE = Path(__file__).resolve().parents[1]
COMMIT_FILE = "gapless/_commit.txt"
HEADER = '"""Written by `python -m gapless.deploy.bundle` from gapless/functions/functions.yaml'
# Not needed by any function: the command line, the loader, the generated season, and what runs on a laptop only.
AT_HOME = (
    "gapless/__main__.py", "gapless/cli", "gapless/deploy", "gapless/files", "gapless/local", "gapless/nba/files",
    "gapless/nba/sample", "gapless/stack", "gapless/tasks/load.py",
)  # fmt: skip
# Imports of these that no function reaches: the embedded warehouse is started only where neither project nor emulator
# is named.
UNREACHED = {("gapless/wiring.py", "gapless.local")}
_NEVER = {"__pycache__", "README.md", COMMIT_FILE.rpartition("/")[2]}


def main() -> None:
    """Write folder and zip, and print the zip's checksum."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m gapless.deploy.bundle", description=about)
    parser.add_argument("--out", type=Path, default=Path("build"), help="folder to write to (default: build)")
    out: Path = parser.parse_args().out
    try:
        content = collect()
        write_folder(content, out / "bundle")
        write_zip(content, out / "gapless.zip")
    except GaplessError as error:
        print(f"bundle: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    digest = hashlib.sha256((out / "gapless.zip").read_bytes()).hexdigest()
    size = sum(map(len, content.values()))
    print(f"{len(content)} files, {size / 1024:,.0f} KB, commit {content[COMMIT_FILE].decode().strip()}")
    print(f"sha256 {digest}  {out / 'gapless.zip'}")


def collect(package: Path = PACKAGE) -> dict[str, bytes]:
    """Every file of the bundle by its path, sorted; raises `BadInput` where something is missing or does not belong."""
    catalogue = load_catalogue(package / "functions" / "functions.yaml")
    content = {
        path: (package.parent / path).read_bytes()
        for path in _files(package)
        if not any(path == name or path.startswith(f"{name}/") for name in AT_HOME)
    }
    for function in catalogue.functions.values():
        if function.source not in content:
            raise BadInput(f"functions.yaml: {function.name}: there is no {function.source}")
    _refuse_what_stays_at_home(content)
    content["main.py"] = entry_points(catalogue).encode()
    content["requirements.txt"] = requirements(package).encode()
    content[COMMIT_FILE] = f"{commit(package)}\n".encode()
    return dict(sorted(content.items()))


def entry_points(catalogue: Catalogue) -> str:
    """The text of the bundle's main.py. An instance serves one function, and imports no other."""
    parts = [
        f"{HEADER}: one entry point for each function.\n\n"
        'A function is imported by its first call, so an instance loads only its own.\n"""\n'
    ]
    for function in catalogue.functions.values():
        name = function.name
        parts.append(
            f"def {name}(request):\n    {function.description!r}\n"
            f"    from gapless.functions.{name} import {name} as handle\n\n    return handle(request)\n"
        )
    return "\n\n".join(parts)


def checkout(package: Path) -> Path | None:
    """The root of the checkout that the package lies in; None where it was installed from a wheel."""
    root = package.parents[1]
    is_one = package.parent.name == "shared" and (root / "requirements.txt").is_file()
    return root if is_one else None


def requirements(package: Path) -> str:
    """What a deployed function needs: the checkout's file, or what the installed package says of itself."""
    root = checkout(package)
    if root:
        return (root / "requirements.txt").read_text(encoding="utf-8")
    needed = [line for line in distribution("gapless").requires or [] if "extra ==" not in line]
    return "".join(f"{line}\n" for line in sorted(needed))


def commit(package: Path) -> str:
    """The commit that last changed anything deployed, with `-dirty` where files differ from it; else `unknown`.

    Not the newest commit: one that changes documents only would otherwise deploy every function again.
    """
    root = checkout(package)
    if root is None:
        return "unknown"
    try:
        newest = _git(root, "log", "-1", "--format=%H", "--", *DEPLOYED_PATHS).strip()
        changed = _git(root, "status", "--porcelain", "--", *DEPLOYED_PATHS).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{newest}-dirty" if newest and changed else newest or "unknown"


def write_folder(content: Mapping[str, bytes], folder: Path) -> None:
    """Replace a bundle's folder; raises `BadInput` where the folder holds something else."""
    if folder.exists():
        there = folder / "main.py"
        if any(folder.iterdir()) and not (there.is_file() and there.read_text("utf-8").startswith(HEADER)):
            raise BadInput(f"{folder} holds something that is not a bundle; name another folder with --out")
        shutil.rmtree(folder)
    for path, data in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o644)


def write_zip(content: Mapping[str, bytes], target: Path) -> None:
    """Write a zip whose bytes follow from the content alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for path, data in sorted(content.items()):
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data, zipfile.ZIP_STORED)  # compressed bytes would depend on zlib's version


def _files(package: Path) -> Iterator[str]:
    for path in sorted(package.rglob("*")):
        parts = path.relative_to(package.parent).parts
        if path.is_file() and not any(part in _NEVER or part.startswith(".") for part in parts):
            yield "/".join(parts)


def _refuse_what_stays_at_home(content: Mapping[str, bytes]) -> None:
    """Raise `BadInput` where a deployed module imports one that is not."""
    missing = tuple(path.removesuffix(".py").replace("/", ".") for path in AT_HOME)
    for path, data in content.items():
        if not path.endswith(".py"):
            continue
        for module in _imported(data):
            home = next((name for name in missing if module == name or module.startswith(f"{name}.")), None)
            if home and (path, home) not in UNREACHED:
                raise BadInput(f"{path} imports {home}, which is not deployed; see AT_HOME in gapless/deploy/bundle.py")


def _imported(source: bytes) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
