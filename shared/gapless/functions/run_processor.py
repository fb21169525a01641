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

from gapless.errors import BadInput, StillRunning
from gapless.functions import web
from gapless.logs import Log
from gapless.messages import read_run_request
from gapless.messages.triggers import Poison, read_push
from gapless.model import Outcome, Policy, Scope, Status, Target, Verdict
from gapless.tasks.advance import follow, listed
from gapless.wiring import Gapless

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
    if isinstance(push, Poison):
        return web.set_aside(gapless, push, log)
    try:
        request = read_run_request(push.message)
        processor = gapless.pipeline.processor(request.processor)
    except BadInput as error:
        return web.set_aside(gapless, Poison(str(error), "", push.message_id), log)
    engine = gapless.engine(Policy(force=request.force), _PATIENCE)
    days = request.days
    scope = Scope(days[0], days[-1], frozenset({processor.name}), frozenset(days), explicit=True)
    look = engine.scan(scope)
    picked = engine.pick_up(look, _CALL)
    if picked.running:
        raise StillRunning(f"{len(picked.running)} dates of {processor.name}: {next(iter(picked.running.values()))}")
    if picked.outcomes:
        look = engine.scan(scope)
    progress = _Progress(processor.name, len(days), log)
    report = engine.apply(look, progress=progress, look_again=False)  # its outcomes were measured in the table
    report.outcomes = [*picked.outcomes, *report.outcomes]
    done = Counter(str(outcome.status) for outcome in report.outcomes)
    complete = {outcome.target.day for outcome in report.outcomes if outcome.status is Status.COMPLETE}
    if push.attempt > 1:  # an earlier delivery may have ended after it wrote and before it asked
        complete |= {day for day in days if look.judgement.verdict(Target(processor.name, day)) is Verdict.COMPLETE}
    # Not with `force`: what follows is run where it asks for it.
    followed, problem = follow(gapless.engine(Policy()), processor.name, complete, gapless.bus, "run_processor")
    if problem:
        report.notes.append(f"what follows {processor.name} in its phase was not asked for, the scan will: {problem}")
    told: dict[str, Any] = {
        "run_id": report.run_id,
        "processor": processor.name,
        "dates": len(days),
        "outcomes": dict(done),
        "failed": [
            {"date": o.target.day.isoformat(), "expected": o.expected, "covered": o.covered, "error": o.error}
            for o in report.failed[:20]
        ],
        "waiting": {str(target): why for target, why in list(report.waiting.items())[:20]},
        "held": {str(gap.target): why for gap, why in look.plan.held[:20]},
        "started": {str(target): receipt for target, receipt in list(report.started.items())[:20]},
        "followed_by": listed(followed),
        "notes": report.notes,
        "complete": not (report.failed or report.waiting or report.started or look.plan.held),
    }
    log(
        "run_done",
        f"{processor.name}: {done[Status.COMPLETE]} of {len(days)} dates complete",
        "WARNING" if report.failed else "INFO",
        run_id=report.run_id, processor=processor.name, dates=len(days), complete=done[Status.COMPLETE],
        failed=len(report.failed), started=len(report.started), waiting=len(report.waiting),
        followed=sum(len(each.days) for each in followed),
        first_date=days[0], last_date=days[-1],
    )  # fmt: skip
    _log_sources(report.outcomes, report.run_id, log)
    for note in report.notes:
        log("note", note, "WARNING", run_id=report.run_id)
    if report.running:
        raise StillRunning(f"{len(report.running)} dates of {processor.name}: {next(iter(report.running.values()))}")
    # Acknowledged whatever came out: it is in the ledger, and the tables decide what is tried again and when.
    return 200, told


def _log_sources(outcomes: Sequence[Outcome], run_id: str, log: Log) -> None:
    """Which of two sources the dates were made from, with both counts: one line, and only where there are two."""
    read = [(o.choice, o) for o in outcomes if o.choice]
    if not read:
        return
    read.sort(key=lambda each: (not each[0].fallback, each[1].target.day))
    (choice, first), more = read[0], f", and {len(read) - 1} more dates" if len(read) > 1 else ""
    expected, there = sum(o.expected for _, o in read), sum(c.covered for c, _ in read)
    log(
        "data_source",
        f"{first.target}: {choice.reason}{more}",
        "WARNING" if choice.fallback else "INFO",
        run_id=run_id, processor=first.target.processor, dates=len(read), expected_count=expected,
        upcoming_count=there, coverage_pct=round(100 * there / expected, 2) if expected else None,
        data_source=", ".join(sorted({o.data_source for _, o in read if o.data_source})),
        fallbacks=sum(c.fallback for c, _ in read),
        reasons={o.target.day.isoformat(): c.reason for c, o in read[:20]},
    )  # fmt: skip


def run_processor(request: flask.Request) -> flask.Response:
    return web.serve("run_processor", work, request)
