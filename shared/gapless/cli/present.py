"""How results look: as JSON for programs, as tables for people."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, assert_never

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gapless.declare.pipeline import Pipeline
from gapless.engine import ApplyReport, Look
from gapless.judge.remedies import remedy_for
from gapless.model import Gap, Plan, Policy, Target, Verdict
from gapless.questions.acknowledgements import Standing, in_look
from gapless.verdict import WORST_FIRST, Asks, Shows


def reason(pipeline: Pipeline, gap: Gap) -> str:
    """Why a target has its verdict, in one line with its numbers."""
    return "; ".join(part for part in (_figures(pipeline, gap), gap.detail) if part)


def _figures(pipeline: Pipeline, gap: Gap) -> str:
    seen, meaning = gap.seen, gap.verdict.meaning
    match meaning.shows:
        case Shows.BLOCKERS:
            more = f" and {len(gap.blockers) - 1} more" if len(gap.blockers) > 1 else ""
            return f"waits for {gap.blockers[0]}{more}" if gap.blockers else "waits for its upstream"
        case Shows.ABSENCE:
            others = f", but {seen.rows} rows of other keys" if seen.rows else ", upstream complete"
            return f"none of {seen.expected} expected keys{others}"
        case Shows.SHARE:
            return f"{seen.covered} of {seen.expected} expected keys"
        case Shows.FAULTS:
            faults = _faults(pipeline, gap)
            return "; ".join(faults) or "built before something that it reads was rebuilt"
        case Shows.SURPLUS:
            count = f"{seen.extra} keys" if seen.expected else f"{seen.rows} rows"
            return f"{count} for games that did not take place that day"
        case Shows.THIN:
            return f"complete with {seen.covered} of {seen.expected} keys, below the warning threshold"
        case Shows.WORDS:
            return meaning.words
        case Shows.DETAIL:
            return ""
    assert_never(meaning.shows)


def _faults(pipeline: Pipeline, gap: Gap) -> list[str]:
    """What is wrong with the rows themselves."""
    seen, faults = gap.seen, []
    if seen.suspect:
        faults.append(f"{seen.suspect} rows where {pipeline.processors[gap.target.processor].suspect}")
    if seen.altered:
        faults.append(f"{seen.altered} rows are not as they were published")
    if seen.duplicates:
        faults.append(f"{seen.duplicates} rows repeat a key")
    return faults


def fix(pipeline: Pipeline, gap: Gap, place: str = "") -> str:
    """What repairs a gap, with the exact command; `place` names the warehouse in options."""
    return remedy_for(pipeline, gap.target, gap.verdict).told(place)


def gap_as_json(pipeline: Pipeline, gap: Gap, now: datetime, place: str = "") -> dict[str, Any]:
    return {
        "id": gap.id,
        "processor": gap.target.processor,
        "date": gap.target.day.isoformat(),
        "phase": pipeline.processors[gap.target.processor].phase,
        "verdict": str(gap.verdict),
        "expected": gap.seen.expected,
        "covered": gap.seen.covered,
        "coverage_pct": round(gap.seen.coverage_pct, 2),
        "rows": gap.seen.rows,
        "suspect": gap.seen.suspect,
        "altered": gap.seen.altered,
        "extra": gap.seen.extra,
        "duplicates": gap.seen.duplicates,
        "age_days": round(gap.age(now).total_seconds() / 86400, 2),
        "blockers": [str(blocker) for blocker in gap.blockers],
        "reason": reason(pipeline, gap),
        "fix": fix(pipeline, gap, place),
    }


def plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "checksum": plan.checksum,
        "targets": plan.size,
        "report_only": plan.report_only,
        "waves": [
            [
                {
                    "processor": action.processor,
                    "dates": [day.isoformat() for day in action.run],
                    "recheck": [day.isoformat() for day in action.recheck],
                    "reasons": {str(verdict): count for verdict, count in action.reasons},
                }
                for action in wave
            ]
            for wave in plan.waves
        ],
        "held": [
            {"id": gap.id, "processor": gap.target.processor, "date": gap.target.day.isoformat(), "why": why}
            for gap, why in plan.held
        ],
    }


def plan_as_markdown(plan: Plan, price: int, words: str) -> str:
    """The plan as a document for a review."""
    lines = [
        "# Plan",
        "",
        f"{plan.size:,} targets in {len(plan.waves)} waves, {price / 2**30:.2f} GiB, checksum `{plan.checksum}`.",
        "",
    ]
    lines += ["| wave | processor | dates | from | to | because | recheck |", "|---:|---|---:|---|---|---|---:|"]
    for number, wave in enumerate(plan.waves, 1):
        for action in wave:
            days = action.run or action.recheck
            because = ", ".join(f"{verdict} {count}" for verdict, count in action.reasons)
            lines.append(
                f"| {number} | {action.processor} | {len(action.run)} | {days[0]} | {days[-1]} | {because} "
                f"| {len(action.recheck) or ''} |"
            )
    if plan.held:
        lines += ["", f"## Left alone: {len(plan.held):,}", ""]
        lines += [f"- {gap.target}: {why}" for gap, why in plan.held]
    lines += ["", f"Apply exactly this with: `gapless apply{words} --checksum {plan.checksum}`"]
    return "\n".join(lines)


def look_as_json(
    pipeline: Pipeline, look: Look, place: str = "", page_above: int = Policy().page_above
) -> dict[str, Any]:
    judgement = look.judgement

    def told(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
        return [gap_as_json(pipeline, gap, look.at, place) for gap in gaps]

    return {
        "at": look.at.isoformat(),
        "start_date": max(judgement.scope.first, judgement.first).isoformat(),
        "end_date": judgement.scope.last.isoformat(),
        "complete": judgement.complete,
        "counts": {str(verdict): count for verdict, count in judgement.counts().items()},
        "gaps": told(judgement.gaps),
        "phantoms": told(judgement.phantoms),
        "warnings": told(judgement.warnings),
        "acknowledged": [each.as_json() for each in in_look(pipeline, look)],
        "plan": plan_as_json(look.plan),
        "page": len(judgement.gaps) > page_above,
        "bytes_processed": look.observation.bytes_processed,
    }


def report_as_json(pipeline: Pipeline, report: ApplyReport, place: str = "") -> dict[str, Any]:
    return {
        "run_id": report.run_id,
        "outcomes": dict(Counter(str(outcome.status) for outcome in report.outcomes)),
        "failed": [
            {
                "processor": o.target.processor,
                "date": o.target.day.isoformat(),
                "status": str(o.status),
                "expected": o.expected,
                "covered": o.covered,
                "error": o.error,
            }
            for o in report.failed
        ],
        "started": [
            {"processor": t.processor, "date": t.day.isoformat(), "receipt": told} for t, told in report.started.items()
        ],
        "waiting": [
            {"processor": t.processor, "date": t.day.isoformat(), "why": why} for t, why in report.waiting.items()
        ],
        "sources": [
            {
                "processor": o.target.processor,
                "date": o.target.day.isoformat(),
                "expected": o.expected,
                "upcoming_count": o.choice.covered,
                "data_source": o.data_source,
                "fallback": o.choice.fallback,
                "reason": o.choice.reason,
            }
            for o in report.outcomes
            if o.choice
        ],
        "notes": report.notes,
        "after": look_as_json(pipeline, report.after, place) if report.after else None,
    }


# -- for people ---------------------------------------------------------------------------------------------------


def show_look(
    console: Console, pipeline: Pipeline, look: Look, place: str = "", *, limit: int = 20, calendar: bool = True
) -> None:
    """Counts, the calendar, the gaps that start everything, and what waits."""
    judgement = look.judgement

    def table(gaps: Sequence[Gap], title: str) -> None:
        _gap_table(console, pipeline, look, gaps, limit, title, place)

    counts = judgement.counts()
    line = Text("  ").join(
        Text(f"{verdict.meaning.sign.strip() or '□'} {verdict} {n:,}", style=verdict.meaning.style)
        for verdict, n in counts.items()
    )
    console.print(line if counts else Text("nothing is in scope"))
    if calendar and counts:
        show_calendar(console, look)
    roots = [gap for gap in judgement.gaps if gap.verdict.meaning.asks is not Asks.UPSTREAM]
    blocked = [gap for gap in judgement.gaps if gap.verdict.meaning.asks is Asks.UPSTREAM]
    if roots:
        table(roots, "Gaps")
    if blocked:
        per = Counter(gap.target.processor for gap in blocked)
        waiting = ", ".join(f"{name} {n:,}" for name, n in per.items())
        console.print(f"[cyan]{len(blocked):,} more wait for these:[/cyan] {waiting}", highlight=False)
        if not roots:
            table(blocked, "Waiting")
    if judgement.phantoms:
        table(judgement.phantoms, "Clean-up proposed (nothing is deleted unasked)")
    if judgement.warnings:
        table(judgement.warnings, "Complete, with a warning")
    given_up = in_look(pipeline, look)
    if given_up:
        console.print(f"[bold]Acknowledged, and left alone: {sum(each.targets for each in given_up):,}[/bold]")
        for each in given_up:
            console.print(Text(f"  {_given_up(each)}"))


def _given_up(each: Standing) -> str:
    word = each.word
    until = f"until {word.expires}" if word.expires else "without expiry"
    why = " ".join(word.reason.split())
    told = f"{word.processor} {word.first} … {word.last} ({each.targets:,}): {why} ({word.owner}, {until})"
    return f"{told}; {each.note}" if each.note else told


_WIDE = 150  # columns that a table with reasons and commands needs


def _gap_table(
    console: Console, pipeline: Pipeline, look: Look, gaps: Sequence[Gap], limit: int, title: str, place: str
) -> None:
    """Gaps as a table; on a narrow terminal the reason and the command stand below each row."""
    wide = console.width >= _WIDE
    table = Table(title=f"{title}: {len(gaps):,}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("processor", "dates", "verdict", "coverage", "age", *(("why", "what fixes it") if wide else ())):
        right = name in ("coverage", "age")
        table.add_column(name, justify="right" if right else "left", no_wrap=name not in ("why", "what fixes it"))
    runs = list(_runs(gaps))
    below: list[tuple[str, str]] = []
    for first, last, members in runs[:limit]:
        gap, many = members[0], len(members) > 1
        days = f"{first} … {last} ({len(members)})" if many else str(first)
        covered, expected = sum(g.seen.covered for g in members), sum(g.seen.expected for g in members)
        pct = f"{100 * covered / expected:.1f} %" if expected else "-"
        way = remedy_for(pipeline, gap.target, gap.verdict).over(first, last).told(place)
        why = f"{first}: {reason(pipeline, gap)}" if many else reason(pipeline, gap)
        verdict = Text(str(gap.verdict), style=gap.verdict.meaning.style)
        row = (gap.target.processor, days, verdict, pct, _oldest(members, look))
        table.add_row(*row, *((why, way) if wide else ()))
        below.append((why, way))
    if wide:
        console.print(table)
    else:
        _interleaved(console, table, below)
    if len(runs) > limit:
        console.print(f"… {len(runs) - limit:,} more rows; see all with --json, or narrow with --start-date/--end-date")


def _interleaved(console: Console, table: Table, below: Sequence[tuple[str, str]]) -> None:
    lines = console.render_lines(table, pad=False)
    head = len(lines) - len(below)
    for number, line in enumerate(lines):
        console.print(Text.assemble(*((segment.text, segment.style or "") for segment in line)), overflow="crop")
        if number >= head:
            why, way = below[number - head]
            console.print(Text(f"    why: {why}", style="bright_black"))
            console.print(Text(f"    fix: {way}", style="bright_black"))


def _oldest(gaps: Sequence[Gap], look: Look) -> str:
    return _age(max(gap.age(look.at) for gap in gaps))


def _runs(gaps: Iterable[Gap]) -> Iterable[tuple[date, date, list[Gap]]]:
    """Gaps of one processor and verdict whose dates follow each other (off days between), as one row."""
    groups: dict[tuple[str, Verdict], list[Gap]] = defaultdict(list)
    for gap in gaps:
        groups[gap.target.processor, gap.verdict].append(gap)
    for members in groups.values():
        members.sort(key=lambda gap: gap.target.day)
        run = [members[0]]
        for gap in members[1:]:
            if (gap.target.day - run[-1].target.day).days > 7:
                yield run[0].target.day, run[-1].target.day, run
                run = []
            run.append(gap)
        yield run[0].target.day, run[-1].target.day, run


def _age(age: timedelta) -> str:
    if age.days:
        return f"{age.days} d"
    hours = int(age.total_seconds() // 3600)
    return f"{hours} h" if hours else "new"


Month = tuple[tuple[int, int], dict[int, Verdict]]  # year and month, and the worst verdict by day of the month


def show_calendar(console: Console, look: Look, months: int = 18) -> None:
    """One row a month, one sign a day: the worst verdict of its targets. Months of off days alone are left out."""
    rows = _months(_worst_by_day(look))
    interesting = [row for row in rows if _asks_for_runs(row)]
    shown = rows if len(rows) <= months else (interesting or rows)[-months:]
    if not shown:
        return
    console.print(Text("         " + "".join(f"{d:<5}" for d in range(1, 31, 5)), style="bright_black"))
    for month in shown:
        console.print(_calendar_row(month))
    if len(shown) < len(rows):
        console.print(f"({len(rows) - len(shown)} more months)", style="bright_black")
    console.print(_legend(shown))


def _worst_by_day(look: Look) -> dict[date, Verdict]:
    judgement = look.judgement
    worst: dict[date, Verdict] = {}
    for name, column in judgement.verdicts.items():
        for i, verdict in enumerate(column):
            day = judgement.first + timedelta(days=i)
            if verdict is None or not judgement.scope.holds(Target(name, day)):
                continue
            if day not in worst or verdict.meaning.rank > worst[day].meaning.rank:
                worst[day] = verdict
    return worst


def _months(worst: Mapping[date, Verdict]) -> list[Month]:
    by_month: dict[tuple[int, int], dict[int, Verdict]] = defaultdict(dict)
    for day, verdict in worst.items():
        by_month[day.year, day.month][day.day] = verdict
    return [(month, days) for month, days in sorted(by_month.items()) if set(days.values()) != {Verdict.OFF_DAY}]


def _calendar_row(row: Month) -> Text:
    (year, month), days = row
    text = Text(f"{year}-{month:02d}  ")
    for number in range(1, 32):
        if number in days:
            meaning = days[number].meaning
            text.append(meaning.sign, style=meaning.style)
        else:
            text.append(" ")
    return text


def _asks_for_runs(row: Month) -> bool:
    return any(verdict.meaning.asks in (Asks.RUN, Asks.UPSTREAM) for verdict in row[1].values())


def _legend(shown: Iterable[Month]) -> Text:
    used = {verdict for _, days in shown for verdict in days.values()}
    signed = [verdict for verdict in WORST_FIRST if verdict in used and verdict.meaning.sign.strip()]
    return Text("  ").join(Text(f"{v.meaning.sign} {v}", style=v.meaning.style) for v in signed)


def show_plan(console: Console, plan: Plan, price: int | None = None) -> None:
    """What would be run, in order, and what is left alone."""
    if not plan.waves:
        console.print("The plan is empty: there is nothing to run.")
    else:
        table = Table(title="Plan", title_justify="left", title_style="bold", box=None, pad_edge=False)
        rechecks = any(action.recheck for action in plan.actions)
        names = ("wave", "processor", "run", "first", "last", "because", "recheck")
        for name in names if rechecks else names[:-1]:
            right = name in ("wave", "run", "recheck")
            table.add_column(name, justify="right" if right else "left", no_wrap=name in ("processor", "first", "last"))
        for number, wave in enumerate(plan.waves, 1):
            for name, actions in _by_processor(wave).items():
                days = sorted(day for action in actions for day in action.run)
                reasons: Counter[str] = Counter()
                for action in actions:
                    reasons.update({str(verdict): count for verdict, count in action.reasons})
                again = sum(len(action.recheck) for action in actions)
                cells = (
                    str(number),
                    name,
                    f"{len(days):,}",
                    str(days[0]) if days else "",
                    str(days[-1]) if days else "",
                    ", ".join(f"{verdict} {count:,}" for verdict, count in reasons.items()),
                )
                table.add_row(*cells, *([f"{again:,}" if again else ""] if rechecks else []))
        console.print(table)
        # an emulator has no prices
        cost = f", reads {price / 2**30:.2f} GiB" if price else ""
        console.print(
            f"{plan.size:,} targets in {len(plan.waves)} waves{cost}; checksum {plan.checksum}", highlight=False
        )
    show_held(console, plan)


def show_held(console: Console, plan: Plan, limit: int = 8) -> None:
    """What a plan leaves alone, and why; targets that wait for the same kind of thing as one line."""
    if not plan.held:
        return
    console.print(f"[bold]Left alone: {len(plan.held):,}[/bold]")
    kinds: dict[tuple[str, str], list[tuple[Gap, str]]] = defaultdict(list)
    for gap, why in plan.held:
        kinds[gap.target.processor, _DATES.sub("…", why)].append((gap, why))
    for (name, _), members in list(kinds.items())[:limit]:
        gap, why = members[0]
        many = f" and {len(members) - 1:,} more" if len(members) > 1 else ""
        console.print(f"  {name} {gap.target.day}{many}: {why}", highlight=False)
    if len(kinds) > limit:
        console.print(f"  … and {len(kinds) - limit} more reasons; see --json")


# What differs between two targets that are left alone for the same reason.
_DATES = re.compile(r"\d[\d:-]*")


def _by_processor(wave: Sequence[Any]) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for action in wave:
        found.setdefault(action.processor, []).append(action)
    return found


def show_report(console: Console, report: ApplyReport) -> None:
    """What an apply did."""
    done = Counter(outcome.status for outcome in report.outcomes)
    what = ", ".join(f"{n:,} {s}" for s, n in done.items()) or "nothing was run"
    console.print(f"Run {report.run_id}: {what}", highlight=False)
    for outcome in report.failed[:10]:
        console.print(f"  [red]{outcome.status}[/red] {outcome.target}: {outcome.error}", highlight=False)
    if len(report.failed) > 10:
        console.print(f"  … and {len(report.failed) - 10:,} more")
    replaced = [(o.target, o.choice.reason) for o in report.outcomes if o.choice and o.choice.fallback]
    for target, why in replaced[:1]:
        more = f" and {len(replaced) - 1:,} more" if len(replaced) > 1 else ""
        console.print(f"  [yellow]fallback[/yellow]: {target}{more}: {why}", highlight=False)
    if report.started:
        per = Counter(target.processor for target in report.started)
        asked = ", ".join(f"{name} {n:,}" for name, n in per.items())
        console.print(f"  [blue]asked of other services[/blue], and not done yet: {asked}", highlight=False)
    if report.waiting:
        kinds = Counter(report.waiting.values())
        for why, count in kinds.most_common(5):
            console.print(f"  [cyan]{count:,} waiting[/cyan]: {why}", highlight=False)
    for note in report.notes:
        console.print(f"  [yellow]note[/yellow]: {note}", highlight=False)
