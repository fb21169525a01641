"""The embedded warehouse: BigQuery's protocol on DuckDB, in a folder, started when it is needed.

It is `bqemulator` as published; only its start is ours (`gapless.local.emulator`). A started server is remembered in
`server.json` of its folder and shared by every command until it is stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from gapless.declare.settings import LOCAL_PROJECT
from gapless.errors import BadInput, CannotObserve

_START_SECONDS = 60
# Everything that a warehouse's folder holds.
FILES = frozenset({
    "bqemulator.duckdb", "bqemulator.duckdb.wal", "bqemulator.duckdb.tmp", "server.json", "server.lock", "server.log",
})  # fmt: skip


def start(home: Path, project: str = LOCAL_PROJECT, port: int = 0) -> str:
    """The address of the warehouse kept in a folder, started if it is not running, on a free port if none is named.

    Raises `CannotObserve` when it does not come up, with the end of its log.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _only_one(home):
        running = address(home)
        if running:
            return running
        return _launch(home, project, port)


def address(home: Path) -> str | None:
    """The address of a running warehouse of that folder, or None."""
    try:
        state = json.loads((home / "server.json").read_text())
        url = str(state["url"])
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return url if _answers(url) else None


def stop(home: Path) -> bool:
    """Stop the warehouse of a folder; True if it was running. Its data stays."""
    try:
        pid = int(json.loads((home / "server.json").read_text())["pid"])
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError, KeyError):
        return False
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # it may be our own child
        try:
            os.kill(pid, 0)
        except OSError:
            break
        time.sleep(0.05)
    (home / "server.json").unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two commands that start at once start one server."""
    with (home / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _launch(home: Path, project: str, port: int) -> str:
    try:
        import bqemulator  # noqa: F401  (only to say clearly what is missing)
    except ImportError as error:
        raise CannotObserve(
            "the embedded warehouse is not installed; run: pip install 'gapless[local]', or name a Google Cloud "
            "project with --project"
        ) from error
    rest, grpc = port or _free_port(), _free_port()
    environment = os.environ | {
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # Avro would be downloaded
        "BQEMU_TIME_TRAVEL_RETENTION_DAYS": "0",  # a copy of the table with every write
        "BQEMU_QUERY_CACHE_TTL_SECONDS": "0",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    log = (home / "server.log").open("ab")
    arguments = [
        "start",
        "--persistent",
        "--data-dir",
        str(home.resolve()),
        "--project",
        project,
        "--log-level",
        "warning",
        "--rest-port",
        str(rest),
        "--grpc-port",
        str(grpc),
    ]
    with log:
        process = subprocess.Popen(  # the warehouse outlives the command that starts it
            [sys.executable, "-m", "gapless.local.emulator", str(_cache() or ""), str(_threads()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
    url = f"http://127.0.0.1:{rest}"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if _answers(url):
            (home / "server.json").write_text(json.dumps({"url": url, "pid": process.pid}))
            return url
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    tail = (home / "server.log").read_text(errors="replace").strip().splitlines()[-3:]
    raise CannotObserve(
        f"the embedded warehouse in {home} did not start; the end of {home / 'server.log'}: {' | '.join(tail)}"
    )


def _cache() -> Path | None:
    """The folder for what every embedded warehouse of this user may use again; none where it is switched off."""
    named = os.environ.get("GAPLESS_CACHE", "")
    if named:
        return None if named == "off" else Path(named)
    general = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(general) if general else Path.home() / ".cache") / "gapless"
    except RuntimeError:  # nobody's home
        return None


def _threads() -> int:
    """How many threads a statement may take; 0 is one for each core."""
    named = os.environ.get("GAPLESS_WAREHOUSE_THREADS", "")
    if named and not (named.isdecimal() and 1 <= int(named) <= 1024):
        raise BadInput(f"GAPLESS_WAREHOUSE_THREADS is {named!r}, not a number from 1 to 1024; unset it for every core")
    return int(named or 0)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/bigquery/v2/projects/{LOCAL_PROJECT}/datasets", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
