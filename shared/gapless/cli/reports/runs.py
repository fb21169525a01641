"""gapless report runs"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gapless.cli.chosen import open_gapless, scope_of, words
from gapless.cli.reports.printing import facts_of, form_of, look_at, namer, print_report
from gapless.cli.sheets import PrintedTable
from gapless.declare.pipeline import Pipeline
from gapless.errors import BadInput
from gapless.judge.remedies import remedy_for
from gapless.judge.verdicts import civil_today
from gapless.questions.reports.comparison import (
    Comparison,
    Confirmation,
    Loss,
    Refuted,
    compare,
    runs_of_days,
    says,
    span,
)
from gapless.questions.reports.run_history import Tracker, read_runs

_LISTED = 12  # names that a note lists


def run(
    days: int | None,
    limit: int,
    start_date: date | str | None,
    end_date: date | str | None,
    as_json: bool,
    markdown: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    form = form_of(as_json, markdown)
    if days and (start_date or end_date):
        raise BadInput("--days ends today; leave it out where you name --start-date or --end-date")
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    today = civil_today(pipeline, gapless.clock())
    if days:
        start_date = max(today - timedelta(days=days - 1), pipeline.history_start)
    scope = scope_of(gapless, start_date, end_date, (), ())
    look = look_at(gapless, scope)
    history = read_runs(gapless.warehouse, pipeline, scope.first, scope.last, look.at)
    found = compare(pipeline, look, history)
    place = words(**{"--project": project, "--home": home, "--now": now})
    most, named = None if form == "json" else limit, namer(pipeline, form)
    sheets = [
        _findings_sheet(found, named),
        _losses_sheet(pipeline, found.losses, place, most, named),
        _faults_sheet(pipeline, found.faults, most, named),
        _processors_sheet(found, named),
    ]
    if found.unconfirmed:
        sheets.insert(3, _unconfirmed_sheet(found.unconfirmed, most, named))
    print_report(form, sheets, details=("run ended (UTC)", "written (UTC)"), **facts_of(look))
    sys.exit(1 if found.losses or look.judgement.gaps else 0)


_MEANING = {
    Confirmation.AGREES: "history and table say the same",
    Confirmation.FAULT: "history says nothing came; the table holds the date: no loss, nothing to run",
    Confirmation.LOSS: "the table lacks what is expected",
    Confirmation.UNCONFIRMED: "history says rows were written; none are there, and none are expected",
    Confirmation.WAITING: "what the table should hold depends on a gap upstream",
    Confirmation.NOT_COMPARED: "dates that the table is not about, such as past ones of a table about the days to come",
}
_ALWAYS = (Confirmation.AGREES, Confirmation.FAULT, Confirmation.LOSS)


def _findings_sheet(found: Comparison, named: Callable[[str], str]) -> PrintedTable:
    rows = []
    for finding, meaning in _MEANING.items():
        occurs = any(counts[finding] for counts in found.findings.values())
        if occurs or finding in _ALWAYS:
            tracker, own = found.findings[Tracker.TRACKER][finding], found.findings[Tracker.OWN][finding]
            rows.append((str(finding), tracker, own, meaning))
    columns = ("finding", "tracker", "gapless", "meaning")
    notes = [f"confirmed losses in all, with those that no history mentions: {len(found.losses):,}"]
    notes += _about_runs(found)
    notes += _about_gaps(found, named)
    notes += _about_what_cannot_be_compared(found)
    return PrintedTable("findings", "Run history against tables", columns, rows, tuple(notes))


def _about_runs(found: Comparison) -> list[str]:
    """Runs that say less than they seem to."""
    per = found.processors.values()
    never = sum(each.never_ended for each in per)
    running = sum(each.running for each in per)
    false = sum(each.false_failures for each in per)
    notes = []
    if never:
        notes.append(f"phantom runs: {never:,} began, and nothing says that they ended; they count as nothing")
    if running:
        notes.append(f"{running:,} runs began in the last 6 hours and may be at work")
    if false:
        notes.append(f"{false:,} runs were called failed after they had succeeded; they count as successes")
    return notes


def _about_gaps(found: Comparison, named: Callable[[str], str]) -> list[str]:
    """Gaps that are no confirmed loss."""
    notes = []
    for what, counts in (
        ("their rows are there, and are made anew once what they read is (see gapless scan)", found.spoilt),
        ("wait for a gap upstream; what they lack is not known before that is closed", found.waiting),
    ):
        if counts:
            told = ", ".join(f"{named(name)} {count:,}" for name, count in counts.items())
            total = sum(counts.values())
            notes.append(f"{total:,} gaps more are no confirmed loss: {what}: {told}")
    return notes


def _about_what_cannot_be_compared(found: Comparison) -> list[str]:
    notes = []
    if found.abandoned:
        notes.append(f"{len(found.abandoned):,} claims of Gapless itself ended without an outcome: their runs died")
    if found.unknown:
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(found.unknown.items())[:_LISTED])
        others = len(found.unknown) - _LISTED
        more = f" and {others:,} more names" if others > 0 else ""
        notes.append(f"runs of processors that this pipeline does not declare: {told}{more}")
    if found.undated:
        notes.append(f"{found.undated:,} runs name no date and cannot be compared")
    return notes


def _losses_sheet(
    pipeline: Pipeline, losses: Sequence[Loss], place: str, most: int | None, named: Callable[[str], str]
) -> PrintedTable:
    groups = runs_of_days(losses) if most else [[loss] for loss in losses]
    rows = []
    for group in groups[:most]:
        (first, last), gap = span(group), group[0].gap
        many = len(group) > 1
        expected, covered = sum(loss.gap.seen.expected for loss in group), sum(loss.gap.seen.covered for loss in group)
        rows.append(
            (
                f"{first} … {last} ({len(group):,})" if many else first.isoformat(),
                named(gap.target.processor),
                says(group[0].says),
                f"{covered:,} of {expected:,} keys" if expected else f"{gap.seen.rows:,} rows",
                str(gap.verdict),
                remedy_for(pipeline, gap.target, gap.verdict).over(first, last).told(place),
            )
        )
    return PrintedTable(
        "losses",
        f"Data loss that the tables confirm{_number(losses)}",
        ("dates", "processor", "history says", "table has", "verdict", "command"),
        rows,
        _more(len(groups), most),
        ("red",) * len(rows),
    )


def _faults_sheet(
    pipeline: Pipeline, faults: Sequence[Refuted], most: int | None, named: Callable[[str], str]
) -> PrintedTable:
    units, with_units = pipeline.words.units, pipeline.calendar is not None
    rows = [
        (
            fault.target.day,
            named(fault.target.processor),
            says((fault.told,)),
            f"{fault.seen.rows:,} rows" + (f", {fault.units:,} {units}" if with_units and fault.units else ""),
            "written since" if fault.written_after else "tracking fault",
            fault.told.ended_at,
            fault.written_at,
        )
        for fault in faults[:most]
    ]
    notes = _more(len(faults), most)
    if faults:
        notes += ("no loss: nothing has to be run",)
    if any(fault.written_after for fault in faults):
        notes += ("written since: the newest rows came after that run had ended, so it may have been right once",)
    return PrintedTable(
        "faults",
        f"History says nothing came, the table has it{_number(faults)}",
        ("date", "processor", "history says", "table has", "analysis", "run ended (UTC)", "written (UTC)"),
        rows,
        notes,
    )


def _unconfirmed_sheet(faults: Sequence[Refuted], most: int | None, named: Callable[[str], str]) -> PrintedTable:
    rows = [(f.target.day, named(f.target.processor), says((f.told,)), f.told.records) for f in faults[:most]]
    return PrintedTable(
        "unconfirmed",
        f"Said to be written, not there, and not expected{_number(faults)}",
        ("date", "processor", "history says", "records"),
        rows,
        _more(len(faults), most),
    )


def _processors_sheet(found: Comparison, named: Callable[[str], str]) -> PrintedTable:
    rows = [
        (named(name), p.runs, p.empty, p.faults, p.losses, p.never_ended, p.false_failures)
        for name, p in found.processors.items()
    ]
    columns = ("processor", "runs", "empty or failed", "faults", "losses", "never ended", "falsely failed")
    return PrintedTable("processors", "Runs per processor", columns, rows)


def _number(listed: Sequence[Any]) -> str:
    return f": {len(listed):,}" if listed else ""


def _more(there: int, most: int | None) -> tuple[str, ...]:
    return (f"{there - most:,} more; all of them with --json, or --limit {there}",) if most and there > most else ()
