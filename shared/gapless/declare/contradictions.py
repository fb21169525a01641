"""What contradicts itself in a declared processor: one rule a function, each yielding what it finds.

The fields of a processor were checked one by one when it was read; these rules compare them with each other, with the
other processors, and with the SQL files. The order of `RULES` is the order in which people are told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gapless.declare.processor import ENGINE_COLUMNS, Keys, Processor, Upstream
from gapless.declare.texts import INCLUDE, PLACEHOLDER, code

TABLE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
# plain http only on this machine: elsewhere an identity token would travel in the open
_ENDPOINT = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?(/[\w./-]*)?|http://(127\.0\.0\.1|localhost)(:\d+)?(/[\w./-]*)?")


class Contradiction(NamedTuple):
    """A field, and what is wrong with it."""

    field: str
    problem: str


@dataclass(frozen=True)
class Declared:
    """One processor, and what it is compared with."""

    processor: Processor
    declared: Mapping[str, Processor]
    texts: Mapping[str, str]
    has_calendar: bool
    says_when_over: bool


Found = Iterator[Contradiction]


def contradictions(case: Declared) -> Found:
    """Everything that contradicts itself in one processor."""
    for rule in RULES:
        yield from rule(case)


def _calendar(case: Declared) -> Found:
    p = case.processor
    if case.has_calendar:
        return
    if p.bootstrap_days:
        yield Contradiction("bootstrap_days", "the pipeline declares no calendar")
    if p.due == "when_over":
        yield Contradiction("due", "the pipeline declares no calendar")


def _over(case: Declared) -> Found:
    if case.processor.due == "when_over" and not case.says_when_over:
        yield Contradiction("due", "the pipeline does not declare when a unit of work is over (unit: over)")


def _table(case: Declared) -> Found:
    table = case.processor.table
    if not TABLE.fullmatch(table):
        yield Contradiction("table", f"'{table}' is not dataset.table")


def _date_column(case: Declared) -> Found:
    name, columns = case.processor.date_column, case.processor.columns
    if name not in columns:
        yield Contradiction("date_column", f"'{name}' is not among its columns")
    elif columns[name].type != "DATE":
        yield Contradiction("date_column", f"'{name}' is not a DATE")


def _named_columns(case: Declared) -> Found:
    p = case.processor
    for field, names in (("key", p.key), ("expect", p.expect_on), ("replace_by", p.replace_by)):
        for name in names:
            if name not in p.columns:
                yield Contradiction(field, f"'{name}' is not among its columns")


def _replace_by(case: Declared) -> Found:
    p = case.processor
    for name in p.replace_by:
        if name in p.columns and p.columns[name].type != "STRING":
            yield Contradiction("replace_by", f"'{name}' is not a STRING")


def _engine_columns(case: Declared) -> Found:
    for name in case.processor.columns:
        if name in ENGINE_COLUMNS:
            yield Contradiction("columns", f"'{name}' is filled by the engine and cannot be declared")


def _thresholds(case: Declared) -> Found:
    gate, warn = case.processor.gate_pct, case.processor.warn_pct
    if warn < gate:
        yield Contradiction("warn_pct", f"{warn:g} is below gate_pct {gate:g}: it could never warn")


def _upstream(case: Declared) -> Found:
    for name, edge in case.processor.upstream.items():
        for problem in _of_an_upstream(case, name, edge):
            yield Contradiction("upstream", f"'{name}' {problem}")


def _of_an_upstream(case: Declared, name: str, edge: Upstream) -> Iterator[str]:
    p, other = case.processor, case.declared.get(name)
    if other is None:
        yield "is not declared"
    elif other.phase > p.phase:
        yield f"is of phase {other.phase}, later than its own {p.phase}"
    elif edge.own_day == "never" and not edge.lookback_days:
        yield "needs own_day or lookback_days: nothing of it is read"
    elif edge.fallback:
        yield from _of_a_fallback(p, name, edge, other)


def _of_a_fallback(p: Processor, name: str, edge: Upstream, other: Processor) -> Iterator[str]:
    """The upstream is measured on the own day, by the keys that are expected of its reader."""
    if edge.lookback_days:
        yield "has a fallback, so it is read on the own day only, without lookback_days"
    if edge.fallback == name or edge.fallback not in p.upstream:
        yield f"has the fallback '{edge.fallback}', which is not another upstream"
    if sum(1 for each in p.upstream.values() if each.fallback) > 1:
        yield "has a fallback, and so has another: one can have it"
    if not p.expect:
        yield "has a fallback, and nothing is expected by which to measure it: expect is needed"
    elif any(form.keys_of == name for form in p.expect.forms):
        yield "has a fallback, and cannot be what is expected as well: it would be measured by itself"
    lacking = [column for column in p.expect_on if column not in other.columns]
    if lacking:
        yield f"has a fallback, and lacks the column '{lacking[0]}' by which it is measured"


def _address_of_a_run(case: Declared) -> Found:
    p = case.processor
    for kind, field, value in (("http", "endpoint", p.endpoint), ("pubsub", "run_topic", p.run_topic)):
        if (p.run == kind) != bool(value):
            yield Contradiction(field, f"needed with run: {kind}, and with nothing else")
    if p.endpoint and not _ENDPOINT.fullmatch(p.endpoint):
        yield Contradiction("endpoint", f"'{p.endpoint}' is not an https address")


def _something_to_read(case: Declared) -> Found:
    if case.processor.run != "none" and not case.processor.upstream:
        yield Contradiction("upstream", "a processor that runs reads something")


def _tables_of_the_expectation(case: Declared) -> Found:
    p = case.processor
    for name in p.expect.tables if p.expect else ():
        if name not in p.upstream:
            yield Contradiction("expect", f"'{name}' is not among its upstream")


def _columns_of_the_expectation(case: Declared) -> Found:
    for form in _forms(case.processor):
        source = case.declared.get(form.keys_of or "")
        for name in case.processor.expect_on:
            lacks_it = source is not None and name not in source.columns
            leaves_it_out = form.constant is not None and name not in form.constant
            if lacks_it or leaves_it_out:
                whose = form.keys_of or "constant"
                yield Contradiction("expect", f"'{name}' is not among the columns of {whose}")


def _sql_files(case: Declared) -> Found:
    p = case.processor
    files = [("run", p.name)] if p.run == "sql" else []
    files += [("expect", form.query) for form in _forms(p) if form.query]
    for field, file in files:
        if file not in case.texts:
            yield Contradiction(field, f"there is no file {file}.sql in the sql folder")
            continue
        text = code(case.texts[file])
        yield from _of_includes(field, file, text)
        yield from _of_placeholders(p, file, text)


def _of_includes(field: str, file: str, text: str) -> Found:
    for left in INCLUDE.findall(text):
        yield Contradiction(field, f"{file}.sql has {left}: it needs a line of its own, and a file _NAME.sql")


def _of_placeholders(p: Processor, file: str, text: str) -> Found:
    for name, _, least in sorted({match.groups(default="") for match in PLACEHOLDER.finditer(text)}):
        if name not in p.upstream:
            yield Contradiction("upstream", f"{file}.sql reads '{name}', which is not among its upstream")
            continue
        days = p.upstream[name].lookback_days
        if least and int(least) > days:
            yield Contradiction("upstream", f"{file}.sql reads {least} days of '{name}', and lookback_days is {days}")


def _forms(p: Processor) -> tuple[Keys, ...]:
    return p.expect.forms if p.expect else ()


RULES: tuple[Callable[[Declared], Found], ...] = (
    _calendar,
    _over,
    _table,
    _date_column,
    _named_columns,
    _replace_by,
    _engine_columns,
    _thresholds,
    _upstream,
    _address_of_a_run,
    _something_to_read,
    _tables_of_the_expectation,
    _columns_of_the_expectation,
    _sql_files,
)
