"""gapless ack"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import click

from gapless.cli.chosen import open_gapless, print_json, words
from gapless.cli.sheets import PrintedTable, print_sheets
from gapless.engine import Look
from gapless.errors import BadInput
from gapless.judge.verdicts import civil_today
from gapless.ledger import SqlLedger
from gapless.model import Acknowledged, Policy, Scope
from gapless.questions.acknowledgements import (
    AckStanding,
    AckState,
    Changes,
    as_yaml,
    by_range,
    checked,
    compare,
    entry,
    parse,
    read,
    standing,
)
from gapless.wiring import Gapless

_RANGES = 10  # that a refusal names
_MARKS = {AckState.ACTIVE: "", AckState.REOPENED: "yellow", AckState.EXPIRED: "yellow"}


@dataclass(frozen=True)
class _Desk:
    """What every subcommand works with."""

    gapless: Gapless
    place: str

    @property
    def today(self) -> date:
        return civil_today(self.gapless.pipeline, self.gapless.clock())

    def day(self, value: date | str | None) -> date | None:
        """A date that was given in words."""
        return self.today - timedelta(days=value == "yesterday") if isinstance(value, str) else value

    def book(self) -> SqlLedger:
        gapless = self.gapless
        phases = {p.name: p.phase for p in gapless.pipeline.processors.values()}
        return SqlLedger(gapless.warehouse, gapless.pipeline.ledger, phases, gapless.clock, Policy().lease, "")

    def read(self) -> list[Acknowledged]:
        return read(self.gapless.warehouse, self.gapless.pipeline)

    def look(self, given: Sequence[Acknowledged]) -> Look | None:
        """A look at everything that acknowledgements are about; None where that is nothing."""
        everything = self.gapless.everything()
        known = [w for w in given if w.processor in self.gapless.pipeline.processors and w.first <= everything.last]
        if not known:
            return None
        first, last = min(w.first for w in known), min(max(w.last for w in known), everything.last)
        scope = Scope(max(first, everything.first), last, frozenset(w.processor for w in known))
        return self.gapless.engine(Policy(lift_storm=True)).scan(scope)

    def standings(self, given: Sequence[Acknowledged]) -> list[AckStanding]:
        look = self.look(given)
        if look is None:
            return [AckStanding(word, AckState.ACTIVE) for word in given]
        return [standing(self.gapless.pipeline, look, word) for word in given]


def _open(project: str | None, home: Path | None, now: str | None) -> _Desk:
    return _Desk(open_gapless(project, home, now), words(**{"--project": project, "--home": home, "--now": now}))


def _said(word: Acknowledged) -> str:
    until = f"until {word.expires}" if word.expires else "without expiry"
    days = str(word.first) if word.first == word.last else f"{word.first} to {word.last}"
    return f"{word.processor} {days}, {until} ({word.owner}): {' '.join(word.reason.split())}"


# -- add, remove -------------------------------------------------------------------------------------------------------


def add(
    processors: tuple[str, ...],
    start_date: date | str,
    end_date: date | str | None,
    reason: str,
    owner: str,
    expires: date | str | None,
    as_json: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    desk = _open(project, home, now)
    first, until = desk.day(start_date), desk.day(expires)
    last = desk.day(end_date) or first
    if until and until < desk.today:
        raise BadInput(f"--expires {until} has passed (today is {desk.today}): it would not hold for a day")
    given = [checked(desk.gapless.pipeline, name, first, last, reason, owner, until) for name in processors]
    given = list(dict.fromkeys(given))
    asked = {by_range(word) for word in given}
    before = {by_range(word) for word in desk.read()}
    desk.book().declare(given)
    told = desk.standings([word for word in desk.read() if by_range(word) in asked])
    if as_json:
        print_json({"acknowledged": [each.as_json() for each in told]})
        return
    for each in told:
        done = "replaced" if by_range(each.word) in before else "acknowledged"
        click.echo(f"{done}: {_said(each.word)}")
        click.echo(f"  {_effect(each)}")


def _effect(each: AckStanding) -> str:
    if each.targets:
        note = f"; {each.note}" if each.note else ""
        return f"{each.targets:,} of its targets are left alone now{note}"
    if each.filled:
        return each.note
    return "none of its targets is a gap now; it takes effect when one is"


def remove(
    processors: tuple[str, ...],
    start_date: date | str,
    end_date: date | str | None,
    as_json: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    desk = _open(project, home, now)
    first = desk.day(start_date)
    last = desk.day(end_date) or first
    names = [desk.gapless.pipeline.processor(name).name for name in processors]
    gone = _of_exactly(desk.read(), names, first, last)
    desk.book().withdraw(gone)
    if as_json:
        print_json({"removed": [entry(word) for word in gone]})
        return
    for word in gone:
        click.echo(f"removed: {_said(word)}")
    click.echo(f"See what asks for work now with: gapless scan --start-date {first} --end-date {last}{desk.place}")


def _of_exactly(
    present: Sequence[Acknowledged], names: Sequence[str], first: date | None, last: date | None
) -> list[Acknowledged]:
    """The acknowledgements of processors for a range; raises `BadInput` where one has none for exactly that."""
    found = [word for word in present if word.processor in names and (word.first, word.last) == (first, last)]
    has_one = {word.processor for word in found}
    for name in names:
        if name not in has_one:
            ranges = [f"{word.first} to {word.last}" for word in present if word.processor == name]
            there = f"there is {', '.join(ranges[:_RANGES])}" if ranges else "there is none of this processor"
            raise BadInput(f"{name} has no acknowledgement of exactly {first} to {last}; {there}")
    return found


# -- list --------------------------------------------------------------------------------------------------------------


def list_them(markdown: bool, as_json: bool, project: str | None, home: Path | None, now: str | None) -> None:
    desk = _open(project, home, now)
    told = desk.standings(desk.read())
    if as_json:
        print_json({"acknowledged": [each.as_json() for each in told]})
        return
    print_sheets("markdown" if markdown else "text", [sheet(told)])


def sheet(told: Sequence[AckStanding]) -> PrintedTable:
    """Acknowledgements as a table."""
    columns = ("processor", "from", "to", "state", "left alone", "owner", "expires", "reason", "note")
    rows = [
        (
            each.word.processor,
            each.word.first,
            each.word.last,
            str(each.state),
            each.targets,
            each.word.owner,
            each.word.expires,
            " ".join(each.word.reason.split()),
            each.note,
        )
        for each in told
    ]
    return PrintedTable(
        "acknowledged", "Acknowledged gaps", columns, rows, marks=tuple(_MARKS[each.state] for each in told)
    )


# -- files -------------------------------------------------------------------------------------------------------------


def export(file: Path, as_json: bool, project: str | None, home: Path | None, now: str | None) -> None:
    if str(file) == "-" and as_json:
        raise click.UsageError("--json and a FILE of - would share standard output; choose one")
    desk = _open(project, home, now)
    present = desk.read()
    if str(file) == "-":
        click.echo(as_yaml(present), nl=False)
        return
    _write(file, as_yaml(present))
    if as_json:
        print_json({"file": str(file), "entries": len(present)})
    else:
        click.echo(f"{file}: {_count(len(present))}")


def _write(file: Path, text: str) -> None:
    """Replace a file as a whole."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}") from error


