"""A project tree of its own, functions served over HTTP, and the official Pub/Sub emulator where it is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Until something answers, whatever it answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} does not answer")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout's copy of the package, with the functions of the catalogue that have a file."""
    root = tmp_path / "project"
    package = root / "shared" / "gapless"
    shutil.copytree(ROOT / "shared" / "gapless", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "requirements.txt", root / "requirements.txt")
    catalogue = package / "functions" / "functions.yaml"
    raw = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    raw["functions"] = {
        name: fields for name, fields in raw["functions"].items() if (package / "functions" / f"{name}.py").exists()
    }
    catalogue.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return package


Served = Callable[[Path, str, dict[str, str]], str]


@pytest.fixture
def served() -> Iterator[Served]:
    """Serves a function of a bundle by the functions framework, and returns its address."""
    if importlib.util.find_spec("functions_framework") is None:
        pytest.skip("functions-framework is not installed")
    running: list[subprocess.Popen[bytes]] = []

    def serve(bundle: Path, name: str, environment: dict[str, str]) -> str:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "functions_framework", "--source", str(bundle / "main.py"), "--target", name,
             "--host", "127.0.0.1", "--port", str(port)],
            cwd=bundle, env={**os.environ, "PYTHONPATH": "", **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        running.append(process)
        wait_for(f"http://127.0.0.1:{port}/", process)
        return f"http://127.0.0.1:{port}"

    yield serve
    for process in running:
        stop(process)


def emulator_jar() -> Path | None:
    """The official Pub/Sub emulator, where Google's SDK has it."""
    roots = [os.environ.get("CLOUDSDK_ROOT", ""), "/usr/lib/google-cloud-sdk", str(Path.home() / "google-cloud-sdk")]
    program = shutil.which("gcloud")
    if program:
        roots.append(str(Path(program).resolve().parents[1]))
    for root in filter(None, roots):
        jars = sorted(Path(root).glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))
        if jars:
            return jars[-1]
    return None


@pytest.fixture(scope="session")
def _pubsub_emulator() -> Iterator[str]:
    jar = emulator_jar()
    if jar is None or shutil.which("java") is None:
        pytest.skip("the Pub/Sub emulator is not installed: gcloud components install pubsub-emulator, and Java")
    port = free_port()
    process = subprocess.Popen(
        ["java", "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/", process)
        yield f"127.0.0.1:{port}"
    finally:
        stop(process)


@pytest.fixture
def pubsub(_pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a running Pub/Sub emulator, which Google's client takes from the environment."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", _pubsub_emulator)
    return _pubsub_emulator
