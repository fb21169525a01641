"""What a pipeline calls things: its units of work and its periods, and the fields of what it sends and shows.

The engine has neutral words. A pipeline that declares its own gets them in every sentence, report, message and view.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gapless.declare.processor import Strict

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")

# Reports have these as names of columns and of values in JSON, and a word stands beside them.
IN_REPORTS = frozenset(
    {
        "at", "bytes_processed", "complete", "data", "date", "dates", "days", "end_date", "first", "freshness", "gaps",
        "health", "home", "issue", "issues", "json", "last", "markdown", "notes", "now", "phase", "phases", "processor",
        "processors", "project", "recent", "runs", "scheduled", "start_date", "status", "table", "tables", "targets",
        "unfinished", "verdict", "verdicts",
    }
)  # fmt: skip
# Every message has these, or may have them, beside its dates.
IN_MESSAGES = frozenset(
    {
        "correlation_id", "end_date", "event_type", "execution_id", "output_dataset", "output_table", "phase",
        "processor", "processor_name", "processors", "record_count", "source_table", "start_date", "status", "success",
        "timestamp", "trigger_source",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Words:
    """What people call a unit of work and a period, for sentences and reports."""

    unit: str = "unit"
    units: str = "units"
    done: str = "over"  # what a unit is when it has taken place
    period: str = "period"
    periods: str = "periods"
    loads: bool = False  # whether `gapless load` knows the files of the sources

    def count(self, number: int) -> str:
        """So many units: "1 unit", "12 units"."""
        return f"{number:,} {self.unit if number == 1 else self.units}"

    @property
    def a_period(self) -> str:
        """A period with its article."""
        return f"{'an' if self.period[0] in 'aeiou' else 'a'} {self.period}"

    def load(self, before: str, place: str = "", *, otherwise: str = "") -> str:
        """The end of a sentence about sources: the command that loads them, or what to do where it knows no files."""
        return f"{before}gapless load PATH{place}" if self.loads else otherwise

    @property
    def load_first(self) -> str:
        """What to do where the tables hold nothing at all."""
        return self.load("load raw data with: ", otherwise="fill the sources first")


def _word(value: Any) -> Any:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"'{value}' is not a word: lower-case letters, digits and '_'")
    return value


def _word_of_reports(value: Any) -> Any:
    if _word(value) in IN_REPORTS:
        raise ValueError(f"'{value}' has a meaning of its own in reports; choose another word")
    return value


def _field_of_messages(value: Any) -> Any:
    if _word(value) in IN_MESSAGES:
        raise ValueError(f"'{value}' is a field of every message already; choose another name")
    return value


Word = Annotated[str, BeforeValidator(_word_of_reports)]
FieldName = Annotated[str, BeforeValidator(_field_of_messages)]


def _clock(value: Any) -> Any:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError(f"'{value}' is not a time of day; write it as \"06:00\", with quotation marks")
    return datetime.time.fromisoformat(value)


class Over(Strict):
    """When the units of work of a date are over, where the calendar does not say that all of them are."""

    hours_after_last_start: float = Field(gt=0, le=168)
    without_start: Annotated[datetime.time, BeforeValidator(_clock)]  # on the next morning, where no start is known
    open_days: int = Field(ge=0, le=30)  # an unfinished unit keeps its date open no longer than this


class Unit(Strict):
    """A unit of work, of which the calendar counts those of each date."""

    name: Word = Words.unit
    plural: Word = Words.units
    done: Word = Words.done
    over: Over | None = None


class Period(Strict):
    """The span of time that begins with the calendar's `opening_day`."""

    name: Word = Words.period
    plural: Word = Words.periods
    lasts_days: int = Field(default=1, ge=1, le=4000)  # one that has only begun is labelled as if it lasted so long


class Contract(Strict):
    """The fields by which messages name their dates, and what they call the phases: for who sends and who reads."""

    date: FieldName = "date"
    dates: FieldName = "dates"
    other_dates: tuple[FieldName, ...] = ()  # under which other names producers give a single date
    phases: dict[int, str] = Field(default_factory=dict)

    @field_validator("phases")
    @classmethod
    def _named_phases(cls, phases: dict[int, str]) -> dict[int, str]:
        for number, name in phases.items():
            if not 1 <= number <= 9:
                raise ValueError(f"there is no phase {number}: a phase is 1 to 9")
            if not name.strip():
                raise ValueError(f"phase {number} has an empty name")
        return phases

    @model_validator(mode="after")
    def _each_once(self) -> Contract:
        twice = _repeated([self.date, self.dates, *self.other_dates])
        if twice:
            raise ValueError(f"'{twice}' is there twice")
        return self

    @property
    def single(self) -> tuple[str, ...]:
        """The fields in which a single date is looked for, in this order."""
        return (self.date, *self.other_dates)

    def phase(self, number: int) -> str:
        """What messages call a phase."""
        return self.phases.get(number, f"phase_{number}")

    def of_dates(self, days: Sequence[datetime.date]) -> dict[str, Any]:
        """The fields that say which dates a message is about; `days` sorted, never empty."""
        return {
            "start_date": days[0].isoformat(),
            "end_date": days[-1].isoformat(),
            self.dates: [day.isoformat() for day in days],
        }


def words_of(unit: Unit, period: Period, loads: bool) -> Words:
    """The words that a pipeline file declares; raises `ValueError` where one word means two things."""
    meanings = ({unit.name, unit.plural}, {unit.done}, {period.name, period.plural})
    twice = _repeated([word for words in meanings for word in sorted(words)])
    if twice:
        raise ValueError(f"'{twice}' is the word for two things")
    return Words(unit.name, unit.plural, unit.done, period.name, period.plural, loads)


def _repeated(names: Sequence[str]) -> str:
    return next((name for i, name in enumerate(names) if name in names[:i]), "")


# The columns of the ledger's views that count, by neutral name, and all others of theirs: no two may be called alike.
COUNTED = ("expected_count", "actual_count")
IN_VIEWS: Mapping[str, frozenset[str]] = {
    "processing_metadata": frozenset(
        {
            "processor_name", "run_id", "analysis_date", "coverage_pct", "data_source", "status", "created_at",
            "upcoming_count", "upcoming_pct", "source_reason",
        }
    ),
    "precompute_failures": frozenset(
        {
            "processor_name", "run_id", "analysis_date", "entity_id", "entity_type", "failure_category",
            "failure_reason", "can_retry", "failure_type", "is_correctable", "resolution_status", "created_at",
        }
    ),
}  # fmt: skip


class Counted(Strict):
    """What a view of the ledger calls the numbers of keys: those that should be there, and those that are."""

    expected_count: Annotated[str, BeforeValidator(_word)] = "expected_count"
    actual_count: Annotated[str, BeforeValidator(_word)] = "actual_count"

    @model_validator(mode="after")
    def _two(self) -> Counted:
        if self.expected_count == self.actual_count:
            raise ValueError(f"'{self.actual_count}' is there twice")
        return self
