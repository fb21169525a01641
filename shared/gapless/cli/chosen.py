"""What the shared options come to: the pipeline on the chosen warehouse, and a scope."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gapless.declare.pipeline import Pipeline
from gapless.declare.settings import read_settings
from gapless.engine import Look
from gapless.errors import BadInput, NothingLoaded
from gapless.judge.verdicts import civil_today
from gapless.model import Policy, Scope
from gapless.wiring import Gapless, connect, utcnow


@dataclass(frozen=True)
class Chosen:
    """What the shared options came to."""

    gapless: Gapless
    scope: Scope
    as_json: bool
    words: str  # the options that chose scope and warehouse, for commands that are printed
    place: str  # of these, the ones that chose the warehouse


def open_gapless(project: str | None, home: Path | None, now: str | None) -> Gapless:
    """The pipeline on the chosen warehouse."""
    clock = utcnow
    if now:
        try:
            moment = datetime.fromisoformat(now)
        except ValueError:
            raise BadInput(f"--now '{now}' is not a time; write it as 2024-01-15T12:00Z") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        begin = utcnow()

        def clock() -> datetime:
            return moment + (utcnow() - begin)

    return connect(read_settings(project=project, home=home), clock)


def choose(
    project: str | None,
    home: Path | None,
    now: str | None,
    start_date: date | str | None,
    end_date: date | str | None,
    phases: tuple[str, ...],
    processors: tuple[str, ...],
    as_json: bool,
) -> Chosen:
    """Connect, and turn dates, phases and processors into a scope; raises `BadInput` for what contradicts itself."""
    if isinstance(start_date, date) and isinstance(end_date, date) and start_date > end_date:
        raise BadInput(f"--start-date {start_date} is after --end-date {end_date}; exchange them")
    numbers = []
    for phase in phases:
        if not phase.isdigit():
            raise BadInput(f"--phases: '{phase}' is not a number; write for example --phases 3,4")
        numbers.append(int(phase))
    gapless = open_gapless(project, home, now)
    scope = scope_of(gapless, start_date, end_date, tuple(numbers), processors)
    chosen = {
        "--start-date": start_date, "--end-date": end_date, "--phases": ",".join(phases),
        "--processors": ",".join(processors),
    }  # fmt: skip
    place = words(**{"--project": project, "--home": home, "--now": now})
    return Chosen(gapless, scope, as_json, words(**chosen) + place, place)


def words(**options: Any) -> str:
    """Options as they are typed, each with a space before it; those that were not given are left out."""
    given = ((name, value) for name, value in options.items() if value)
    return "".join(f" {name}" + ("" if value is True else f" {shlex.quote(str(value))}") for name, value in given)


def scope_of(
    gapless: Gapless,
    start_date: date | str | None,
    end_date: date | str | None,
    phases: tuple[int, ...],
    processors: tuple[str, ...],
) -> Scope:
    """The scope of a user's choice; a date given by a person is explicit."""
    today = civil_today(gapless.pipeline, gapless.clock())
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    start = named[start_date] if isinstance(start_date, str) else start_date
    end = named[end_date] if isinstance(end_date, str) else end_date
    everything = gapless.everything()
    if start and start > everything.last:
        raise BadInput(f"--start-date {start} lies in the future: the pipeline prepares dates up to {everything.last}")
    if end and end < everything.first:
        raise BadInput(f"--end-date {end} lies before the pipeline's history, which begins on {everything.first}")
    first, last = start or everything.first, min(end or everything.last, everything.last)
    if first > last:
        raise BadInput(f"--start-date {first} is after --end-date {last}; exchange them")
    return Scope(
        first, last, gapless.pipeline.select(processors, phases), explicit=start is not None or end is not None
    )


def refuse_an_empty_warehouse(pipeline: Pipeline, look: Look) -> None:
    """Where all history holds nothing, "complete" would be true and a lie; raises `NothingLoaded`."""
    if not look.judgement.scope.explicit and look.observation.is_empty:
        raise NothingLoaded(pipeline.words.load_first)


def nothing_known(gapless: Gapless, look: Look) -> None:
    """Refuse dates before everything that is known: "nothing to do" would be true there and of no use.

    Raises `BadInput` with the first date that anything is known of; `NothingLoaded` where that is none.
    """
    scope = look.judgement.scope
    if any(look.observation.calendar) or not look.observation.is_empty:
        return
    everything = gapless.everything()
    known = gapless.engine(Policy()).observer.observe(everything, civil_today(gapless.pipeline, gapless.clock()))
    held = [i for i, day in enumerate(known.calendar) if day] or [
        i for column in known.columns.values() for i, seen in enumerate(column) if seen
    ]
    if not held:
        raise NothingLoaded(gapless.pipeline.words.load_first)
    first = known.first + timedelta(days=min(held))
    if scope.last < first:
        raise BadInput(
            f"nothing is known of {scope.first} to {scope.last}: the data begins on {first}; "
            f"name later dates{gapless.pipeline.words.load(', or load those with: ')}"
        )


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
