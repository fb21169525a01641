"""The declared pipeline: what exists, what each table should hold, and what reads what.

`load_pipeline` is strict. A field that it does not know, an upstream that is not declared, a cycle, a table that two
processors fill or a threshold that makes no sense is an error that names the processor and the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gapless.errors import BadPipeline

DEFAULT_FILE = Path(__file__).resolve().parents[1] / "nba" / "pipeline.yaml"
TYPES = ("STRING", "INT64", "FLOAT64", "BOOL", "DATE", "TIMESTAMP", "NUMERIC")
# Filled by the engine in every table that it publishes to. A source has the time only: its rows are what they are.
ENGINE_COLUMNS = {"row_hash": "INT64", "inputs_hash": "INT64", "run_id": "STRING", "processed_at": "TIMESTAMP"}
_COLUMN = re.compile(
    r"(?P<type>[A-Z0-9]+)(?P<size>\(\d+,\s*\d+\))?(?P<required> required)?"
    r"(?: (?P<low>-?\d+(?:\.\d+)?)\.\.(?P<high>-?\d+(?:\.\d+)?))?(?P<stamp> stamp)?"
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# plain http only on this machine: elsewhere an identity token would travel in the open
_ENDPOINT = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?(/[\w./-]*)?|http://(127\.0\.0\.1|localhost)(:\d+)?(/[\w./-]*)?")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TABLE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
# {table}, {table.lookback}, and {table.lookback(30)}: 30 days, which the declared look-back has to reach
PLACEHOLDER = re.compile(r"\{(?!gate_pct\})([a-z][a-z0-9_]*)(\.lookback(?:\(([1-9][0-9]*)\))?)?\}")
GATE = "{gate_pct}"
_INCLUDE = re.compile(r"^[ \t]*\{include ([a-z][a-z0-9_]*)\}[ \t]*$", re.MULTILINE)

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


def _module(name: str | None) -> str | None:
    if name is not None and not _MODULE.fullmatch(name):
        raise ValueError(f"'{name}' is not the name of a module, such as shop.files")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class Upstream(_Strict):
    """What of another table a target reads."""

    own_day: Annotated[OwnDay, BeforeValidator(_own_day)] = "never"
    lookback_days: int = Field(0, ge=0, le=4000)
    version: bool = True  # a change of its content makes the target stale
    fallback: str | None = None  # the upstream that does instead where this one has too little; it blocks nothing then

    def reads_own_day(self, historical: bool) -> bool:
        """Whether the target's own date is read, for a date before today or not."""
        return self.own_day == "always" or self.own_day == ("historical" if historical else "upcoming")


class Keys(_Strict):
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


class Processor(_Strict):
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
    due: Literal["day", "after_games"] = "day"
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


class Rule(_Strict):
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
    consistency: tuple[Rule, ...] = ()  # what must hold between processors, date by date
    files: str | None = None  # the module with the kinds of files that can be loaded; nothing else imports it

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


class _File(_Strict):
    name: str
    timezone: str
    history_start: date
    horizon_days: int = Field(1, ge=0, le=30)
    calendar: str | None = None
    ledger: str
    views: dict[Literal["processing_metadata", "precompute_failures", "processor_run_history"], str] = Field(
        default_factory=dict
    )
    topics: dict[int, str] = Field(default_factory=dict)
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
    for view, name in file.views.items():
        if not _TABLE.fullmatch(name):
            raise BadPipeline(f"{source}: views: {view}: '{name}' is not dataset.view")
    declared: dict[str, Processor] = {}
    for name, fields in file.processors.items():
        if not _NAME.fullmatch(name) or f"{{{name}}}" == GATE:
            raise BadPipeline(f"{source}: processor '{name}': a name has lower-case letters, digits and '_'")
        defaults = {"name": name, "gate_pct": file.gate_pct, "warn_pct": file.warn_pct}
        declared[name] = _parse(Processor, {**defaults, **fields}, source, f"processor '{name}'")
    texts = _texts(sql_folder)
    for processor in declared.values():
        if not file.calendar and (processor.bootstrap_days or processor.due == "after_games"):
            field = "bootstrap_days" if processor.bootstrap_days else "due"
            raise BadPipeline(f"{source}: processor '{processor.name}': {field}: the pipeline declares no calendar")
        for field, problem in _problems(processor, declared, texts):
            raise BadPipeline(f"{source}: processor '{processor.name}': {field}: {problem}")
    _no_sharing(declared, source)
    if file.calendar and file.calendar not in texts:
        raise BadPipeline(f"{source}: calendar: there is no file {file.calendar}.sql in the sql folder")
    ordered = _ordered(declared, source)
    return Pipeline(
        file.name,
        zone,
        file.history_start,
        file.horizon_days,
        file.calendar,
        ordered,
        sql_folder,
        texts,
        file.topics,
        file.ledger,
        dict(file.views),
        _rules(file.consistency, declared, source),
        file.files,
    )


