"""Phantoms: rows for keys that nobody expects, such as what was postponed, proposed to a person and removed when told.

A look says which targets hold such rows. For each table the rows themselves are counted by key against the keys that
are expected at that moment; unless that is what the look saw, the table is left alone. The rest is the machinery of the
clean-up: the dates are claimed, the rows are copied and counted, exactly these are deleted if nobody else came between,
every attempt is logged, and `gapless restore` brings them back.

What may be expected only when something else has been repaired is no phantom (the judge says `blocked`), so a hole
upstream cannot make good rows look superfluous. That several sources of many dates are gone can:
hence the limit on the share of a table.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import NamedTuple

from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.engine import Look
from gapless.errors import Refused, TransientFailure
from gapless.judge.verdicts import civil_today
from gapless.model import Gap, Target, Upkeep
from gapless.tasks.cleanup.cleaner import Cleaner
from gapless.tasks.cleanup.decision import Decision, Lease, RowCounts, under_repair
from gapless.tasks.cleanup.outcome import Cleaned, Ended
from gapless.warehouse.expectation import expected_keys
from gapless.warehouse.names import listed, quoted, same
from gapless.warehouse.ports import MOST_DATES, Param
from gapless.warehouse.rows import decoded
from gapless.warehouse.template import Template, template

_COUNT = template(__file__, "phantoms")
_UNEXPECTED = Template("""
NOT EXISTS (
  SELECT 1 FROM (
    {keys}
  ) AS w
  WHERE w.day = t.{day} AND {same_key}
)
""")
MOST_SHARE_PCT = 10.0  # refused above this share of a table …
SHARE_LEAST = 1000  # … if it is at least so many rows


class _CountedRow(NamedTuple):
    """The rows of one date; of the unexpected ones rows, keys, and the key of one."""

    day: date
    n: int
    extra: int
    extra_keys: int
    example: str | None


class Phantom(NamedTuple):
    """The rows of one date that nobody expects."""

    day: date
    rows: int
    keys: int
    stay: int  # rows of the date that are expected
    example: str = ""  # one of the keys
    took_place: int = 0  # units of work, by the calendar


@dataclass
class Proposal:
    """What of one table may go."""

    processor: Processor
    seen: Mapping[date, Gap]  # what the look saw
    phantoms: list[Phantom] = field(default_factory=list)  # what was counted afterwards

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.phantoms)


class Proposals(NamedTuple):
    """What a look proposes, and what it leaves alone with the reason."""

    tables: list[Proposal]
    left: list[tuple[Target, str]]


def proposals(pipeline: Pipeline, look: Look, named: Collection[str] = ()) -> Proposals:
    """The tables with rows that may go. `named` are the processors that a person named: a record has to be."""
    today = civil_today(pipeline, look.at)
    left: list[tuple[Target, str]] = []
    chosen: dict[str, dict[date, Gap]] = {}
    for gap in look.judgement.phantoms:
        name, day = gap.target
        reason = _reason_to_leave(pipeline.processors[name], day, today, named)
        if reason:
            left.append((gap.target, reason))
        else:
            chosen.setdefault(name, {})[day] = gap
    return Proposals([Proposal(pipeline.processors[name], days) for name, days in chosen.items()], left)


def _reason_to_leave(processor: Processor, day: date, today: date, named: Collection[str]) -> str:
    if processor.run == "none":
        return "a source; who fills it has to put that date right"
    if processor.run != "sql":
        return "another service fills it, and has to remove them"
    if day >= today:
        return "today or later: it may yet take place"
    if processor.restate == "never" and processor.name not in named:
        return f"a record; name it to remove it: --processors {processor.alias or processor.name}"
    return ""


def unexpected(pipeline: Pipeline, processor: Processor) -> str:
    """The condition on a row t that its key is not expected on its date. Reads @first, @last, @today."""
    return _UNEXPECTED.fill(
        keys=expected_keys(pipeline, processor) or "",
        day=processor.date_column,
        same_key=same(processor.expect_on, "w", "t"),
    )


def count(pipeline: Pipeline, processor: Processor) -> str:
    """Per date: all rows, and of the unexpected ones rows, keys and the key of one. Reads @days too."""
    day, on = processor.date_column, processor.expect_on
    return _COUNT.fill(
        day=day,
        key=f"TO_JSON_STRING(STRUCT({listed(on)}))",
        example=_words(on),
        columns=listed(dict.fromkeys((day, *on))),
        unexpected=unexpected(pipeline, processor),
        table=quoted(processor.table),
    )


def _words(on: Sequence[str]) -> str:
    """A key as a person writes it."""
    parts = [f"IFNULL(CAST({name} AS STRING), '')" for name in on]
    separated = ", ' ', ".join(parts)
    return f"CONCAT({separated})" if len(parts) > 1 else parts[0]


def refusal(proposal: Proposal, counts: RowCounts, leases: Sequence[Lease], *, lift_share: bool) -> str:
    """Why nothing of a table may go; empty if it may."""
    table, rows, whole = proposal.processor.table, proposal.rows, counts.report.rows
    days = [each.day for each in proposal.phantoms]
    for each in proposal.phantoms:
        seen = proposal.seen[each.day].seen
        if (each.keys, each.rows + each.stay) != (seen.extra, seen.rows):
            return (
                f"{table}: {each.day} has changed since the look: {each.keys:,} keys that nobody expects among "
                f"{each.rows + each.stay:,} rows, and {seen.extra:,} among {seen.rows:,} before; repeat the command"
            )
    if days and counts.today and max(days) >= counts.today:
        return (
            f"{table}: rows of {max(days)} would go, and for the warehouse it is {counts.today} only; "
            "look at the clock, or at --now"
        )
    busy = under_repair(table, days, leases)
    if busy:
        return busy
    if len(days) > MOST_DATES:
        return f"{table}: {len(days):,} dates, {MOST_DATES:,} at most at a time; name fewer with --end-date"
    if not lift_share and rows >= SHARE_LEAST and 100 * rows > MOST_SHARE_PCT * whole:
        return (
            f"{table}: {rows:,} of {whole:,} rows ({100 * rows / whole:.1f} %) are expected by nobody, "
            f"{MOST_SHARE_PCT:g} % at most go unasked; a source that was lost looks like this. "
            "If it is right nevertheless, lift the limit with --lift-share"
        )
    return ""


@dataclass
class PhantomCleaner(Cleaner):
    """Counts and removes rows that nobody expects."""

    def remove(self, found: Proposals, look: Look, *, dry_run: bool, lift_share: bool = False) -> list[Cleaned]:
        """Count what is proposed, and unless it is a dry run remove it.

        What goes wrong with one table does not keep the others waiting. Raises `Halted` when changes are switched off.
        """
        self._allow(dry_run)
        run_id = uuid.uuid4().hex[:12]
        return [
            self._attempted(run_id, proposal.processor, 0, partial(self._take, proposal, look, dry_run, lift_share))
            for proposal in found.tables
        ]

    def _take(self, proposal: Proposal, look: Look, dry_run: bool, lift_share: bool, done: Cleaned) -> None:
        processor, now = proposal.processor, self.clock()
        first, last = min(proposal.seen), max(proposal.seen)
        done.cutoff = last + timedelta(days=1)
        limits: dict[str, Param] = {"first": first, "last": last, "today": civil_today(self.pipeline, look.at)}
        # In this order: who claims after the head was read is met by the claim, who did before is among the leases.
        head = self.records.head()
        proposal.phantoms = self._phantoms(proposal, look, limits)
        counts = self._counts(processor)
        leases = self.records.leases(processor, first, done.cutoff, now)
        refused = refusal(proposal, counts, leases, lift_share=lift_share)
        decision = Decision(done.cutoff, {each.day: each.rows for each in proposal.phantoms}, refused)
        done.before, done.dates, done.old_rows = counts.report, len(decision.days), decision.rows
        if decision.refusal:
            raise Refused(decision.refusal)
        if dry_run or not decision.days:
            done.status, done.after = (Ended.DRY_RUN if decision.days else Ended.NOTHING), counts.report
            done.deleted = 0
            return
        taken = f"{decision.rows} rows of {len(decision.days)} dates, {first} to {last}"
        why = f"{Upkeep.CLEAN_PHANTOMS} {done.run_id}: {taken}"
        where = unexpected(self.pipeline, processor)
        targets = self._claimed(processor, tuple(decision.days), head, done.run_id, Upkeep.CLEAN_PHANTOMS)
        with targets as claim:
            self._remove(done, processor, decision, claim, where=where, params=limits, why=why)
            left = self._phantoms(proposal, look, limits)
            if left:
                raise TransientFailure(
                    f"{processor.table}: {sum(each.rows for each in left):,} rows that nobody expects came meanwhile, "
                    f"{left[0].day} first; the backup of the others is {done.backup}; repeat it"
                )
            done.after = self._counts(processor).report
            targets.landed({each.day: each.stay for each in proposal.phantoms})
        done.status = Ended.DONE

    def _phantoms(self, proposal: Proposal, look: Look, limits: Mapping[str, Param]) -> list[Phantom]:
        answer = self.warehouse.rows(
            count(self.pipeline, proposal.processor), {**limits, "days": sorted(proposal.seen)}, purpose="count"
        )

        def units(day: date) -> int:
            told = look.observation.day(day)
            return told.scheduled if told else 0

        return [
            Phantom(row.day, row.extra, row.extra_keys, row.n - row.extra, row.example or "", units(row.day))
            for row in decoded(_CountedRow, answer)
            if row.extra
        ]
