"""The parts of the local stack that need no stack: programs that are found again, and the scheduler's times."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gapless.declare.catalogue import Schedule
from gapless.errors import CannotObserve
from gapless.stack import choice
from gapless.stack import stack as stack_module
from gapless.stack.processes import Program, free_port, kill, launch, members, stop, wait_until_ready
from gapless.stack.stack import Stack
from tests.conftest import ROOT

pytest.importorskip("apscheduler", reason="the local stack is not installed: pip install -e '.[cli,local,dev]'")

from gapless.stack.clock import cron

SLEEP = Program("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])


def test_a_program_goes_on_and_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"
    running = launch(Program("parent", [sys.executable, "-c", child]), tmp_path / "log")
    while "up" not in (tmp_path / "log").read_text():
        assert running.is_alive
    assert len(list(members(running.pid))) == 2
    os.kill(running.pid, signal.SIGKILL)  # the leader alone
    assert stop(running) == [running], "what it started is still there"
    assert list(members(running.pid)) == []
    assert stop(running) == []


def test_a_number_that_was_given_to_another_process_is_not_ours(tmp_path: Path) -> None:
    running = launch(SLEEP, tmp_path / "log")
    try:
        stranger = replace(running, started="1")
        assert not stranger.is_alive
        assert not kill(stranger)
        assert stop(stranger) == []
        assert running.is_alive
    finally:
        kill(running)


def test_a_program_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Program("broken", [sys.executable, "-c", "raise SystemExit('no such table')"], port=1)
    running = launch(broken, tmp_path / "log")
    with pytest.raises(CannotObserve, match="no such table"):
        wait_until_ready("broken", running, tmp_path / "log")


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_what_decides_how_a_program_works_is_its_fingerprint() -> None:
    assert SLEEP.fingerprint == replace(SLEEP, environment={"TERM": "dumb"}).fingerprint
    assert SLEEP.fingerprint != replace(SLEEP, environment={"GAPLESS_HALT": "1"}).fingerprint
    assert "secret" not in replace(SLEEP, environment={"GAPLESS_X": "secret"}).fingerprint


def test_a_file_about_dead_processes_hinders_nobody(tmp_path: Path) -> None:
    dead = {"pid": 4_000_000, "started": "1", "port": 9, "fingerprint": "x"}
    (tmp_path / "stack.json").write_text(json.dumps({"processes": {"run_processor": dead}}))
    stack = Stack(tmp_path)
    assert stack.status() == {"warehouse": False, "run_processor": False}
    assert not stack.kill("run_processor")
    assert stack.down() == []
    (tmp_path / "stack.json").write_text("half a fi")
    assert Stack(tmp_path).down() == []


def test_a_choice_that_cannot_be_had_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAPLESS_PUBSUB", "official")
    monkeypatch.setattr(choice.shutil, "which", lambda _name: None)
    with pytest.raises(CannotObserve, match=r"needs Java.*apt-get install"):
        Stack(tmp_path / "stack").up()
    assert not (tmp_path / "stack").exists()


def test_without_its_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CannotObserve, match=r"pip install -e '.\[cli,local\]'"):
        Stack(tmp_path / "stack").up()
    assert not (tmp_path / "stack").exists()


def test_a_shell_with_the_stacks_addresses_starts_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint() -> str:
        return Stack._pubsub("own", 1, "v").fingerprint

    before = fingerprint()
    for name in ("PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "GAPLESS_PROJECT", "GAPLESS_PUBSUB"):
        monkeypatch.setenv(name, "own")
    assert fingerprint() == before
    assert Stack._pubsub("official", 1, "v").fingerprint != before


@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        ("5 * * * *", "Etc/UTC", "2023-01-10T11:05:01+00:00", "2023-01-10T12:05:00+00:00"),
        # 4 in the morning on the east coast, before and after the clocks change
        ("0 4 * * *", "America/New_York", "2023-03-11T00:00:00+00:00", "2023-03-11T09:00:00+00:00"),
        ("0 4 * * *", "America/New_York", "2023-03-12T09:30:00+00:00", "2023-03-13T08:00:00+00:00"),
        # Monday is 1 in cron, and 0 for the scheduler's library
        ("0 12 * * 1", "Etc/UTC", "2023-01-10T00:00:00+00:00", "2023-01-16T12:00:00+00:00"),
        ("0 12 * * 1-5", "Etc/UTC", "2023-01-14T00:00:00+00:00", "2023-01-16T12:00:00+00:00"),
    ],
)
def test_a_schedule_fires_when_cron_would(text: str, zone: str, after: str, expected: str) -> None:
    trigger = cron(Schedule(cron=text, zone=zone, body={}))
    fires = trigger.get_next_fire_time(None, datetime.fromisoformat(after))
    assert fires.astimezone(UTC) == datetime.fromisoformat(expected)


def test_the_command_says_that_nothing_runs(tmp_path: Path) -> None:
    def call(word: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gapless.stack", word, "--home", str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert call("status").returncode == 1
    assert call("down").stdout.startswith("nothing was running")