def import_file(
    file: Path, dry_run: bool, as_json: bool, project: str | None, home: Path | None, now: str | None
) -> None:
    text = _text(file)
    desk = _open(project, home, now)
    changes = compare(desk.read(), parse(text, desk.gapless.pipeline, file.name))
    if not dry_run:
        desk.book().declare([*changes.new, *changes.changed])
    if as_json:
        facts = {name: [entry(word) for word in listed] for name, listed in changes._asdict().items()}
        print_json({"file": str(file), "dry_run": dry_run, **facts})
        return
    for word in changes.new:
        click.echo(f"new: {_said(word)}")
    for word in changes.changed:
        click.echo(f"changed: {_said(word)}")
    click.echo(_summary(file, changes))
    if dry_run and (changes.new or changes.changed):
        click.echo(f"Nothing was written. Do it with: gapless ack import {file}{desk.place}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 text") from error


def _summary(file: Path, changes: Changes) -> str:
    told = f"{file}: {len(changes.new):,} new, {len(changes.changed):,} changed, {len(changes.same):,} as they were"
    if changes.only_in_ledger:
        told += f"; {_count(len(changes.only_in_ledger))} of the ledger are not in it, and stay"
    return told


def _count(n: int) -> str:
    return f"{n:,} acknowledgement{'' if n == 1 else 's'}"
