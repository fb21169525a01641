"""The local stack for the tests of this folder: one for all of them, in the order in which they are written."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gapless.declare.settings import LOCAL_PROJECT, read_settings
from gapless.engine import Look
from gapless.model import Policy, Scope, Target
from gapless.nba.sample.season import SampleSeason, write_season
from gapless.wiring import Gapless, InProcessBus, connect
from tests.conftest import ROOT, SEASON, Bench

pytest.importorskip("apscheduler", reason="the local stack is not installed: pip install -e '.[cli,local,dev]'")
pa = pytest.importorskip("pyarrow")
pc = pytest.importorskip("pyarrow.compute")
pq = pytest.importorskip("pyarrow.parquet")

from gapless.stack import choice  # noqa: E402
from gapless.stack.stack import Addresses, Stack, missing  # noqa: E402

LONG = 240  # seconds for what takes a few on a quiet machine: a limit for what never comes, and no measure
PHASES = ("phase2_to_phase3", "phase3_to_phase4", "phase4_to_phase5", "phase5_to_phase6")


@dataclass
class Running:
    """The stack with what people and schedules do to it."""

    stack: Stack
    addresses: Addresses
    bench: Bench
    sample: SampleSeason
    files: Path
    told: list[str] = field(default_factory=list)

    @property
    def gapless(self) -> Gapless:
        return self.bench.gapless

    def up(self) -> None:
        self.addresses = self.stack.up()

    # -- what a person with curl does

    def post(self, function: str, body: Mapping[str, Any], seconds: float = LONG) -> tuple[int, dict[str, Any]]:
        return _post(self.addresses.functions[function], body, seconds)

    def publish(self, topic: str, *messages: object) -> list[str]:
        """Publish, over HTTP as curl does; what is no object goes as it is."""
        url = f"http://{self.addresses.pubsub}/v1/projects/{LOCAL_PROJECT}/topics/{topic}:publish"
        texts = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        body = {"messages": [{"data": base64.b64encode(text).decode()} for text in texts]}
        return list(_post(url, body, 30)[1]["messageIds"])

    def dead_letters(self) -> list[dict[str, Any]]:
        """Take what waits on the dead-letter topic."""
        name = f"projects/{LOCAL_PROJECT}/subscriptions/gapless-dead-letter"
        url = f"http://{self.addresses.pubsub}/v1/{name}"
        _, told = _post(f"{url}:pull", {"maxMessages": 100, "returnImmediately": True}, 30)
        received = told.get("receivedMessages", [])
        if received:
            _post(f"{url}:acknowledge", {"ackIds": [each["ackId"] for each in received]}, 30)
        return [json.loads(base64.b64decode(each["message"]["data"])) for each in received]

    def listeners(self, topic: str) -> list[str]:
        """The functions that a topic's messages are delivered to."""
        return [name for name in self.addresses.functions if topic in self.stack.subscriptions(name)]

    def lose_events(self) -> None:
        """From now on nobody hears of a completion; `up` brings the subscriptions back."""
        for function in PHASES:
            for topic in self.stack.subscriptions(function):
                name = self.stack.subscription(function, topic)
                url = f"http://{self.addresses.pubsub}/v1/projects/{LOCAL_PROJECT}/subscriptions/{name}"
                urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()

    def kill_warehouse(self) -> None:
        """The warehouse ends at once, in the middle of whatever it was doing."""
        pid = json.loads((self.stack.warehouse_home / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self.wait_until("the warehouse's end", lambda: not self.stack.status()["warehouse"], 10)

    def power_failure(self) -> None:
        """Everything ends at once, in the middle of whatever it was doing."""
        self.kill_warehouse()
        for name in self.stack.processes():
            self.stack.kill(name)
        self.wait_until("the end", lambda: not any(self.stack.status().values()), 10)

    def dead(self) -> list[str]:
        """What belongs to the stack and does not run."""
        return [name for name, alive in self.stack.status().items() if not alive]

    def an_hour_passes(self) -> None:
        """In the ledger, not on the clock: when the hourly scan comes, leases have ended and failures have waited."""
        for table, columns in (
            ("attempts", ("claimed_at", "lease_until")),
            ("backfill_date_outcomes", ("started_at", "processed_at")),
        ):
            earlier = ", ".join(f"{column} = TIMESTAMP_SUB({column}, INTERVAL 1 HOUR)" for column in columns)
            self.bench.run(f"UPDATE {self.bench.ledger_table(table)} SET {earlier} WHERE claim_number > 0")

    def load(self, first: date, last: date, *, announced: bool = False) -> None:
        """`gapless load` of the raw data of these dates; `announced` publishes the completions too."""
        folder = self.files.with_name(f"{first}_{last}")
        folder.mkdir()
        for path in (self.sample.box, self.sample.schedule, self.sample.props):
            assert path is not None
            table = pq.read_table(path)
            days = table.column("game_date")
            inside = pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last)))
            if (part := table.filter(inside)).num_rows:
                pq.write_table(part, folder / path.name)
        environment = self.stack.environment(self.addresses.warehouse, self.addresses.pubsub if announced else "")
        loaded = subprocess.run(
            [sys.executable, "-m", "gapless.cli.main", "load", str(folder)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr

    def damage(self, processor: str, first: date, last: date) -> int:
        """Delete what a table holds of these dates; how many dates it were."""
        p = self.bench.pipeline.processor(processor)
        where = f"FROM `{p.table}` WHERE {p.date_column} BETWEEN @first AND @last"
        dates = int(self.bench.rows(f"SELECT COUNT(DISTINCT {p.date_column}) {where}", first=first, last=last)[0][0])
        self.bench.run(f"DELETE {where}", first=first, last=last)
        return dates

    def settle(self, seconds: float = LONG) -> None:
        """Until no function has said anything for a while: what was published has been delivered."""
        deadline, quiet = time.monotonic() + seconds, 0.0
        before = -1
        while quiet < 4 and time.monotonic() < deadline:
            size = sum(path.stat().st_size for path in self.stack.log("x").parent.glob("*.log"))
            quiet, before = (quiet + 0.5, before) if size == before else (0.0, size)
            time.sleep(0.5)

    # -- what is asked of the tables

    def look(self, first: date | None = None, last: date | None = None) -> Look:
        everything = self.gapless.everything()
        scope = Scope(first or everything.first, last or first or everything.last)
        return self.gapless.engine(Policy()).scan(scope)

    def outcomes(self) -> int:
        """How many targets came to an end, by the log: asking the warehouse all the time would slow the runs down."""
        return sum(line["complete"] + line["failed"] for line in self.lines("run_processor", "run_done"))

    def wait_until(self, what: str, true: Callable[[], bool], seconds: float, every: float = 0.5) -> None:
        """Poll; fails with the newest lines of the logs."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{self.newest_logs()}"
            time.sleep(every)

    def wait_for(self, first: date, last: date | None = None, seconds: float = LONG) -> None:
        """Until nothing in these dates is a gap."""
        self.wait_until(
            f"{first} to {last or first} complete", lambda: self.look(first, last).judgement.complete, seconds
        )

    def wait_for_claim(self, after: int) -> None:
        """Until a run is at work whose claim is younger than a number."""
        self.wait_until("a claim", lambda: self.claims_under_way(after) > 0, LONG, every=0.05)

    def scan_until_complete(self, rounds: int = 10) -> int:
        """Call the phases in their order, each as its schedule does, until it finds nothing; how many calls it took."""
        calls = 0
        for function in PHASES:
            for _ in range(rounds):
                before = self.outcomes()
                status, told = self.post(function, {"scan_for_gaps": True})
                calls += 1
                assert status == 200, told
                if told["complete"]:
                    break
                self.wait_for_runs(before + told["triggered"])
            else:
                raise AssertionError(f"{function}: not complete after {rounds} scans: {told}\n{self.newest_logs()}")
        return calls

    def wait_for_runs(self, outcomes: int, patience: float = 20) -> None:
        """Until so many outcomes are written down, or nothing has been written for a while."""
        seen, since = -1, time.monotonic()
        while (now := self.outcomes()) < outcomes and time.monotonic() - since < patience:
            if now > seen:
                seen, since = now, time.monotonic()
            time.sleep(0.5)

    def claims_under_way(self, after: int = 0) -> int:
        """Targets of claims after a number that nothing was written down about yet."""
        return int(
            self.bench.rows(
                f"SELECT COUNT(*) FROM {self.bench.ledger_table('attempts')} AS a "
                f"LEFT JOIN {self.bench.ledger_table('backfill_date_outcomes')} AS o "
                "ON o.processor_name = a.processor_name AND o.analysis_date = a.target_date "
                f"AND o.claim_number = a.claim_number WHERE a.claim_number > {after} AND o.claim_number IS NULL"
            )[0][0]
        )

    def unfinished(self) -> list[Target]:
        """Targets whose newest claim ended in nothing: no outcome says complete, and the rows are not of its run.

        Rows of its run without an outcome are what a run leaves that is killed right after it published.
        """
        claims = self.bench.rows(
            "SELECT a.processor_name, a.target_date, a.run_id FROM ("
            "  SELECT *, MAX(claim_number) OVER (PARTITION BY processor_name, target_date) AS newest "
            f"  FROM {self.bench.ledger_table('attempts')} WHERE claim_number > 0"
            f") AS a LEFT JOIN {self.bench.ledger_table('backfill_date_outcomes')} AS o "
            "ON o.processor_name = a.processor_name AND o.analysis_date = a.target_date "
            "AND o.claim_number = a.claim_number AND o.status = 'complete' "
            "WHERE a.claim_number = a.newest AND o.status IS NULL"
        )
        wrote = self.bench.runs() if claims else {}
        return [t for t, run in ((Target(name, day), run) for name, day, run in claims) if wrote.get(t) != run]

    def newest_claim(self) -> int:
        return int(self.bench.rows(f"SELECT MAX(claim_number) FROM {self.bench.ledger_table('attempts')}")[0][0])

    def doubles(self, after: int = 0) -> list[tuple[Any, ...]]:
        """Keys that a table holds twice, and targets that claims after a number completed twice on the same inputs."""
        bench = self.bench
        parts = [
            f"SELECT '{p.name}', CAST({p.date_column} AS STRING), COUNT(*) FROM `{p.table}` "
            f"GROUP BY {', '.join(dict.fromkeys((p.date_column, *p.key)))} HAVING COUNT(*) > 1"
            for p in bench.pipeline.processors.values()
            if p.run == "sql"
        ]
        parts.append(
            "SELECT CONCAT('claims of ', processor_name), CAST(analysis_date AS STRING), COUNT(*) "
            f"FROM {bench.ledger_table('backfill_date_outcomes')} WHERE status = 'complete' AND claim_number > {after} "
            "GROUP BY processor_name, analysis_date, inputs_hash HAVING COUNT(*) > 1"
        )
        return bench.rows("\nUNION ALL\n".join(parts))

    def memory(self) -> int:
        """What the functions hold, in MB."""
        total = 0
        for pid in self.stack.members():
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(status.partition("VmRSS:")[2].split()[0])
        return total // 1024

    def newest_logs(self) -> str:
        command = [sys.executable, "-m", "gapless.stack", "logs", "--home", str(self.stack.home), "--lines", "40"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout

    def calls_ended(self, name: str) -> int:
        """How many calls a function has answered."""
        return sum(len(self.lines(name, action)) for action in ("run_done", "request_failed"))

    def has_run(self, processor: str, day: date) -> bool:
        """Whether a run of this processor from this date on has come to its end, whatever that is."""
        found = self.lines("run_processor", "run_done")
        return any((line["processor"], line["first_date"]) == (processor, day.isoformat()) for line in found)

    def lines(self, name: str, action: str) -> list[dict[str, Any]]:
        """The lines of one kind in a program's log."""
        found = []
        for line in self.stack.log(name).read_text().splitlines():
            if line.startswith("{") and f'"action": "{action}"' in line:
                found.append(json.loads(line))
        return found


def _post(url: str, body: Mapping[str, Any], seconds: float) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return response.status, json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    lacking = missing()
    if lacking:
        if os.environ.get("GAPLESS_E2E") == "required":
            pytest.fail(lacking)
        pytest.skip(lacking)
    folder = tmp_path_factory.mktemp("stack")
    stack = Stack(folder / "home", first_port=8870)
    try:
        addresses = stack.up()
        pubsub = choice.told(choice.chosen())
        settings = read_settings(stack.environment(addresses.warehouse, ""))
        gapless = connect(settings)
        assert isinstance(gapless.bus, InProcessBus)
        files = folder / "files"
        running = Running(
            stack, addresses, Bench(gapless, stack.warehouse_home), write_season(files, season=SEASON), files
        )
        running.told.append(f"Pub/Sub: {pubsub}")
        yield running
        for line in running.told:
            print(line)
    finally:
        stack.down()
