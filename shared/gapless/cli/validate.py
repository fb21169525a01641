"""gapless validate"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from gapless.cli.chosen import choose, nothing_known
from gapless.cli.sheets import PrintedTable, print_sheets, show
from gapless.declare.pipeline import Pipeline
from gapless.errors import BadInput
from gapless.model import Policy
from gapless.questions.classify import Classifier, by_date
from gapless.questions.validation import Check, Finding, Repair, Severity, ValidationReport, read_by, validate

STYLES = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.EXPECTED: "bright_black"}


def run(
    for_phase: int | None, checks: tuple[str, ...], dated: bool, strict: bool, limit: int, markdown: bool,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    chosen_checks = _checks(checks)
    if markdown and as_json:
        raise BadInput("--markdown and --json are two formats; choose one")
    chosen = choose(**options, as_json=as_json)
    pipeline = chosen.gapless.pipeline
    reach = read_by(pipeline, for_phase, chosen.scope.processors) if for_phase is not None else None
    engine = chosen.gapless.engine(Policy(lift_storm=True))
    report = validate(engine, chosen.gapless.warehouse, chosen.scope, chosen_checks, reach)
    nothing_known(chosen.gapless, report.look)
    dates = [_dates(pipeline, report)] if dated else []
    if as_json:
        print_sheets("json", _sheets(report, chosen.place, strict) + dates, **_facts(report, strict))
    elif markdown:
        verdict = "passed" if report.passed(strict=strict) else "failed"
        click.echo(f"# Validation of {report.first} to {report.last}: {verdict}\n")
        print_sheets("markdown", _sheets(report, chosen.place, strict, code="`") + dates)
    else:
        console = Console()
        _show(console, pipeline, report, chosen.place, strict, limit)
        for sheet in dates:
            show(console, sheet)
    sys.exit(0 if report.passed(strict=strict) else 1)


def _checks(names: Sequence[str]) -> tuple[Check, ...]:
    """The chosen checks in their own order; raises `BadInput` for one that does not exist."""
    for name in names:
        if name not in list(Check):
            raise BadInput(f"--checks: there is no check '{name}'; there are {', '.join(Check)}")
    return tuple(check for check in Check if not names or check in names)


def _facts(report: ValidationReport, strict: bool) -> dict[str, Any]:
    return {
        "at": report.look.at.isoformat(),
        "start_date": report.first.isoformat(),
        "end_date": report.last.isoformat(),
        "passed": report.passed(strict=strict),
        "strict": strict,
    }


def _sheets(report: ValidationReport, place: str, strict: bool, code: str = "") -> list[PrintedTable]:
    """The report as tables; commands stand between marks of code where the format has them."""
    findings = [
        (
            f.check.value, f.rule, f.severity.value, f.category.value, f.processor, f.first, f.last, len(f.days),
            f.expected, f.found, f.follows, f.evidence, f"{code}{f.remedy.typed(place)}{code}",
        )
        for f in report.findings
    ]  # fmt: skip
    columns = (
        "check", "rule", "severity", "category", "processor", "from", "to", "dates", "expected", "found", "follows",
        "evidence", "repair",
    )  # fmt: skip
    return [
        _answers(report, strict),
        PrintedTable("findings", f"Findings: {len(findings):,}", columns, findings),
        _absences(report),
    ]


def _answers(report: ValidationReport, strict: bool) -> PrintedTable:
    rows = [
        (
            a.check.value, "pass" if a.passed(strict=strict) else "fail", a.critical, a.warnings, a.expected,
            a.examined, a.unit,
        )
        for a in report.answers
    ]  # fmt: skip
    columns = ("check", "result", "critical", "warnings", "expected", "examined", "unit")
    marks = tuple("" if a.passed(strict=strict) else "red" for a in report.answers)
    return PrintedTable("checks", "Checks", columns, rows, report.notes, marks)


def _absences(report: ValidationReport, short: Pipeline | None = None) -> PrintedTable:
    """What is expected to be absent, the processors that lack the same dates in one row, by their short names."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for f in report.absences:
        name = (short.processors[f.processor].alias if short else "") or f.processor
        groups.setdefault((f.category.value, f.first, f.last, len(f.days)), []).append(name)
    rows = [(*key, ", ".join(dict.fromkeys(names))) for key, names in groups.items()]
    return PrintedTable("expected", "Expected, and no fault", ("category", "from", "to", "dates", "processors"), rows)


