"""The declared pipeline: what exists, what each table should hold, and what reads what.

`load_pipeline` is strict. A field that it does not know, an upstream that is not declared, a cycle, a table that two
processors fill or a threshold that makes no sense is an error that names the processor and the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from gapless.declare.contradictions import TABLE, Declared, contradictions
from gapless.declare.processor import Processor, Strict
from gapless.declare.texts import GATE, read_texts
from gapless.declare.words import IN_VIEWS, Contract, Counted, Over, Period, Unit, Words, words_of
from gapless.errors import BadPipeline

DEFAULT_FILE = Path(__file__).resolve().parents[1] / "nba" / "pipeline.yaml"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def _module(name: str | None) -> str | None:
    if name is not None and not _MODULE.fullmatch(name):
        raise ValueError(f"'{name}' is not the name of a module, such as shop.files")
    return name


class Rule(Strict):
    """What must hold between the rows that two processors have on a date: exactly one of two forms."""

    name: str = Field(min_length=1)
    if_rows_of: str | None = None  # where this one has rows …
    then_rows_of: str | None = None  # … this one has some
    rows_of: str | None = None  # this one has …
    at_most: float | None = Field(None, gt=0)  # … at most so many times …
    of: str | None = None  # … the rows of this one
    severity: Literal["critical", "warning"] = "critical"
    says: str = ""  # what it means where it does not hold, for people

    @model_validator(mode="after")
    def _one_form(self) -> Rule:
        both, ratio = (self.if_rows_of, self.then_rows_of), (self.rows_of, self.at_most, self.of)
        if not (all(both) and not any(ratio)) and not (all(ratio) and not any(both)):
            raise ValueError("either if_rows_of and then_rows_of, or rows_of, at_most and of are needed")
        if self.processors[0] == self.processors[1]:
            raise ValueError(f"'{self.processors[0]}' is compared with itself")
        return self

    @property
    def processors(self) -> tuple[str, str]:
        """The one that the rule is about, and the one that it is compared with."""
        return (self.then_rows_of or self.rows_of or "", self.if_rows_of or self.of or "")


@dataclass(frozen=True)
class Pipeline:
    """Every processor, in an order in which upstream comes first."""

    name: str
    timezone: ZoneInfo
    history_start: date
    horizon_days: int
    calendar: str | None
    processors: Mapping[str, Processor]
    sql_folder: Path
    texts: Mapping[str, str]  # the SQL files by name
    topics: Mapping[int, str]  # per phase
    ledger: str  # dataset of claims, outcomes and history
    views: Mapping[str, str]  # of the ledger: which one, under which name
    words: Words  # what people call its units of work and its periods
    over: Over | None  # when its units of work are over
    period_days: int  # what a period lasts at least, for its label
    messages: Contract  # what messages call their dates and phases
    view_columns: Mapping[str, Counted]  # what the ledger's views call what they count
    files: str | None = None  # the module with the kinds of files that can be loaded; nothing else imports it
    consistency: tuple[Rule, ...] = ()  # what must hold between processors, date by date

    @property
    def staging(self) -> str:
        """The dataset of what is not published yet."""
        return f"{self.ledger}_staging"

    def processor(self, name: str) -> Processor:
        """A processor by name or alias; raises `BadPipeline` naming the ones that exist."""
        found = self.processors.get(name) or self._aliases.get(name.lower())
        if found is None:
            known = ", ".join(f"{p.name} ({p.alias})" if p.alias else p.name for p in self.processors.values())
            raise BadPipeline(f"there is no processor '{name}'; the pipeline '{self.name}' has {known}")
        return found

    def topic_of(self, processor: Processor) -> str | None:
        """Where a processor's completion is announced: its own topic, else its phase's; None where there is neither."""
        return processor.topic or self.topics.get(processor.phase)

    @cached_property
    def _aliases(self) -> dict[str, Processor]:
        return {p.alias.lower(): p for p in self.processors.values() if p.alias}

    @cached_property
    def levels(self) -> Mapping[str, int]:
        """How far each processor stands from the sources: the longest chain of upstreams, sources at 0."""
        levels: dict[str, int] = {}
        for processor in self.processors.values():
            levels[processor.name] = 1 + max((levels[name] for name in processor.upstream), default=-1)
        return levels

    @cached_property
    def longest_lookback(self) -> int:
        return max((e.lookback_days for p in self.processors.values() for e in p.upstream.values()), default=0)

    def select(self, processors: tuple[str, ...] = (), phases: tuple[int, ...] = ()) -> frozenset[str]:
        """The names that a user's choice of processors and phases comes to; empty means everything."""
        known = sorted({p.phase for p in self.processors.values()})
        for phase in phases:
            if phase not in known:
                raise BadPipeline(f"there is no phase {phase}; the pipeline '{self.name}' has {known}")
        chosen = {self.processor(name).name for name in processors}
        return frozenset(chosen | {p.name for p in self.processors.values() if p.phase in phases})


class _File(Strict):
    name: str
    timezone: str
    history_start: date
    horizon_days: int = Field(1, ge=0, le=30)
    calendar: str | None = None
    ledger: str
    views: dict[Literal["processing_metadata", "precompute_failures", "processor_run_history"], str] = Field(
        default_factory=dict
    )
    view_columns: dict[Literal["processing_metadata", "precompute_failures"], Counted] = Field(default_factory=dict)
    topics: dict[int, str] = Field(default_factory=dict)
    unit: Unit = Unit()
    period: Period = Period()
    messages: Contract = Contract()
    files: Annotated[str | None, AfterValidator(_module)] = None
    gate_pct: float = Field(90.0, gt=0, le=100)
    warn_pct: float = Field(95.0, gt=0, le=100)
    processors: dict[str, dict[str, Any]]
    consistency: list[dict[str, Any]] = Field(default_factory=list)