def _texts(sql_folder: Path) -> dict[str, str]:
    """The SQL files by name, each with the code of the parts that it includes: files whose names begin with `_`.

    What cannot be included stays as it was written, for `_problems` to find.
    """
    texts = {p.stem: p.read_text(encoding="utf-8") for p in sorted(sql_folder.glob("*.sql"))}
    parts = {name[1:]: _code(text).strip() for name, text in texts.items() if name.startswith("_")}

    def part(match: re.Match[str]) -> str:
        return parts.get(match[1], match[0])

    return {name: _INCLUDE.sub(part, text) for name, text in texts.items() if not name.startswith("_")}


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


def _problems(p: Processor, declared: Mapping[str, Processor], texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """What contradicts itself in one processor, as (field, problem)."""
    found: list[tuple[str, str]] = []
    if not _TABLE.fullmatch(p.table):
        found.append(("table", f"'{p.table}' is not dataset.table"))
    if p.date_column not in p.columns:
        found.append(("date_column", f"'{p.date_column}' is not among its columns"))
    elif p.columns[p.date_column].type != "DATE":
        found.append(("date_column", f"'{p.date_column}' is not a DATE"))
    for field, names in (("key", p.key), ("expect", p.expect_on), ("replace_by", p.replace_by)):
        found += [(field, f"'{name}' is not among its columns") for name in names if name not in p.columns]
    for name in p.replace_by:
        if name in p.columns and p.columns[name].type != "STRING":
            found.append(("replace_by", f"'{name}' is not a STRING"))
    for name in p.columns:
        if name in ENGINE_COLUMNS:
            found.append(("columns", f"'{name}' is filled by the engine and cannot be declared"))
    if p.warn_pct < p.gate_pct:
        found.append(("warn_pct", f"{p.warn_pct:g} is below gate_pct {p.gate_pct:g}: it could never warn"))
    for name, edge in p.upstream.items():
        if name not in declared:
            found.append(("upstream", f"'{name}' is not declared"))
        elif declared[name].phase > p.phase:
            found.append(("upstream", f"'{name}' is of phase {declared[name].phase}, later than its own {p.phase}"))
        elif edge.own_day == "never" and not edge.lookback_days:
            found.append(("upstream", f"'{name}' needs own_day or lookback_days: nothing of it is read"))
        elif edge.fallback:
            found += [("upstream", f"'{name}' {problem}") for problem in _fallback_problems(p, name, declared)]
    for kind, field, value in (("http", "endpoint", p.endpoint), ("pubsub", "run_topic", p.run_topic)):
        if (p.run == kind) != bool(value):
            found.append((field, f"needed with run: {kind}, and with nothing else"))
    if p.endpoint and not _ENDPOINT.fullmatch(p.endpoint):
        found.append(("endpoint", f"'{p.endpoint}' is not an https address"))
    if p.run != "none" and not p.upstream:
        found.append(("upstream", "a processor that runs reads something"))
    for name in p.expect.tables if p.expect else ():
        if name not in p.upstream:
            found.append(("expect", f"'{name}' is not among its upstream"))
    files = [p.name] if p.run == "sql" else []
    for form in p.expect.forms if p.expect else ():
        files += [form.query] if form.query else []
        source = declared.get(form.keys_of or "")
        for name in p.expect_on:
            if (source and name not in source.columns) or (form.constant and name not in form.constant):
                found.append(("expect", f"'{name}' is not among the columns of {form.keys_of or 'constant'}"))
    for file in files:
        if file not in texts:
            found.append(("run" if file == p.name else "expect", f"there is no file {file}.sql in the sql folder"))
            continue
        code = _code(texts[file])
        for unknown in re.findall(r"\{include[^}]*\}", code):
            field = "run" if file == p.name else "expect"
            found.append((field, f"{file}.sql has {unknown}: it needs a line of its own, and a file _NAME.sql"))
        for used, _, least in sorted({match.groups(default="") for match in PLACEHOLDER.finditer(code)}):
            if used not in p.upstream:
                found.append(("upstream", f"{file}.sql reads '{used}', which is not among its upstream"))
            elif least and int(least) > (declared_days := p.upstream[used].lookback_days):
                found.append(
                    ("upstream", f"{file}.sql reads {least} days of '{used}', and lookback_days is {declared_days}")
                )
    return found


def _fallback_problems(p: Processor, name: str, declared: Mapping[str, Processor]) -> Iterator[str]:
    """What contradicts a fallback: the upstream is measured on the own day, by the keys that are expected of it."""
    edge = p.upstream[name]
    if edge.lookback_days:
        yield "has a fallback, so it is read on the own day only, without lookback_days"
    if edge.fallback == name or edge.fallback not in p.upstream:
        yield f"has the fallback '{edge.fallback}', which is not another upstream"
    if sum(1 for other in p.upstream.values() if other.fallback) > 1:
        yield "has a fallback, and so has another: one can have it"
    if not p.expect:
        yield "has a fallback, and nothing is expected by which to measure it: expect is needed"
    elif any(form.keys_of == name for form in p.expect.forms):
        yield "has a fallback, and cannot be what is expected as well: it would be measured by itself"
    lacking = [column for column in p.expect_on if column not in declared[name].columns]
    if lacking:
        yield f"has a fallback, and lacks the column '{lacking[0]}' by which it is measured"


def _code(text: str) -> str:
    return "\n".join(line.split("--")[0] for line in text.splitlines())


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