def _dates(pipeline: Pipeline, report: ValidationReport) -> PrintedTable:
    """One line per date, of the processors that were asked about."""
    lines = by_date(Classifier(pipeline, report.look), report.processors, report.first, report.last)
    short = {name: pipeline.processors[name].alias or name for name in report.processors}
    rows = [(*line[:6], ", ".join(short[name] for name in line.processors)) for line in lines]
    columns = ("date", "scheduled", pipeline.words.done, "status", "data", "issue", "processors")
    marks = tuple("" if line.data in ("ok", "none") else "yellow" if line.data == "stale" else "red" for line in lines)
    return PrintedTable("dates", "By date", columns, rows, (), marks)


def _show(console: Console, pipeline: Pipeline, report: ValidationReport, place: str, strict: bool, limit: int) -> None:
    """The report for a person: the answers, then what is wrong where, why, and the command that repairs it."""
    verdict = "[green]passed[/green]" if report.passed(strict=strict) else "[red]failed[/red]"
    console.print(f"Validation of {report.first} to {report.last}: {verdict}", highlight=False)
    show(console, _answers(report, strict))
    begin = _by_place(finding for finding in report.findings if not finding.follows)
    for findings in begin[:limit]:
        _show_place(console, findings, place)
    if len(begin) > limit:
        more = f"… {len(begin) - limit:,} more places; see all with --limit {len(begin)}, --markdown or --json"
        console.print(more, highlight=False)
    _show_what_follows(console, [finding for finding in report.findings if finding.follows])
    runs = [finding for finding in report.findings if finding.remedy.kind is Repair.APPLY]
    if len({finding.remedy.typed(place) for finding in runs}) > 1:
        whole = runs[0].remedy.over(min(f.remedy.first for f in runs), max(f.remedy.last for f in runs))
        console.print(Text(f"All that a run repairs: {whole.typed(place)}"), soft_wrap=True)
    if report.absences:
        show(console, _absences(report, pipeline))


def _by_place(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings about the same dates of a processor together."""
    places: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        places.setdefault((finding.processor, finding.days, finding.remedy), []).append(finding)
    return list(places.values())


def _show_place(console: Console, findings: Sequence[Finding], place: str) -> None:
    worst = findings[0]
    many = f" … {worst.last} ({len(worst.days)} dates)" if len(worst.days) > 1 else ""
    line = Text.assemble(
        (f"{worst.severity.value:8}", STYLES[worst.severity]), "  ", (worst.processor, "bold"),
        f"  {worst.first}{many}  {worst.category.value}",
    )  # fmt: skip
    # Not wrapped: a command has to be copied in one piece.
    console.print(line, soft_wrap=True)
    for finding in findings:
        text = f"    {finding.check.value}, {finding.rule}: {finding.evidence}"
        console.print(Text(text, style="bright_black"), soft_wrap=True)
    console.print(Text(f"    fix: {worst.remedy.typed(place)}"), soft_wrap=True)


def _show_what_follows(console: Console, findings: Sequence[Finding]) -> None:
    """What is repaired together with the findings above, one line per processor."""
    if not findings:
        return
    days: dict[str, set[date]] = {}
    for finding in findings:
        days.setdefault(finding.processor, set()).update(finding.days)
    console.print(f"[bold]Follow from these: {sum(map(len, days.values())):,} targets[/bold]", highlight=False)
    for name, of in days.items():
        span = f"{len(of):,} dates, {min(of)} to {max(of)}" if len(of) > 1 else f"{min(of)}"
        console.print(f"  {name}: {span}", highlight=False)
