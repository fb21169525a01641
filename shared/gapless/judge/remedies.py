"""Remedies: what repairs a target, as a value. Pure, and made here alone.

The command line, the alerts, the validator and explanations print the same remedy for the same verdict; each adds the
options that name its warehouse, where those are needed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import assert_never

from gapless.declare.pipeline import Pipeline
from gapless.model import Target
from gapless.verdict import Asks, Repair, Verdict


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What repairs a target, and the dates that it is repaired for."""

    kind: Repair
    at: Target  # where the work begins
    name: str  # of its processor, as it is typed
    first: date
    last: date
    instruction: str = ""  # what to do, where the command alone does not say it; {dates} stands for the dates

    def over(self, first: date, last: date) -> Remedy:
        """The same for a range of dates, which begins no later than the work does."""
        return replace(self, first=min(self.at.day, first), last=last)

    @property
    def dates(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def words(self) -> str:
        """What to do, in words; empty where the command says everything."""
        return self.instruction.format(dates=self.dates)

    def told(self, place: str = "") -> str:
        """What to do and the command for it, as one sentence; `place` names the warehouse in options."""
        return ": ".join(part for part in (self.words, self._command(place)) if part)

    def typed(self, place: str = "") -> str:
        """The command alone, as it is typed, what it leaves open behind it as a comment; empty where none helps."""
        comment = f"  # a file with {self.name} of {self.dates}" if self.kind is Repair.LOAD else ""
        return self._command(place) + comment

    def _command(self, place: str) -> str:
        span = f"--start-date {self.first} --end-date {self.last}"
        match self.kind:
            case Repair.APPLY:
                return f"gapless apply {span}{place}"
            case Repair.FORCE:
                return f"gapless apply --force {span} --processors {self.name}{place}"
            case Repair.CLEAN:
                return f"gapless clean-phantoms {span} --processors {self.name}{place}"
            case Repair.LOAD:
                return f"gapless load FILE{place}"
            case Repair.LOOK | Repair.WAIT:
                return f"gapless explain {self.at.day} {self.name}{place}"
            case Repair.NOTHING:
                return ""
        assert_never(self.kind)


def remedy_for(pipeline: Pipeline, target: Target, verdict: Verdict | None) -> Remedy:
    """What repairs a target at which trouble begins."""
    if verdict is None:
        return made(pipeline, Repair.APPLY, target)
    kind, instruction = verdict.meaning.repair, verdict.meaning.instruction
    p = pipeline.processors[target.processor]
    if kind in (Repair.NOTHING, Repair.WAIT):
        return made(pipeline, kind, target, instruction)
    if p.run == "none":
        return _brought(pipeline, target, verdict)
    if kind is Repair.CLEAN and p.run != "sql":
        theirs = "look at the rows of {dates}; the service that wrote them has to remove them"
        return made(pipeline, Repair.LOOK, target, theirs)
    return made(pipeline, kind, target, instruction)


def remake(pipeline: Pipeline, target: Target) -> Remedy:
    """What makes a target anew that looks complete."""
    return remedy_for(pipeline, target, Verdict.COMPLETE)


def made(pipeline: Pipeline, kind: Repair, target: Target, instruction: str = "") -> Remedy:
    """A kind of work on a target."""
    p = pipeline.processors[target.processor]
    return Remedy(
        kind=kind,
        at=target,
        name=p.alias or p.name,
        first=target.day,
        last=target.day,
        instruction=instruction,
    )


def rerun(pipeline: Pipeline, targets: Collection[Target], *, force: bool) -> Remedy:
    """A run of several targets at once; by force where the engine has given up on one of them."""
    days = [target.day for target in targets]
    first = min(targets, key=lambda target: target.day)
    processors = [pipeline.processors[name] for name in sorted({target.processor for target in targets})]
    whole = made(pipeline, Repair.FORCE if force else Repair.APPLY, first).over(min(days), max(days))
    return replace(whole, name=",".join(p.alias or p.name for p in processors))


def _brought(pipeline: Pipeline, target: Target, verdict: Verdict) -> Remedy:
    """What a source lacks is brought from where it is made: from files where `gapless load` knows those."""
    if not pipeline.words.loads:
        by_hand = "fill {dates} by the means by which this source is filled"
        if verdict.meaning.asks is Asks.CLEAN_UP:
            by_hand = "look at the rows of {dates}; who fills this source has to put them right"
        return made(pipeline, Repair.LOOK, target, by_hand)
    instruction = "load the file that holds {dates}"
    if verdict.meaning.asks is Asks.CLEAN_UP:
        instruction = "look at the rows of {dates}; load the file that is right about it"
    return made(pipeline, Repair.LOAD, target, instruction)
