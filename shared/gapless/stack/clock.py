"""The scheduler of the local stack: what Cloud Scheduler does in the cloud, with APScheduler's clock.

Every schedule of the catalogue becomes a POST of its body, in its own time zone. A call that fails is not repeated: the
next one finds what it missed.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from gapless.declare.catalogue import Schedule, load_catalogue
from gapless.logs import Log

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def main(addresses: Path) -> None:
    """Call the functions whose addresses a JSON file holds, until the process is ended."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    log = Log("scheduler")
    scheduler = BlockingScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 300})
    for function in load_catalogue().functions.values():
        for name, schedule in function.schedules.items():
            url = json.loads(addresses.read_text())["functions"].get(function.name)
            if not url:
                continue
            job = f"{function.name}-{name}"
            scheduler.add_job(
                call, cron(schedule), (log, job, url, schedule.body, function.timeout_seconds), id=job, name=job
            )
            log("scheduled", f"{job}: {schedule.cron} {schedule.zone}", url=url)
    scheduler.start()


def cron(schedule: Schedule) -> CronTrigger:
    """A schedule as APScheduler has it, which counts the days of the week from Monday where cron does from Sunday."""
    *rest, weekday = schedule.cron.split()
    weekday = re.sub(r"(?<![/\d])[0-7]", lambda number: _DAYS[int(number[0])], weekday)
    return CronTrigger.from_crontab(" ".join([*rest, weekday]), timezone=schedule.zone)


def call(log: Log, job: str, url: str, body: dict[str, Any], seconds: float) -> int:
    """POST a schedule's body; whatever comes out of it is in the log. Returns the status, 0 without an answer."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json", "User-Agent": "gapless-local-scheduler"}
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            log("called", f"{job}: {response.status} {response.read(2000).decode(errors='replace')}")
            return int(response.status)
    except urllib.error.HTTPError as error:
        log("call_failed", f"{job}: {error.code} {error.read(2000).decode(errors='replace')}", "ERROR")
        return error.code
    except OSError as error:
        log("call_failed", f"{job}: {url} did not answer: {error}", "ERROR")
        return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
