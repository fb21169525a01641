"""Runs one processor for a batch of dates, if these still ask for it when the tables are looked at again.

Then it asks for runs of what builds on these dates in the same phase and is ready now, so that a date comes through its
phase without an event or a scan for every processor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import flask

from gapless.functions import web
from gapless.logs import Log
from gapless.messages import read_run_request
from gapless.messages.triggers import read_push, understood
from gapless.model import Outcome, Policy, Status
from gapless.tasks.advance import listed
from gapless.tasks.run import Ran, run
from gapless.wiring import Gapless

_SHOWN = 20  # of what an answer lists; the counts are whole
# Of the 540 seconds that a call has, a statement gets most; the rest is for audit, publication and measuring.
_PATIENCE = 400.0
_CALL = timedelta(seconds=570)  # no call lasts longer


@dataclass
class _Progress:
    """One line for every batch that was made, so that a call that dies leaves more than silence."""

    processor: str
    dates: int
    log: Log
    made: int = 0

    def __call__(self, _text: str, done: int) -> None:
        if done:
            self.made += done
            told = f"{self.processor}: done with making {self.made} of {self.dates} dates"
            self.log("run_progress", told, processor=self.processor, made=self.made, dates=self.dates)


def work(gapless: Gapless, body: dict[str, Any], log: Log) -> tuple[int, dict[str, Any]]:
    push = read_push(body)
    request = understood(push, read_run_request)
    processor = understood(push, lambda _message: gapless.pipeline.processor(request.processor)).name
    ran = run(
        gapless.engine(Policy(force=request.force), _PATIENCE),
        gapless.engine(Policy()),  # not with `force`: what follows is run where it asks for it
        processor=processor,
        days=request.days,
        bus=gapless.bus,
        call=_CALL,
        is_repeated=push.attempt > 1,
        progress=_Progress(processor, len(request.days), log),
    )
    _log_run(ran, log)
    if ran.still_running:
        raise ran.still_running
    # Acknowledged whatever came out: it is in the ledger, and the tables decide what is tried again and when.
    return 200, _told(ran)


def _told(ran: Ran) -> dict[str, Any]:
    report = ran.report
    return {
        "run_id": report.run_id,
        "processor": ran.processor,
        "dates": len(ran.days),
        "outcomes": dict(Counter(str(outcome.status) for outcome in report.outcomes)),
        "failed": [_failed(outcome) for outcome in report.failed[:_SHOWN]],
        "waiting": {str(target): why for target, why in list(report.waiting.items())[:_SHOWN]},
        "held": {str(gap.target): why for gap, why in ran.held[:_SHOWN]},
        "started": {str(target): receipt for target, receipt in list(report.started.items())[:_SHOWN]},
        "followed_by": listed(ran.followed),
        "notes": report.notes,
        "complete": ran.is_complete,
    }


def _failed(outcome: Outcome) -> dict[str, Any]:
    return {
        "date": outcome.target.day.isoformat(),
        "expected": outcome.expected,
        "covered": outcome.covered,
        "error": outcome.error,
    }


def _log_run(ran: Ran, log: Log) -> None:
    report = ran.report
    complete = sum(1 for outcome in report.outcomes if outcome.status is Status.COMPLETE)
    log(
        "run_done",
        f"{ran.processor}: {complete} of {len(ran.days)} dates complete",
        "WARNING" if report.failed else "INFO",
        run_id=report.run_id,
        processor=ran.processor,
        dates=len(ran.days),
        complete=complete,
        failed=len(report.failed),
        started=len(report.started),
        waiting=len(report.waiting),
        followed=sum(len(each.days) for each in ran.followed),
        first_date=ran.days[0],
        last_date=ran.days[-1],
    )
    _log_sources(report.outcomes, report.run_id, log)
    for note in report.notes:
        log("note", note, "WARNING", run_id=report.run_id)


def _log_sources(outcomes: Sequence[Outcome], run_id: str, log: Log) -> None:
    """Which of two sources the dates were made from, with both counts: one line, and only where there are two."""
    read = [(outcome.choice, outcome) for outcome in outcomes if outcome.choice]
    if not read:
        return
    read.sort(key=lambda each: (not each[0].fallback, each[1].target.day))
    choice, first = read[0]
    more = f", and {len(read) - 1} more dates" if len(read) > 1 else ""
    expected = sum(outcome.expected for _, outcome in read)
    there = sum(each.covered for each, _ in read)
    log(
        "data_source",
        f"{first.target}: {choice.reason}{more}",
        "WARNING" if choice.fallback else "INFO",
        run_id=run_id,
        processor=first.target.processor,
        dates=len(read),
        expected_count=expected,
        upcoming_count=there,
        coverage_pct=round(100 * there / expected, 2) if expected else None,
        data_source=", ".join(sorted({outcome.data_source for _, outcome in read if outcome.data_source})),
        fallbacks=sum(each.fallback for each, _ in read),
        reasons={outcome.target.day.isoformat(): each.reason for each, outcome in read[:_SHOWN]},
    )


def run_processor(request: flask.Request) -> flask.Response:
    return web.serve("run_processor", work, request)
