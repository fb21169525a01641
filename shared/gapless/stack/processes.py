"""Programs that go on after the command that started them, each with a log, found again by number and start time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapless.errors import CannotObserve

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_TELLING = ("GAPLESS_", "BIGQUERY_", "PUBSUB_", "PYTHONPATH", "THREADS", "WORKERS")  # of an environment
_TAIL = 6  # lines of a log that explain why a program did not start


@dataclass(frozen=True)
class Program:
    """What is started, and where it listens when it is ready; port 0 listens nowhere."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    version: str = ""  # of what it runs: another one means that it has to be started again

    @property
    def fingerprint(self) -> str:
        """Tells two programs apart by what decides how they work; a hash, for the environment may hold secrets."""
        told = sorted(item for item in self.environment.items() if item[0].startswith(_TELLING))
        return hashlib.sha256(repr((list(self.arguments), told, self.version)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Running:
    """A started program. Number and start time together name a process; a number alone is given out again."""

    pid: int
    started: str
    port: int
    fingerprint: str

    @property
    def is_alive(self) -> bool:
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, os.WNOHANG)  # where it is a child of ours
        return started(self.pid) == self.started


def launch(program: Program, log: Path) -> Running:
    """Start a program in a session of its own; it is not ready yet."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(program.arguments),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=dict(program.environment) or None,
        )
    return Running(process.pid, started(process.pid), program.port, program.fingerprint)


def wait_until_ready(name: str, running: Running, log: Path, seconds: float = START_SECONDS) -> None:
    """Return when a program listens on its port; raises `CannotObserve` with the end of its log if it ends before."""
    deadline = time.monotonic() + seconds
    why = f"does not listen on port {running.port} after {seconds:g} s"
    while time.monotonic() < deadline:
        if not running.is_alive:
            why = "ended"
            break
        if not running.port or _listens(running.port):
            return
        time.sleep(0.05)
    stop(running)
    raise CannotObserve(f"{name} {why}; the end of {log}:\n{tail(log)}")


def stop(*programs: Running, seconds: float = STOP_SECONDS) -> list[Running]:
    """End programs with all that they started, at the same time; those of them that were running."""
    were = left = [each for each in programs if _is_there(each)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for each in left:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, number)
        deadline = time.monotonic() + seconds
        while (left := [each for each in left if _is_there(each)]) and time.monotonic() < deadline:
            time.sleep(0.05)
    return were


def kill(running: Running) -> bool:
    """End a program with all that it started at once, as a crash would; True if it was running."""
    if not running.is_alive:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_there(running) and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def started(pid: int) -> str:
    """When a process began, in the system's own count; empty where there is none, or only what its parent left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        try:  # a system without /proc
            os.kill(pid, 0)
        except OSError:
            return ""
        return "?"
    return "" if fields[0] in "ZX" else fields[19]


def _is_there(running: Running) -> bool:
    """Whether a program runs, or others of its session do; its number is not given out again before they are gone."""
    return running.is_alive or (not started(running.pid) and any(members(running.pid)))


def members(group: int) -> Iterator[int]:
    """The processes that a program and what it started consist of."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                yield int(entry.name)


def free_port(wanted: int = 0) -> int:
    """The wanted port where nobody has it, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what was stopped a moment ago is free
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise CannotObserve("there is no free port")


def tail(log: Path, lines: int = _TAIL) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "  (there is no log)"
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-lines:]) or "  (it is empty)"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def as_json(running: Running) -> dict[str, Any]:
    return {"pid": running.pid, "started": running.started, "port": running.port, "fingerprint": running.fingerprint}