def load_pipeline(path: Path | None = None) -> Pipeline:
    """Read a pipeline file with the SQL files beside it; raises `BadPipeline` with processor and field."""
    path = path or DEFAULT_FILE
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadPipeline(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise BadPipeline(f"{path.name}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise BadPipeline(f"{path.name}: a mapping with 'name', 'timezone' and 'processors' is needed")
    return build_pipeline(raw, path.parent / "sql", path.name)


def build_pipeline(raw: Mapping[str, Any], sql_folder: Path, source: str = "pipeline") -> Pipeline:
    """Check a parsed pipeline file and return the pipeline; raises `BadPipeline`."""
    file = _parse(_File, dict(raw), source, "")
    try:
        zone = ZoneInfo(file.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise BadPipeline(f"{source}: timezone: there is no time zone '{file.timezone}'") from error
    if not _NAME.fullmatch(file.ledger):
        raise BadPipeline(f"{source}: ledger: '{file.ledger}' is not a dataset: lower-case letters, digits and '_'")
    _check_views(file, source)
    words = _words(file, source)
    declared: dict[str, Processor] = {}
    for name, fields in file.processors.items():
        if not _NAME.fullmatch(name) or f"{{{name}}}" == GATE:
            raise BadPipeline(f"{source}: processor '{name}': a name has lower-case letters, digits and '_'")
        defaults = {"name": name, "gate_pct": file.gate_pct, "warn_pct": file.warn_pct}
        declared[name] = _parse(Processor, {**defaults, **fields}, source, f"processor '{name}'")
    texts = read_texts(sql_folder)
    for processor in declared.values():
        case = Declared(
            processor, declared, texts, has_calendar=bool(file.calendar), says_when_over=bool(file.unit.over)
        )
        for field, problem in contradictions(case):
            raise BadPipeline(f"{source}: processor '{processor.name}': {field}: {problem}")
    _no_sharing(declared, source)
    if file.calendar and file.calendar not in texts:
        raise BadPipeline(f"{source}: calendar: there is no file {file.calendar}.sql in the sql folder")
    ordered = _ordered(declared, source)
    return Pipeline(
        name=file.name,
        timezone=zone,
        history_start=file.history_start,
        horizon_days=file.horizon_days,
        calendar=file.calendar,
        processors=ordered,
        sql_folder=sql_folder,
        texts=texts,
        topics=file.topics,
        ledger=file.ledger,
        views=dict(file.views),
        words=words,
        over=file.unit.over,
        period_days=file.period.lasts_days,
        messages=file.messages,
        view_columns=dict(file.view_columns),
        files=file.files,
        consistency=_rules(file.consistency, declared, source),
    )


def _check_views(file: _File, source: str) -> None:
    for view, name in file.views.items():
        if not TABLE.fullmatch(name):
            raise BadPipeline(f"{source}: views: {view}: '{name}' is not dataset.view")
    for view, columns in file.view_columns.items():
        taken = IN_VIEWS[view] & {columns.expected_count, columns.actual_count}
        if taken:
            raise BadPipeline(f"{source}: view_columns: {view}: '{min(taken)}' is another column of it")


def _words(file: _File, source: str) -> Words:
    try:
        return words_of(file.unit, file.period, loads=file.files is not None)
    except ValueError as error:
        raise BadPipeline(f"{source}: unit, period: {error}") from error


def _parse(model: type[Any], fields: dict[str, Any], source: str, owner: str) -> Any:
    """A checked model; an error names the owner of its fields, such as `processor 'revenue'`, and the field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        what = "unknown field" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        parts = (source, owner, ".".join(str(part) for part in first["loc"]), what)
        raise BadPipeline(": ".join(part for part in parts if part)) from error


def _rules(given: list[dict[str, Any]], declared: Mapping[str, Processor], source: str) -> tuple[Rule, ...]:
    """The rules between processors, each with a name of its own and about processors that exist."""
    rules: dict[str, Rule] = {}
    for number, fields in enumerate(given, 1):
        owner = f"consistency rule '{fields.get('name', number)}'"
        rule: Rule = _parse(Rule, fields, source, owner)
        if rule.name in rules:
            raise BadPipeline(f"{source}: {owner}: name: there is another rule of this name")
        for field in ("if_rows_of", "then_rows_of", "rows_of", "of"):
            name = getattr(rule, field)
            if name and name not in declared:
                raise BadPipeline(f"{source}: {owner}: {field}: '{name}' is not declared")
        rules[rule.name] = rule
    return tuple(rules.values())


def _no_sharing(declared: Mapping[str, Processor], source: str) -> None:
    owners: dict[str, str] = {}
    for processor in declared.values():
        for taken in {processor.table, f"alias {processor.alias.lower()}" if processor.alias else processor.table}:
            other = owners.setdefault(taken, processor.name)
            if other != processor.name:
                raise BadPipeline(f"{source}: processor '{processor.name}': {taken} belongs to '{other}' already")


def _ordered(declared: Mapping[str, Processor], source: str) -> dict[str, Processor]:
    sorter = TopologicalSorter({name: list(p.upstream) for name, p in declared.items()})
    try:
        order = {name: position for position, name in enumerate(sorter.static_order())}
    except CycleError as error:
        cycle = error.args[1]
        path = " -> ".join(cycle)
        raise BadPipeline(f"{source}: processor '{cycle[0]}': upstream: reads itself in a circle: {path}") from error
    return dict(sorted(declared.items(), key=lambda item: (item[1].phase, order[item[0]])))
