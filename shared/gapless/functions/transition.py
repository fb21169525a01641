"""What the four phase transitions share: an event, the hourly scan or a range becomes one look and its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

import flask

from gapless.declare.pipeline import Pipeline
from gapless.errors import BadInput
from gapless.functions import web
from gapless.logs import Log
from gapless.messages import read_completion
from gapless.messages.triggers import BadRequest, Push, Range, ScanForGaps, Trigger, read_trigger, understood
from gapless.model import Policy, Scope
from gapless.tasks.advance import advance, answer
from gapless.wiring import Gapless

_COUNTS = ("gaps_found", "triggered", "blocked", "in_flight", "alerts", "bytes_processed")


@dataclass(frozen=True)
class _Asked:
    """What a request comes to."""

    mode: str
    scope: Scope
    force: bool = False
    dry_run: bool = False


def transition(name: str, phase: int) -> Callable[[flask.Request], flask.Response]:
    """The function that starts what belongs to a phase."""

    def work(gapless: Gapless, body: dict[str, Any], log: Log) -> tuple[int, dict[str, Any]]:
        asked = _asked(gapless, read_trigger(body), phase)
        if asked is None:
            return 200, {"mode": "event", "triggered": 0, "gaps_found": 0, "status": "no date of the pipeline"}
        engine = gapless.engine(Policy(force=asked.force))
        result = advance(engine, engine.scan(asked.scope), gapless.bus, name, dry_run=asked.dry_run)
        told = {"mode": asked.mode, "dry_run": asked.dry_run, **answer(result, engine)}
        counts = {key: told[key] for key in _COUNTS}
        sentence = f"{told['triggered']} of {told['ready']} ready targets triggered"
        log(f"{asked.mode}_done", sentence, phase=phase, **counts)
        if result.failure:
            raise result.failure  # what was not asked for is asked for again; what was, is found in flight or complete
        return 200, told

    def handle(request: flask.Request) -> flask.Response:
        return web.serve(name, work, request)

    handle.__name__ = name
    return handle


def _asked(gapless: Gapless, trigger: Trigger, phase: int) -> _Asked | None:
    """The scope of a trigger within a phase; None where an event has no date of the pipeline."""
    members = frozenset(p.name for p in gapless.pipeline.processors.values() if p.phase == phase)
    whole = gapless.everything()
    match trigger:
        case ScanForGaps():
            return _Asked("scan", Scope(whole.first, whole.last, members))
        case Push():
            told = understood(trigger, partial(read_completion, gapless.pipeline.messages)).days
            days = tuple(day for day in told if whole.first <= day <= whole.last)
            return _Asked("event", Scope(days[0], days[-1], members, frozenset(days))) if days else None
        case Range():
            scope = _by_hand(gapless.pipeline, whole, trigger, members, phase)
            return _Asked("range", scope, force=trigger.force, dry_run=trigger.dry_run)
        case _:
            assert_never(trigger)


def _by_hand(pipeline: Pipeline, whole: Scope, asked: Range, members: frozenset[str], phase: int) -> Scope:
    """The scope of a person's range; raises `BadRequest` where it lies outside the pipeline or the phase."""
    if asked.first > whole.last or asked.last < whole.first:
        outside = f"{asked.first} to {asked.last} lies outside the pipeline's dates, {whole.first} to {whole.last}"
        raise BadRequest("start_date", outside)
    try:
        chosen = frozenset(pipeline.processor(name).name for name in asked.processors)
    except BadInput as error:
        raise BadRequest("processors", str(error)) from error
    strange = sorted(chosen - members)
    if strange:
        raise BadRequest("processors", f"{strange[0]} is not of phase {phase}, which this function starts")
    return Scope(max(asked.first, whole.first), min(asked.last, whole.last), chosen or members, explicit=True)
