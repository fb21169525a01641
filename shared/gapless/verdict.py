"""Verdicts: what an observation of a target can mean, each with everything that follows from it in one record.

A new verdict is a new member here, and the rule in the judge that gives it. Sets and tables of verdicts elsewhere are
derived from these records; docs/verdicts.md holds the same table for readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self


class Asks(StrEnum):
    """What has to happen before a verdict becomes another one."""

    NOTHING = "nothing"
    RUN = "a run"
    UPSTREAM = "its upstream first"
    WAITING = "waiting"
    PERSON = "a person"
    CLEAN_UP = "a clean-up"


class Shows(StrEnum):
    """Which figures tell why a target has its verdict."""

    WORDS = "its words alone"
    DETAIL = "what the ledger says of it"
    BLOCKERS = "what it waits for"
    ABSENCE = "the keys that should be there, and rows of others"
    SHARE = "the share of the keys that is there"
    FAULTS = "what is wrong with the rows"
    SURPLUS = "what should not be there"
    THIN = "the share of the keys, which is enough"


class Repair(StrEnum):
    """Which kind of work repairs a target."""

    NOTHING = "nothing"
    APPLY = "apply"  # let the engine fill and rebuild, upstream first
    FORCE = "force"  # rebuild, though the engine sees nothing wrong or has given up
    CLEAN = "clean"  # remove rows that nobody expects, after a person has looked at them
    LOAD = "load"  # bring the rows of a source
    LOOK = "look"  # a person has to look at the evidence
    WAIT = "wait"  # somebody is at work on it


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """Everything that follows from a verdict."""

    words: str  # what was seen
    asks: Asks
    is_gap: bool
    settled: bool  # others may build on it
    sign: str  # in the calendar
    style: str  # of the sign and of the name, as the terminal knows it
    rank: int  # of two, the higher one is worse; a date shows the worst of its targets
    shows: Shows = Shows.WORDS
    repair: Repair = Repair.NOTHING  # of something that the engine runs; a source is loaded
    instruction: str = ""  # what a person does, where the command of the repair alone does not say it
    left_alone: str = ""  # why a plan does not run it, where its name does not say that
    expects_nothing: bool = False  # unless something before it has changed by the time of its run
    has_its_keys: bool = False  # enough of them, whatever else is there
    counts: bool = True  # for the coverage of a layer
    urgency: Literal["info", "warning", "page"] = "warning"  # of the alert, where it asks for a person or a clean-up
    headline: str = "{n}: {words}"  # of that alert; n is a number of dates


class Verdict(StrEnum):
    """What an observation of a target means, in the order in which counts are listed."""

    meaning: Meaning

    def __new__(cls, name: str, meaning: Meaning) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member

    # As a string hashes: the judge looks millions of verdicts up in sets.
    __hash__ = str.__hash__

    OFF_DAY = (
        "off_day",
        Meaning(
            words="nothing is expected, nothing is there",
            asks=Asks.NOTHING,
            is_gap=False,
            settled=True,
            sign=" ",
            style="bright_black",
            rank=0,
            expects_nothing=True,
            counts=False,
        ),
    )
    NOT_DUE = (
        "not_due",
        Meaning(
            words="its date is not over, or all that it waits for is itself not due",
            asks=Asks.NOTHING,
            is_gap=False,
            settled=False,
            sign="·",
            style="bright_black",
            rank=40,
            counts=False,
        ),
    )
    BOOTSTRAP = (
        "bootstrap",
        Meaning(
            words="too early for it: nothing is there, and nothing is missed",
            asks=Asks.NOTHING,
            is_gap=False,
            settled=True,
            sign="b",
            style="bright_black",
            rank=10,
            expects_nothing=True,
            counts=False,
        ),
    )
    ACKNOWLEDGED = (
        "acknowledged",
        Meaning(
            words="a gap that a person has declared unrecoverable",
            asks=Asks.NOTHING,
            is_gap=False,
            settled=True,
            sign="a",
            style="bright_black",
            rank=20,
        ),
    )
    COMPLETE = (
        "complete",
        Meaning(
            words="enough of the expected keys are there, and every row is sound and up to date",
            asks=Asks.NOTHING,
            is_gap=False,
            settled=True,
            sign="■",
            style="green",
            rank=30,
            shows=Shows.THIN,
            repair=Repair.FORCE,
            instruction="to make it anew",
            has_its_keys=True,
        ),
    )
    IN_FLIGHT = (
        "in_flight",
        Meaning(
            words="another run is at work on it",
            asks=Asks.WAITING,
            is_gap=True,
            settled=False,
            sign="↻",
            style="blue",
            rank=60,
            repair=Repair.WAIT,
            instruction="nothing; look again later",
            left_alone="another run is at work on it",
        ),
    )
    BLOCKED = (
        "blocked",
        Meaning(
            words="something that it reads is not settled",
            asks=Asks.UPSTREAM,
            is_gap=True,
            settled=False,
            sign="○",
            style="cyan",
            rank=70,
            shows=Shows.BLOCKERS,
            repair=Repair.APPLY,
        ),
    )
    MISSING = (
        "missing",
        Meaning(
            words="keys are expected, none is there",
            asks=Asks.RUN,
            is_gap=True,
            settled=False,
            sign="✗",
            style="red",
            rank=100,
            shows=Shows.ABSENCE,
            repair=Repair.APPLY,
        ),
    )
    PARTIAL = (
        "partial",
        Meaning(
            words="some expected keys are there, and too few",
            asks=Asks.RUN,
            is_gap=True,
            settled=False,
            sign="◐",
            style="yellow",
            rank=80,
            shows=Shows.SHARE,
            repair=Repair.APPLY,
        ),
    )
    CONTAMINATED = (
        "contaminated",
        Meaning(
            words="rows are wrong, or were built from something else than is there now",
            asks=Asks.RUN,
            is_gap=True,
            settled=False,
            sign="!",
            style="magenta",
            rank=90,
            shows=Shows.FAULTS,
            repair=Repair.APPLY,
        ),
    )
    PHANTOM = (
        "phantom",
        Meaning(
            words="rows for keys that nobody expects",
            asks=Asks.CLEAN_UP,
            is_gap=False,
            settled=True,  # its own keys are all there; what is too much is a person's to remove
            sign="p",
            style="bright_black",
            rank=50,
            shows=Shows.SURPLUS,
            repair=Repair.CLEAN,
            instruction="look at them, then remove them",
            expects_nothing=True,
            has_its_keys=True,
            urgency="info",
            headline="{n} hold rows that nobody expects",
        ),
    )
    EXHAUSTED = (
        "exhausted",
        Meaning(
            words="the retry budget is spent on the present inputs",
            asks=Asks.PERSON,
            is_gap=True,
            settled=False,
            sign="E",
            style="bold red",
            rank=110,
            shows=Shows.DETAIL,
            repair=Repair.FORCE,
            instruction="mend the cause, then",
            left_alone="retry budget spent; a person is needed",
            headline="the retry budget of {n} is spent",
        ),
    )
    UNKNOWN = (
        "unknown",
        Meaning(
            words="it could not be observed",
            asks=Asks.PERSON,
            is_gap=True,
            settled=False,
            sign="?",
            style="bold red",
            rank=120,
            repair=Repair.LOOK,
            instruction="look at its evidence",
            urgency="page",
            headline="{n} could not be observed",
        ),
    )


ASKS_FOR_A_RUN = frozenset(verdict for verdict in Verdict if verdict.meaning.asks is Asks.RUN)
IS_A_GAP = frozenset(verdict for verdict in Verdict if verdict.meaning.is_gap)
SETTLED = frozenset(verdict for verdict in Verdict if verdict.meaning.settled)
EXPECTS_NOTHING = frozenset(verdict for verdict in Verdict if verdict.meaning.expects_nothing)
HAS_ITS_KEYS = frozenset(verdict for verdict in Verdict if verdict.meaning.has_its_keys)
WORST_FIRST = tuple(sorted(Verdict, key=lambda verdict: -verdict.meaning.rank))
