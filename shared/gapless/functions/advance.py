"""What the four phase transitions share: an event, the hourly scan or a range becomes one look and its runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask

from gapless.declare.pipeline import Pipeline
from gapless.errors import BadInput
from gapless.functions import web
from gapless.logs import Log
from gapless.messages import read_completion
from gapless.messages.triggers import BadRequest, Poison, Push, Range, ScanForGaps, read_trigger
from gapless.model import Policy, Scope
from gapless.tasks.advance import advance, answer
from gapless.wiring import Gapless

_COUNTS = ("gaps_found", "triggered", "blocked", "in_flight", "alerts", "bytes_processed")


def transition(name: str, phase: int) -> Callable[[flask.Request], flask.Response]:
    """The function that starts what belongs to a phase."""

    def work(gapless: Gapless, body: dict[str, Any], log: Log) -> tuple[int, dict[str, Any]]:
        trigger = read_trigger(body)
        if isinstance(trigger, Poison):
            return web.set_aside(gapless, trigger, log)
        members = frozenset(p.name for p in gapless.pipeline.processors.values() if p.phase == phase)
        whole = gapless.everything()
        force = dry_run = False
        if isinstance(trigger, ScanForGaps):
            mode, scope = "scan", Scope(whole.first, whole.last, members)
        elif isinstance(trigger, Push):
            try:
                days = read_completion(trigger.message).days
            except BadInput as error:
                return web.set_aside(gapless, Poison(str(error), "", trigger.message_id), log)
            days = tuple(day for day in days if whole.first <= day <= whole.last)
            if not days:
                return 200, {"mode": "event", "triggered": 0, "gaps_found": 0, "status": "no date of the pipeline"}
            mode, scope = "event", Scope(days[0], days[-1], members, frozenset(days))
        else:
            mode, force, dry_run = "range", trigger.force, trigger.dry_run
            scope = _by_hand(gapless.pipeline, whole, trigger, members, phase)
        engine = gapless.engine(Policy(force=force))
        result = advance(engine, engine.scan(scope), gapless.bus, name, dry_run=dry_run)
        told = {"mode": mode, "dry_run": dry_run, **answer(result, engine)}
        counts = {key: told[key] for key in _COUNTS}
        log(f"{mode}_done", f"{told['triggered']} of {told['ready']} ready targets triggered", phase=phase, **counts)
        if result.failure:
            raise result.failure  # what was not asked for is asked for again; what was, is found in flight or complete
        return 200, told

    def handle(request: flask.Request) -> flask.Response:
        return web.serve(name, work, request)

    handle.__name__ = name
    return handle


def _by_hand(pipeline: Pipeline, whole: Scope, asked: Range, members: frozenset[str], phase: int) -> Scope:
    """The scope of a person's range; raises `BadRequest` where it lies outside the pipeline or the phase."""
    if asked.first > whole.last or asked.last < whole.first:
        there = f"{whole.first} to {whole.last}"
        raise BadRequest(f"start_date: {asked.first} to {asked.last} lies outside the pipeline's dates, {there}")
    try:
        chosen = frozenset(pipeline.processor(name).name for name in asked.processors)
    except BadInput as error:
        raise BadRequest(f"processors: {error}") from error
    strange = sorted(chosen - members)
    if strange:
        raise BadRequest(f"processors: {strange[0]} is not of phase {phase}, which this function starts")
    return Scope(max(asked.first, whole.first), min(asked.last, whole.last), chosen or members, explicit=True)
