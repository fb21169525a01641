"""The whole system on one machine: warehouse, Pub/Sub, every function of the catalogue, and the scheduler's clock.

`up` brings about what should be there, whatever is there already: it starts what does not run, starts again what runs
on other settings or older code, and creates the topics and subscriptions that are missing. So it is also the repair
after something was killed. Addresses stay as they are from one start to the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapless.declare.catalogue import Catalogue, Function, load_catalogue
from gapless.declare.pipeline import Pipeline, load_pipeline
from gapless.declare.settings import LOCAL_PROJECT, read_settings
from gapless.errors import CannotObserve
from gapless.gcp.pubsub import PubSubSetup
from gapless.local import warehouse as local
from gapless.messages import DEAD_LETTER_TOPIC
from gapless.stack import choice
from gapless.stack.processes import Program, Running, as_json, free_port, kill, launch, members, stop, wait_until_ready
from gapless.wiring import connect

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package
DEFAULT_HOME = Path(".gapless/stack")
FIRST_PORT = 8790  # wanted by the warehouse, the next by Pub/Sub, the following by the functions
# What would lead a program of the stack to another warehouse, or make it believe that it is in the cloud; and what says
# no more to it than the stack does, so that a shell with the stack's own addresses starts nothing again.
_NOT_PASSED_ON = frozenset({
    "GOOGLE_CLOUD_PROJECT", "K_SERVICE", "GAPLESS_PUBLISH", "PORT", "DEBUG", choice.VARIABLE,
    "BIGQUERY_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "GAPLESS_PROJECT", "GAPLESS_HOME",
})  # fmt: skip
_OTHERS = ("pubsub", "scheduler")  # what is no function
_WORKERS = {"run_processor": 2}  # instances that work at the same time; the others have one


def missing() -> str:
    """The packages that the stack needs and this environment does not have, with the way to get them."""
    if all(importlib.util.find_spec(name) for name in ("apscheduler", "bqemulator")):
        return ""
    return "the packages of the local stack are not installed; run: pip install -e '.[cli,local]'"


@dataclass(frozen=True)
class Addresses:
    """Where everything listens."""

    project: str
    warehouse: str
    pubsub: str
    functions: Mapping[str, str]
    absent: tuple[str, ...]  # of the catalogue, without a file yet
    topics: tuple[str, ...]


class Stack:
    """The local stack in a folder: data, logs, and a file that says what runs."""

    def __init__(self, home: Path = DEFAULT_HOME, first_port: int = FIRST_PORT) -> None:
        self.home = home.resolve()
        self.warehouse_home = self.home / "warehouse"
        self._file = self.home / "stack.json"
        self._first_port = first_port
        self._catalogue: Catalogue = load_catalogue()
        self.pipeline: Pipeline = load_pipeline(read_settings().pipeline)

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    # ------------------------------------------------------------------------------------------------------ up

    def up(self) -> Addresses:
        """Start what does not run; raises `CannotObserve` with the end of the log of what does not start."""
        lacking = missing()
        if lacking:
            raise CannotObserve(lacking)
        kind = choice.chosen()
        with self._alone():
            warehouse = self._start_warehouse()
            ports = self._ports()
            there = {name: f for name, f in self._catalogue.functions.items() if (ROOT / f.source).is_file()}
            version = _newest_code()
            self._ensure([self._pubsub(kind, ports["pubsub"], version)])
            host = f"127.0.0.1:{ports['pubsub']}"
            urls = {name: f"http://127.0.0.1:{ports[name]}" for name in there}
            self._ensure([self._function(f, ports[name], warehouse, host, version) for name, f in there.items()])
            self._subscribe(host, urls)
            addresses = Addresses(
                LOCAL_PROJECT, warehouse, host, urls, tuple(sorted(set(self._catalogue.functions) - set(there))),
                self.topics(),
            )  # fmt: skip
            self._write(addresses)
            self._ensure([self._clock(version)])
            return addresses

    def topics(self) -> tuple[str, ...]:
        """Every topic: of the pipeline's completions, and of the catalogue."""
        announced = (self.pipeline.topic_of(p) for p in self.pipeline.processors.values())
        own = (topic for topic in announced if topic)
        return tuple(sorted({*self.pipeline.topics.values(), *own, *self._catalogue.topics}))

    @property
    def first_topic(self) -> str:
        """Where it is announced that raw data is there: the topic of the first phase that has one."""
        announced = self.pipeline.topics
        return announced[min(announced)] if announced else "TOPIC"

    def subscriptions(self, function: str) -> tuple[str, ...]:
        """The topics whose messages are pushed to a function."""
        return self._catalogue.functions[function].topics

    @staticmethod
    def subscription(function: str, topic: str) -> str:
        """The name of a push subscription, as Terraform gives it."""
        return f"gapless-{function.replace('_', '-')}.{topic}"

    def _start_warehouse(self) -> str:
        if not local.address(self.warehouse_home):
            local.stop(self.warehouse_home)  # a server that does not answer keeps its port and its file
        before = int(self._state().get("warehouse", "").rpartition(":")[2] or 0)
        address = local.start(self.warehouse_home, LOCAL_PROJECT, free_port(before or self._first_port))
        with _environment({"BIGQUERY_EMULATOR_HOST": address}):
            connect(read_settings(project=LOCAL_PROJECT)).create()
        return address

    @staticmethod
    def _pubsub(kind: choice.Kind, port: int, version: str) -> Program:
        version = version if kind == "own" else ""  # the official one does not change with our code
        return Program("pubsub", choice.command(kind, port), _inherited() | {"PYTHONPATH": str(ROOT)}, port, version)

    def _function(self, function: Function, port: int, warehouse: str, pubsub: str, version: str) -> Program:
        command = Path(sys.executable).with_name("functions-framework")
        return Program(
            function.name,
            [
                str(command), "--source", str(ROOT / function.source), "--target", function.name,
                "--host", "127.0.0.1", "--port", str(port),
            ],
            self.environment(warehouse, pubsub)
            | dict(function.environment)
            | {"THREADS": str(function.concurrency), "WORKERS": str(_WORKERS.get(function.name, 1))},
            port,
            version,
        )  # fmt: skip

    def _clock(self, version: str) -> Program:
        arguments = [sys.executable, "-m", "gapless.stack.clock", str(self._file)]
        return Program("scheduler", arguments, _inherited() | {"PYTHONPATH": str(ROOT)}, 0, version)

    def environment(self, warehouse: str, pubsub: str) -> dict[str, str]:
        """What a process needs to work on the stack."""
        return _inherited() | {
            "PYTHONPATH": str(ROOT),
            "BIGQUERY_EMULATOR_HOST": warehouse,
            "PUBSUB_EMULATOR_HOST": pubsub,
            "GAPLESS_PROJECT": LOCAL_PROJECT,
            "GAPLESS_HOME": str(self.warehouse_home),
        }

    def _ensure(self, programs: list[Program]) -> None:
        """Start those that do not run as they should, and wait until all of them listen."""
        running = self._running()
        waiting = []
        todo = [
            program
            for program in programs
            if not (
                (there := running.get(program.name)) and there.is_alive and there.fingerprint == program.fingerprint
            )
        ]
        stop(*(running[program.name] for program in todo if program.name in running))
        for program in todo:
            new = launch(program, self.log(program.name))
            self._remember(program.name, new)
            waiting.append((program.name, new))
        for name, new in waiting:
            wait_until_ready(name, new, self.log(name))

    def _subscribe(self, host: str, urls: Mapping[str, str]) -> None:
        with _environment({"PUBSUB_EMULATOR_HOST": host}):
            setup = PubSubSetup(LOCAL_PROJECT)
        for topic in self.topics():
            setup.topic(topic)
        setup.pull(DEAD_LETTER_TOPIC, DEAD_LETTER_TOPIC)
        for name, url in urls.items():
            for topic in self.subscriptions(name):
                setup.push(self.subscription(name, topic), topic, url, DEAD_LETTER_TOPIC)

    # ---------------------------------------------------------------------------------------------------- down

    def down(self) -> list[str]:
        """Stop everything; the names of what was running. The data stays; messages under way are gone."""
        with self._alone():
            running = self._running()
            # first what calls the others, so that nothing is called that is going
            callers = stop(*(running[name] for name in _OTHERS if name in running))
            called = stop(*(each for name, each in running.items() if name not in _OTHERS))
            stopped = [name for name, each in running.items() if each in callers or each in called]
            if local.stop(self.warehouse_home):
                stopped.append("warehouse")
            state = self._state()
            for process in state.get("processes", {}).values():
                process["pid"] = 0  # the port stays
            if state:
                self._save(state)
            return stopped

    def kill(self, name: str) -> bool:
        """End a program at once, as a crash would; True if it was running. For drills and tests."""
        running = self._running().get(name)
        return running is not None and kill(running)

    def processes(self) -> dict[str, int]:
        """The process number of everything that was started and not stopped."""
        return {name: running.pid for name, running in self._running().items()}

    def members(self) -> list[int]:
        """The process numbers of the functions, their workers included."""
        return [pid for name, leader in self.processes().items() if name not in _OTHERS for pid in members(leader)]

    def status(self) -> dict[str, bool]:
        """What belongs to the stack, and whether it runs."""
        alive = {name: running.is_alive for name, running in self._running().items()}
        return {"warehouse": local.address(self.warehouse_home) is not None} | alive

    # --------------------------------------------------------------------------------------------------- state

    def addresses(self) -> Addresses | None:
        """Where everything listens, as of the last `up`."""
        state = self._state()
        if "functions" not in state:
            return None
        return Addresses(
            state["project"], state["warehouse"], state["pubsub"], state["functions"], tuple(state["absent"]),
            tuple(state["topics"]),
        )  # fmt: skip

    def _ports(self) -> dict[str, int]:
        """A port for every program: the one it had, else the one that is its by the order of the catalogue."""
        running = self._running(dead_too=True)
        found: dict[str, int] = {}
        for number, name in enumerate(("pubsub", *self._catalogue.functions), self._first_port + 1):
            before = running.get(name)
            if before and before.is_alive:
                found[name] = before.port
                continue
            if before:
                stop(before)  # what its death left behind has the port
            found[name] = free_port(before.port if before else number)
        return found

    def _running(self, *, dead_too: bool = False) -> dict[str, Running]:
        processes = self._state().get("processes", {})
        return {name: Running(**fields) for name, fields in processes.items() if fields["pid"] or dead_too}

    def _remember(self, name: str, running: Running) -> None:
        state = self._state()
        state.setdefault("processes", {})[name] = as_json(running)
        self._save(state)

    def _write(self, addresses: Addresses) -> None:
        state = self._state()
        state |= {
            "project": addresses.project, "warehouse": addresses.warehouse, "pubsub": addresses.pubsub,
            "functions": dict(addresses.functions), "absent": list(addresses.absent), "topics": list(addresses.topics),
        }  # fmt: skip
        self._save(state)
        (self.home / "env").write_text(
            "# For a shell: every gapless command then works on the stack, and its events are delivered.\n"
            f"export BIGQUERY_EMULATOR_HOST={addresses.warehouse}\n"
            f"export PUBSUB_EMULATOR_HOST={addresses.pubsub}\n"
            f"export GAPLESS_PROJECT={addresses.project}\n"
        )

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _save(self, state: Mapping[str, Any]) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(state, indent=2) + "\n")
        new.replace(self._file)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}


def _newest_code() -> str:
    """When the code that the functions run was changed last."""
    files = (ROOT / "gapless").rglob("*.*")
    return str(max(path.stat().st_mtime_ns for path in files if path.suffix in (".py", ".sql", ".yaml")))


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Google's clients read the address of an emulator from the environment, when they are made."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
