"""gapless report: the state of everything, for people and programs"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from cli.options import Day, nothing_known, open_gapless, refuse_an_empty_warehouse, scope_of, where, words
from cli.present import SIGNS, fix
from cli.sheets import Sheet, print_sheets, show
from shared.acknowledgements import State, in_look
from shared.engine import Look
from shared.errors import BadInput
from shared.model import IS_A_GAP, Gap, Policy, Scope, Verdict
from shared.pipeline import Pipeline
from shared.reports.comparison import Comparison, Fault, Finding, Loss, compare, runs_of_days, says, span
from shared.reports.coverage import Coverage
from shared.reports.freshness import Freshness, Standing, freshness
from shared.reports.recent import RecentDay, last_played, recent
from shared.reports.season import Season, seasons
from shared.run_history import Teller, read_runs
from shared.verdicts import civil_today
from shared.wiring import Gapless

F = TypeVar("F", bound=Callable[..., Any])
_SEASON = re.compile(r"(\d{4})(?:[-/](\d{2}|\d{4}))?")
_LISTED = 12  # phantoms and warnings that a note names


def formats(command: F) -> F:
    """--json and --markdown."""
    for option in (
        click.option("--markdown", is_flag=True, help="Print Markdown, for a page or a message."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output."),
    ):
        command = option(command)
    return command


def dated(command: F) -> F:
    """--start-date and --end-date."""
    for option in (
        click.option("--end-date", type=Day(), help="Last date. Default: the last that is prepared in advance."),
        click.option("--start-date", type=Day(), help="First date (YYYY-MM-DD, today, yesterday)."),
    ):
        command = option(command)
    return command


def form_of(as_json: bool, markdown: bool) -> str:
    """Which of `sheets.FORMATS` was chosen; raises `BadInput` for both."""
    if as_json and markdown:
        raise BadInput("--json and --markdown exclude each other; give one of them")
    return "json" if as_json else "markdown" if markdown else "text"


_NARROW = 120  # columns of a terminal below which details of a table are left out


def print_report(
    form: str,
    sheets: Sequence[Sheet],
    advice: Mapping[str, str] | None = None,
    details: Sequence[str] = (),
    **facts: Any,
) -> None:
    """Print sheets, and advice: what a command is for -> the command.

    On a terminal a command is never wrapped, so that it can be copied: those of a last column `command` stand below
    their table. Columns named in `details` are left out on a narrow one.
    """
    advice = advice or {}
    if form == "json":
        print_sheets(form, sheets, **facts, advice=list(advice.values()))
    elif form == "markdown":
        print_sheets(form, sheets)
        click.echo("".join(f"\n{what}: `{command}`\n" for what, command in advice.items()), nl=False)
    else:
        console = Console()
        for number, sheet in enumerate(sheets):
            if number:
                console.print()
            commands: list[str] = []
            if sheet.rows and sheet.columns[-1] == "command":
                commands = list(dict.fromkeys(row[-1] for row in sheet.rows if row[-1]))
                sheet = _without(sheet, ("command",))
            show(console, _without(sheet, details) if console.width < _NARROW else sheet)
            for command in commands:
                click.echo(f"  {command}")
        for what, command in advice.items():
            click.echo(f"{what}: {command}")


def _without(sheet: Sheet, names: Sequence[str]) -> Sheet:
    kept = [i for i, name in enumerate(sheet.columns) if name not in names]
    rows = [tuple(row[i] for i in kept) for row in sheet.rows]
    return replace(sheet, columns=tuple(sheet.columns[i] for i in kept), rows=rows)


def namer(pipeline: Pipeline, form: str) -> Callable[[str], str]:
    """Processors by name for programs, by short name for people, who have little room."""
    return lambda name: name if form == "json" else pipeline.processors[name].alias or name


@click.group("report")
def command() -> None:
    """Say how things stand: a season, the latest days, how far every table has come, runs against tables."""


# -- season ------------------------------------------------------------------------------------------------------------


@command.command("season")
@click.option("--season", "label", metavar="2021-22", help="One season, as it is labelled, or the year it opened in.")
@dated
@formats
@where
def season_command(
    label: str | None,
    start_date: date | str | None,
    end_date: date | str | None,
    as_json: bool,
    markdown: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    """Every season: dates, games, coverage of each layer, how every processor fared, and what is known about it."""
    form = form_of(as_json, markdown)
    years = _years(label)
    if years and (start_date or end_date):
        raise BadInput("--season names the dates itself; leave out --start-date and --end-date")
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    scope = scope_of(gapless, start_date, end_date, (), ())
    if years:
        # Wide enough for the season, wherever in these years it lies: what it was is known only after the look.
        first, last = date(years[0], 1, 1), date(years[1], 12, 31)
        scope = replace(scope, first=max(first, scope.first), last=min(last, scope.last), explicit=True)
        if scope.first > scope.last:
            raise BadInput(f"there is no season '{label}' between {pipeline.history_start} and today")
    look = _look(gapless, scope)
    found = seasons(pipeline, look)
    if label:
        found = _only(found, label, look)
        narrow = replace(scope, first=found[0].first, last=found[0].last)
        look = replace(look, judgement=_within(look, narrow))
    place = words(**{"--project": project, "--home": home, "--now": now})
    given = words(**{"--start-date": look.judgement.scope.first, "--end-date": look.judgement.scope.last})
    chosen = (given if label or start_date or end_date else "") + place
    gaps = look.judgement.gaps
    advice = {"Look at the gaps with": f"gapless scan{chosen}", "Repair with": f"gapless apply{chosen}"} if gaps else {}
    print_report(
        form,
        [
            _season_sheet(pipeline, look, found, form),
            _health_sheet(pipeline, found, namer(pipeline, form)),
            _notes_sheet(pipeline, look, found),
        ],
        advice,
        **_facts(look),
        seasons=[_season_as_json(each) for each in found],
    )
    sys.exit(1 if gaps else 0)


def _years(label: str | None) -> tuple[int, int] | None:
    """The first and last year of a label."""
    if label is None:
        return None
    match = _SEASON.fullmatch(label)
    if not match or not 1 < int(match[1]) < 9998:
        raise BadInput(f"--season '{label}' is not a season; write for example --season 2021-22")
    return int(match[1]), int(match[1]) + 1


def _only(found: Sequence[Season], label: str, look: Look) -> list[Season]:
    year, _, second = label.replace("/", "-").partition("-")
    wanted = f"{year}-{second[-2:]}" if second else year
    chosen = [each for each in found if each.label == wanted or (not second and each.label.startswith(f"{year}-"))]
    if not chosen:
        scope = look.judgement.scope
        there = ", ".join(each.label for each in found)
        raise BadInput(
            f"there is no season '{label}': between {scope.first} and {scope.last} "
            + (f"there is {there}" if there else "there is none")
        )
    return chosen


def _within(look: Look, scope: Scope) -> Any:
    """A judgement with another scope; only its lists depend on that."""

    def inside(gaps: Sequence[Gap]) -> list[Gap]:
        return [gap for gap in gaps if scope.holds(gap.target)]

    judgement = look.judgement
    return replace(
        judgement,
        scope=scope,
        gaps=inside(judgement.gaps),
        phantoms=inside(judgement.phantoms),
        warnings=inside(judgement.warnings),
    )


def _season_sheet(pipeline: Pipeline, look: Look, found: Sequence[Season], form: str) -> Sheet:
    """On a terminal the issues stand below the table, where they have room."""
    phases = sorted({phase for season in found for phase in season.layers})
    with_units = pipeline.calendar is not None
    aside = form == "text"
    rows = [
        (
            season.label,
            season.dates,
            *((season.units,) if with_units else ()),
            *(season.layers.get(phase, Coverage()).pct for phase in phases),
            sum(layer.gaps for layer in season.layers.values()),
            *(() if aside else (_issues(pipeline, season),)),
        )
        for season in found
    ]
    counts = look.judgement.counts()
    gaps = sum(counts.get(verdict, 0) for verdict in IS_A_GAP)
    told = ", ".join(f"{verdict} {n:,}" for verdict, n in counts.items())
    issues = [f"{season.label}: {_issues(pipeline, season)}" for season in found] if aside else []
    return Sheet(
        "season",
        "Seasons",
        (
            "season",
            "dates",
            *(("games",) if with_units else ()),
            *(f"P{n} %" for n in phases),
            "gaps",
            *(() if aside else ("issues",)),
        ),
        rows,
        (*issues, f"{gaps:,} open gap{'' if gaps == 1 else 's'}; targets: {told}"),
        tuple("red" if any(layer.gaps for layer in season.layers.values()) else "" for season in found),
    )


def _issues(pipeline: Pipeline, season: Season) -> str:
    told = []
    waiting = 0
    for name, counts in season.health.items():
        kinds = [
            f"{counts[v]:,} {v}" for v in Verdict
            if counts[v] and (v is Verdict.ACKNOWLEDGED or (v in IS_A_GAP and v is not Verdict.BLOCKED))
        ]  # fmt: skip
        waiting += counts[Verdict.BLOCKED]
        if kinds:
            told.append(f"{pipeline.processors[name].alias or name} {', '.join(kinds)}")
    if waiting:
        told.append(f"{waiting:,} waiting for these")
    return "; ".join(told) or "clean"


def _health_sheet(pipeline: Pipeline, found: Sequence[Season], named: Callable[[str], str]) -> Sheet:
    names = list(dict.fromkeys(name for season in found for name in season.health))
    rows = [
        (pipeline.processors[name].phase, named(name), *(_health(name, season) for season in found)) for name in names
    ]
    rows = [row for row in rows if any(row[2:])]
    counted = any(season.filled for season in found)
    return Sheet(
        "health",
        "Processors",
        ("phase", "processor", *(season.label for season in found)),
        rows,
        ("a/b: a source of which nothing is expected by rule has rows on so many of so many dates",) * counted,
        tuple("red" if any("error" in str(cell) for cell in row[2:]) else "" for row in rows),
    )


def _health(name: str, season: Season) -> str | None:
    counts = season.health.get(name, Counter())
    if name in season.filled:
        given_up = counts[Verdict.ACKNOWLEDGED]
        return f"{season.filled[name]:,}/{season.dates:,}" + (f", {given_up:,} acknowledged" if given_up else "")
    waiting = {Verdict.BLOCKED: "waiting", Verdict.IN_FLIGHT: "in flight", Verdict.ACKNOWLEDGED: "acknowledged"}
    errors = sum(counts[v] for v in IS_A_GAP if v not in waiting)
    told = [f"{errors:,} error{'' if errors == 1 else 's'}"] if errors else []
    told += [f"{counts[v]:,} {word}" for v, word in waiting.items() if counts[v]]
    if told:
        return ", ".join(told)
    if counts[Verdict.COMPLETE] or counts[Verdict.PHANTOM]:
        return "clean"
    return "bootstrap" if counts[Verdict.BOOTSTRAP] else None


def _notes_sheet(pipeline: Pipeline, look: Look, found: Sequence[Season]) -> Sheet:
    rows: list[tuple[str, str, int, str]] = []
    for each in in_look(pipeline, look):
        word, note = each.word, f"; {each.note}" if each.note else ""
        until = f"until {word.expires}" if word.expires else "without expiry"
        why = f"{' '.join(word.reason.split())} ({word.owner}, {until})"
        state = "a person gave them up" if each.state is State.ACTIVE else str(each.state)
        what = f"{_short(pipeline, word.processor)} {word.first} … {word.last}: {why}{note}"
        rows.append(("acknowledged", state, each.targets, what))
    early = {season.label: sum(counts[Verdict.BOOTSTRAP] for counts in season.health.values()) for season in found}
    if any(early.values()):
        told = ", ".join(f"{label} ({n:,})" for label, n in early.items() if n)
        rows.append(("bootstrap", "expected", sum(early.values()), f"nothing yet in the first days of {told}"))
    for season in found:
        if season.unfinished:
            what = f"{season.label}: games of past dates that the schedule does not call over"
            rows.append(("unfinished", "look at the schedule", season.unfinished, what))
    for kind, means, gaps in (
        ("phantom", "rows that nobody expects", look.judgement.phantoms),
        ("warning", "complete, but thin", look.judgement.warnings),
    ):
        if gaps:
            rows.append((kind, means, len(gaps), _listed(pipeline, gaps)))
    return Sheet("notes", "Notes", ("kind", "meaning", "targets", "what"), rows)


def _short(pipeline: Pipeline, name: str) -> str:
    return pipeline.processors[name].alias or name


def _listed(pipeline: Pipeline, gaps: Sequence[Gap]) -> str:
    named = ", ".join(f"{_short(pipeline, gap.target.processor)} {gap.target.day}" for gap in gaps[:_LISTED])
    return named + (f" and {len(gaps) - _LISTED:,} more" if len(gaps) > _LISTED else "")


def _season_as_json(season: Season) -> dict[str, Any]:
    return {
        "season": season.label,
        "first": season.first.isoformat(),
        "last": season.last.isoformat(),
        "dates": season.dates,
        "games": season.units,
        "unfinished": season.unfinished,
        "phases": {str(phase): _coverage_as_json(layer) for phase, layer in season.layers.items()},
        "verdicts": {name: {str(v): counts[v] for v in Verdict if counts[v]} for name, counts in season.health.items()},
    }


def _coverage_as_json(layer: Coverage) -> dict[str, Any]:
    return {
        "expected": layer.expected,
        "covered": layer.covered,
        "coverage_pct": layer.pct,
        "targets": layer.targets,
        "gaps": layer.gaps,
    }


# -- recent ------------------------------------------------------------------------------------------------------------


@command.command("recent")
@click.option("--days", type=click.IntRange(1, 400), default=7, show_default=True, help="How many dates.")
@click.option("--end-date", type=Day(), help="The last of them. Default: today.")
@formats
@where
def recent_command(
    days: int,
    end_date: date | str | None,
    as_json: bool,
    markdown: bool,
    project: str | None,
    home: Path | None,
    now: str | None,
) -> None:
    """The latest dates, one by one: games, coverage of each layer and table, and how far each has come."""
    form = form_of(as_json, markdown)
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    last = scope_of(gapless, None, end_date or "today", (), ()).last
    first = max(last - timedelta(days=days - 1), pipeline.history_start)
    look = _look(gapless, Scope(first, last, explicit=True))
    found = recent(pipeline, look)
    place = words(**{"--project": project, "--home": home, "--now": now})
    dates = words(**{"--start-date": first, "--end-date": last}) + place
    gaps = sum(day.gaps for day in found)
    advice = {"Look at the gaps with": f"gapless scan{dates}", "Repair with": f"gapless apply{dates}"} if gaps else {}
    played = last_played(look)
    if not any(day.scheduled for day in found) and pipeline.calendar and played:
        earlier = words(**{"--days": days if days != 7 else 0, "--end-date": played}) + place
        advice["No games in these days; the latest are in"] = f"gapless report recent{earlier}"
    sheets = [_recent_sheet(pipeline, found), _tables_sheet(found, namer(pipeline, form))]
    print_report(form, sheets, advice, **_facts(look), days=[_day_as_json(day) for day in found])
    sys.exit(1 if gaps else 0)


_STATUS_MARKS = {"complete": "green", "in progress": "blue", "off day": "bright_black"}


def _recent_sheet(pipeline: Pipeline, found: Sequence[RecentDay]) -> Sheet:
    phases = sorted({phase for day in found for phase in day.layers})
    with_units = pipeline.calendar is not None
    return Sheet(
        "recent",
        "Recent days",
        ("date", *(("games", "played") if with_units else ()), *(f"P{n} %" for n in phases), "status"),
        [
            (
                day.day,
                *((day.scheduled, day.final) if with_units else ()),
                *(day.layers[phase].pct for phase in phases),
                day.status,
            )
            for day in found
        ],
        marks=tuple(_STATUS_MARKS.get(day.status, "red") for day in found),
    )


_ACROSS = 10  # so many dates fit beside each other


def _tables_sheet(found: Sequence[RecentDay], named: Callable[[str], str]) -> Sheet:
    """Keys per table and date; only tables and dates that hold or lack anything."""
    days = [day for day in found if any(_keys(day, name) for name in day.targets)]
    names = list(dict.fromkeys(name for day in days for name in day.targets if _keys(day, name)))
    used = {verdict for day in days for verdict, _ in day.targets.values() if verdict in _SIGNED}
    legend = ", ".join(f"{SIGNS[verdict]} {verdict}" for verdict in Verdict if verdict in used)
    note = "a number alone: every expected key is there; a/b: so many of so many" + (f"; {legend}" if legend else "")
    if len(days) <= _ACROSS:
        columns = ("table", *(f"{day.day:%m-%d}" for day in days))
        rows = [(named(name), *(_keys(day, name) for day in days)) for name in names]
    else:
        columns = ("date", *map(named, names))
        rows = [(day.day.isoformat(), *(_keys(day, name) for name in names)) for day in days]
    return Sheet("tables", "Keys per table", columns, rows, (note,) if rows else ())


_SIGNED = IS_A_GAP | {Verdict.NOT_DUE, Verdict.PHANTOM, Verdict.ACKNOWLEDGED, Verdict.BOOTSTRAP}


def _keys(day: RecentDay, name: str) -> str | None:
    verdict, seen = day.targets.get(name, (None, None))
    if verdict is None or seen is None or not (seen.expected or seen.rows or verdict in IS_A_GAP):
        return None
    number = f"{seen.covered:,}" if seen.covered == seen.expected else f"{seen.covered:,}/{seen.expected:,}"
    return f"{number} {SIGNS[verdict]}" if verdict in _SIGNED else number


def _day_as_json(day: RecentDay) -> dict[str, Any]:
    return {
        "date": day.day.isoformat(),
        "games": day.scheduled,
        "played": day.final,
        "status": day.status,
        "gaps": day.gaps,
        "phases": {str(phase): _coverage_as_json(layer) for phase, layer in day.layers.items()},
        "tables": {
            name: {"verdict": str(verdict), "expected": seen.expected, "covered": seen.covered, "rows": seen.rows}
            for name, (verdict, seen) in day.targets.items()
        },
    }


# -- freshness ---------------------------------------------------------------------------------------------------------


@command.command("freshness")
@formats
@where
def freshness_command(as_json: bool, markdown: bool, project: str | None, home: Path | None, now: str | None) -> None:
    """How far every table has come, against what it should hold by now and the lag that is normal for it."""
    form = form_of(as_json, markdown)
    gapless = open_gapless(project, home, now)
    look = _look(gapless, gapless.everything())
    found = freshness(gapless.pipeline, look)
    place = words(**{"--project": project, "--home": home, "--now": now})
    late = [each for each in found if each.standing is Standing.BEHIND]
    advice = {}
    if any(gapless.pipeline.processors[each.processor].run == "none" for each in late):
        advice["Load what is missing with"] = f"gapless load PATH{place}"
    own = [each for each in late if gapless.pipeline.processors[each.processor].run != "none"]
    if own:
        first = min((each.complete + timedelta(days=1) for each in own if each.complete), default=None)
        last = max(each.expected for each in own if each.expected)
        advice["Repair with"] = f"gapless apply{words(**{'--start-date': first, '--end-date': last})}{place}"
    sheet = _freshness_sheet(found, namer(gapless.pipeline, form))
    print_report(form, [sheet], advice, ("table", "written (UTC)"), **_facts(look))
    sys.exit(1 if late else 0)


def _freshness_sheet(found: Sequence[Freshness], named: Callable[[str], str]) -> Sheet:
    marks = {Standing.BEHIND: "red", Standing.NORMAL_LAG: "yellow", Standing.NO_RULE: "bright_black"}
    return Sheet(
        "freshness",
        "Latest date per table",
        (
            "processor", "table", "latest", "complete to", "expected", "behind", "normal", "written (UTC)",
            "status",
        ),
        [
            (
                named(each.processor), each.table, each.latest, each.complete, each.expected,
                None if each.standing is Standing.NO_RULE else each.behind, each.lag, each.written, str(each.standing),
            )
            for each in found
        ],
        (
            "latest: any row; complete to: enough of what is expected; behind, normal: days",
            "older gaps do not show here: gapless report season",
        ),
        tuple(marks.get(each.standing, "") for each in found),
    )  # fmt: skip


# -- runs --------------------------------------------------------------------------------------------------------------


@command.command("runs")
@click.option("--days", type=click.IntRange(1, 36_500), help="Only so many dates up to today. Default: all history.")
@click.option("--limit", type=click.IntRange(1), default=40, show_default=True, help="Rows of each list; JSON has all.")
@dated
@formats
@where
def runs_command(
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
    """What run histories say, compared with the tables: tracking faults, confirmed losses, runs that never ended.

    Only what the tables confirm is called lost, with the command that makes it again.
    """
    form = form_of(as_json, markdown)
    if days and (start_date or end_date):
        raise BadInput("--days ends today; leave it out where you name --start-date or --end-date")
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    today = civil_today(pipeline, gapless.clock())
    if days:
        start_date = max(today - timedelta(days=days - 1), pipeline.history_start)
    scope = scope_of(gapless, start_date, end_date, (), ())
    look = _look(gapless, scope)
    history = read_runs(gapless.warehouse, pipeline, scope.first, scope.last, look.at)
    found = compare(pipeline, look, history)
    place = words(**{"--project": project, "--home": home, "--now": now})
    most, named = None if form == "json" else limit, namer(pipeline, form)
    sheets = [
        _findings_sheet(found),
        _losses_sheet(pipeline, found.losses, place, most, named),
        _faults_sheet(pipeline, found.faults, most, named),
        _processors_sheet(found, named),
    ]
    if found.unconfirmed:
        sheets.insert(3, _unconfirmed_sheet(found.unconfirmed, most, named))
    print_report(form, sheets, details=("run ended (UTC)", "written (UTC)"), **_facts(look))
    sys.exit(1 if found.losses or look.judgement.gaps else 0)


_MEANING = {
    Finding.AGREES: "history and table say the same",
    Finding.FAULT: "history says nothing came; the table holds the date: no loss, nothing to run",
    Finding.LOSS: "the table lacks what is expected",
    Finding.UNCONFIRMED: "history says rows were written; none are there, and none are expected",
    Finding.WAITING: "what the table should hold depends on a gap upstream",
    Finding.NOT_COMPARED: "dates that the table is not about, such as past ones of a table about the days to come",
}
_ALWAYS = (Finding.AGREES, Finding.FAULT, Finding.LOSS)


def _findings_sheet(found: Comparison) -> Sheet:
    rows = [
        (str(finding), found.findings[Teller.TRACKER][finding], found.findings[Teller.OWN][finding], meaning)
        for finding, meaning in _MEANING.items()
        if finding in _ALWAYS or any(counts[finding] for counts in found.findings.values())
    ]
    per = found.processors.values()
    notes = [f"confirmed losses in all, with those that no history mentions: {len(found.losses):,}"]
    never, false = sum(each.never_ended for each in per), sum(each.false_failures for each in per)
    running = sum(each.running for each in per)
    if never:
        notes.append(f"phantom runs: {never:,} began, and nothing says that they ended; they count as nothing")
    if running:
        notes.append(f"{running:,} runs began in the last 6 hours and may be at work")
    if false:
        notes.append(f"{false:,} runs were called failed after they had succeeded; they count as successes")
    for what, counts in (
        ("their rows are there, and are made anew once what they read is (see gapless scan)", found.spoilt),
        ("wait for a gap upstream; what they lack is not known before that is closed", found.waiting),
    ):
        if counts:
            named = ", ".join(f"{name} {n:,}" for name, n in counts.items())
            notes.append(f"{sum(counts.values()):,} gaps more are no confirmed loss: {what}: {named}")
    if found.abandoned:
        notes.append(f"{len(found.abandoned):,} claims of Gapless itself ended without an outcome: their runs died")
    if found.unknown:
        named = ", ".join(f"{name} {n:,}" for name, n in sorted(found.unknown.items())[:_LISTED])
        notes.append(f"runs of processors that this pipeline does not declare: {named}")
    if found.undated:
        notes.append(f"{found.undated:,} runs name no date and cannot be compared")
    return Sheet(
        "findings", "Run history against tables", ("finding", "tracker", "gapless", "meaning"), rows, tuple(notes)
    )


def _losses_sheet(
    pipeline: Pipeline, losses: Sequence[Loss], place: str, most: int | None, named: Callable[[str], str]
) -> Sheet:
    groups = runs_of_days(losses) if most else [[loss] for loss in losses]
    rows = []
    for group in groups[:most]:
        (first, last), gap = span(group), group[0].gap
        many = len(group) > 1
        command = fix(pipeline, gap, place).replace(f"--end-date {first}", f"--end-date {last}")
        expected, covered = sum(loss.gap.seen.expected for loss in group), sum(loss.gap.seen.covered for loss in group)
        rows.append(
            (
                f"{first} … {last} ({len(group):,})" if many else first.isoformat(),
                named(gap.target.processor),
                says(group[0].says),
                f"{covered:,} of {expected:,} keys" if expected else f"{gap.seen.rows:,} rows",
                str(gap.verdict),
                command,
            )
        )
    return Sheet(
        "losses",
        f"Data loss that the tables confirm{_number(losses)}",
        ("dates", "processor", "history says", "table has", "verdict", "command"),
        rows,
        _more(len(groups), most),
        ("red",) * len(rows),
    )


def _faults_sheet(pipeline: Pipeline, faults: Sequence[Fault], most: int | None, named: Callable[[str], str]) -> Sheet:
    with_units = pipeline.calendar is not None
    rows = [
        (
            fault.target.day,
            named(fault.target.processor),
            says((fault.told,)),
            f"{fault.seen.rows:,} rows" + (f", {fault.units:,} games" if with_units and fault.units else ""),
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
    return Sheet(
        "faults",
        f"History says nothing came, the table has it{_number(faults)}",
        ("date", "processor", "history says", "table has", "analysis", "run ended (UTC)", "written (UTC)"),
        rows,
        notes,
    )


def _unconfirmed_sheet(faults: Sequence[Fault], most: int | None, named: Callable[[str], str]) -> Sheet:
    rows = [(f.target.day, named(f.target.processor), says((f.told,)), f.told.records) for f in faults[:most]]
    return Sheet(
        "unconfirmed",
        f"Said to be written, not there, and not expected{_number(faults)}",
        ("date", "processor", "history says", "records"),
        rows,
        _more(len(faults), most),
    )


def _processors_sheet(found: Comparison, named: Callable[[str], str]) -> Sheet:
    rows = [
        (named(name), p.runs, p.empty, p.faults, p.losses, p.never_ended, p.false_failures)
        for name, p in found.processors.items()
    ]
    columns = ("processor", "runs", "empty or failed", "faults", "losses", "never ended", "falsely failed")
    return Sheet("processors", "Runs per processor", columns, rows)


def _number(listed: Sequence[Any]) -> str:
    return f": {len(listed):,}" if listed else ""


def _more(there: int, most: int | None) -> tuple[str, ...]:
    return (f"{there - most:,} more; all of them with --json, or --limit {there}",) if most and there > most else ()


# -- what all share ----------------------------------------------------------------------------------------------------


def _look(gapless: Gapless, scope: Scope) -> Look:
    """One look, whatever is lost; raises `CannotObserve` where the tables hold nothing at all."""
    look = gapless.engine(Policy(lift_storm=True)).scan(scope)
    refuse_an_empty_warehouse(look)
    nothing_known(gapless, look)
    return look


def _facts(look: Look) -> dict[str, Any]:
    judgement = look.judgement
    return {
        "at": look.at.isoformat(),
        "start_date": max(judgement.scope.first, judgement.first).isoformat(),
        "end_date": judgement.scope.last.isoformat(),
        "complete": judgement.complete,
        "gaps": len(judgement.gaps),
        "verdicts": {str(verdict): n for verdict, n in judgement.counts().items()},
        "bytes_processed": look.observation.bytes_processed,
    }
