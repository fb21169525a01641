"""A processor: the table that it fills, what it should hold, and what it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TYPES = ("STRING", "INT64", "FLOAT64", "BOOL", "DATE", "TIMESTAMP", "NUMERIC")
# Filled by the engine in every table that it publishes to. A source has the time only: its rows are what they are.
ENGINE_COLUMNS = {"row_hash": "INT64", "inputs_hash": "INT64", "run_id": "STRING", "processed_at": "TIMESTAMP"}
_COLUMN = re.compile(
    r"(?P<type>[A-Z0-9]+)(?P<size>\(\d+,\s*\d+\))?(?P<required> required)?"
    r"(?: (?P<low>-?\d+(?:\.\d+)?)\.\.(?P<high>-?\d+(?:\.\d+)?))?(?P<stamp> stamp)?"
)

OwnDay = Literal["always", "never", "historical", "upcoming"]


class Column(NamedTuple):
    """One column of a table, with what an audit asks of it."""

    name: str
    type: str
    required: bool
    low: float | None
    high: float | None
    stamp: bool  # holds the time of publication: no part of the content


def _column(name: str, text: str) -> Column:
    match = _COLUMN.fullmatch(text.strip())
    if not match or match["type"] not in TYPES:
        raise ValueError(f"column {name}: '{text}' is not 'TYPE [required] [low..high] [stamp]'")
    return Column(
        name,
        match["type"] + (match["size"] or "").replace(" ", ""),
        bool(match["required"]),
        float(match["low"]) if match["low"] else None,
        float(match["high"]) if match["high"] else None,
        bool(match["stamp"]),
    )


def _columns(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("columns: a mapping of names to types is needed")
    return {str(name): _column(str(name), str(text)) for name, text in value.items()}


def _own_day(value: Any) -> Any:
    return {True: "always", False: "never"}.get(value, value) if isinstance(value, bool) else value


def _due(value: Any) -> Any:
    if value == "after_games":
        raise ValueError("'after_games' is called 'when_over' now, and unit: over says when that is")
    return value


class Strict(BaseModel):
    """A part of the file that has its declared fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class Upstream(Strict):
    """What of another table a target reads."""

    own_day: Annotated[OwnDay, BeforeValidator(_own_day)] = "never"
    lookback_days: int = Field(0, ge=0, le=4000)
    version: bool = True  # a change of its content makes the target stale
    fallback: str | None = None  # the upstream that does instead where this one has too little; it blocks nothing then

    def reads_own_day(self, historical: bool) -> bool:
        """Whether the target's own date is read, for a date before today or not."""
        return self.own_day == "always" or self.own_day == ("historical" if historical else "upcoming")


class Keys(Strict):
    """Which keys should exist on a date: exactly one of the forms, or one form per kind of date."""

    keys_of: str | None = None
    query: str | None = None
    constant: dict[str, list[str]] | None = None
    on_dates_of: str | None = None
    historical: Keys | None = None
    upcoming: Keys | None = None
    match_on: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Keys:
        constant, by_date = self.constant or self.on_dates_of, self.historical or self.upcoming
        forms = [form for form in (self.keys_of, self.query, constant, by_date) if form]
        if len(forms) != 1 or bool(self.constant) != bool(self.on_dates_of):
            raise ValueError("exactly one of keys_of, query, constant on_dates_of, or historical/upcoming is needed")
        return self

    @property
    def forms(self) -> tuple[Keys, ...]:
        """The form itself, or the forms for each kind of date."""
        return tuple(leaf for part in (self.historical, self.upcoming) if part for leaf in part.forms) or (self,)

    @property
    def tables(self) -> tuple[str, ...]:
        """The processors that the form names."""
        own = [name for name in (self.keys_of, self.on_dates_of) if name]
        return tuple(own) + tuple(t for form in (self.historical, self.upcoming) if form for t in form.tables)


class Processor(Strict):
    """Fills one table, partitioned by a civil date."""

    name: str
    alias: str = ""
    phase: int = Field(ge=1, le=9)
    table: str
    date_column: str
    key: tuple[str, ...] = Field(min_length=1)
    columns: Annotated[dict[str, Column], BeforeValidator(_columns)]
    run: Literal["sql", "none", "http", "pubsub"] = "sql"
    endpoint: str | None = None  # where a run of kind http is asked for
    run_topic: str | None = None  # where a run of kind pubsub is asked for
    optional: bool = False
    applies_to: Literal["all", "historical", "upcoming"] = "all"
    due: Annotated[Literal["day", "when_over"], BeforeValidator(_due)] = "day"
    expect: Keys | None = None
    suspect: str | None = None
    restate: Literal["on_upstream_change", "never"] = "on_upstream_change"
    bootstrap_days: int = Field(0, ge=0, le=366)
    lag_days: int = Field(0, ge=0, le=30)  # how many days after its date a table is normally filled
    gate_pct: float = Field(90.0, gt=0, le=100)
    warn_pct: float = Field(95.0, gt=0, le=100)
    max_dates_per_run: int = Field(100, ge=1, le=4000)
    upstream: dict[str, Upstream] = Field(default_factory=dict)
    replace_by: tuple[str, ...] = Field((), max_length=1)  # a load replaces a date's rows of one value of this column
    topic: str | None = None  # where its completion is announced, if not on its phase's topic

    @property
    def expect_on(self) -> tuple[str, ...]:
        """The columns by which expected and actual rows are matched."""
        return (self.expect.match_on if self.expect else None) or self.key

    @property
    def preferred(self) -> tuple[str, Upstream] | None:
        """The upstream that has a fallback."""
        return next(((name, edge) for name, edge in self.upstream.items() if edge.fallback), None)

    @property
    def row_hash(self) -> Literal["stored", "computed"]:
        """Whether a row carries the hash of its content. What others write does not: a correction is a new version."""
        return "stored" if self.run == "sql" else "computed"

    @property
    def dataset(self) -> str:
        return self.table.split(".")[0]

    @property
    def engine_columns(self) -> dict[str, str]:
        """The columns that publishing fills, with their types."""
        return dict(ENGINE_COLUMNS) if self.row_hash == "stored" else {"processed_at": ENGINE_COLUMNS["processed_at"]}

    @property
    def content(self) -> tuple[Column, ...]:
        """The columns that make up a row's content."""
        return tuple(c for c in self.columns.values() if not c.stamp)

    def has_enough(self, covered: int, expected: int) -> bool:
        """Whether so many of the expected keys pass the coverage gate."""
        return not _is_below(self.gate_pct, covered, expected)

    def is_thin(self, covered: int, expected: int) -> bool:
        """Whether so many of the expected keys pass the gate and are few enough for a warning."""
        return self.has_enough(covered, expected) and _is_below(self.warn_pct, covered, expected)

    def applies(self, historical: bool) -> bool:
        """Whether dates of that kind are this processor's business."""
        return self.applies_to == "all" or (self.applies_to == "historical") == historical


def _is_below(pct: float, covered: int, expected: int) -> bool:
    """Whether a share lies below a threshold. Multiplied, not divided: 99 of 110 is exactly 90 %, 55 of 100 is 55 %."""
    return 100 * covered < pct * expected
