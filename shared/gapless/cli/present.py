"""How results look: as JSON for programs, as tables for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, assert_never

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gapless.cli.show.calendar import show_calendar
from gapless.cli.show.plan import plan_as_json
from gapless.declare.pipeline import Pipeline
from gapless.engine import Look
from gapless.judge.remedies import remedy_for
from gapless.model import Gap, Policy, Verdict
from gapless.questions.acknowledgements import AckStanding, in_look
from gapless.verdict import Asks, Shows


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
            return f"{count} for {pipeline.words.units} that did not take place that day"
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


# -- for people ---------------------------------------------------------------------------------------------------


def show_look(
    console: Console, pipeline: Pipeline, look: Look, place: str = "", *, limit: int = 20, calendar: bool = True
) -> None:
    """Counts, the calendar, the gaps that start everything, and what waits."""
    judgement = look.judgement

    def table(gaps: Sequence[Gap], title: str) -> None:
        _gap_table(console, pipeline, look, gaps, limit, title, place)

    counts = judgement.counts()
    console.print(_counted(counts) if counts else Text("nothing is in scope"))
    if calendar and counts:
        show_calendar(console, look)
    roots = [gap for gap in judgement.gaps if gap.verdict.meaning.asks is not Asks.UPSTREAM]
    blocked = [gap for gap in judgement.gaps if gap.verdict.meaning.asks is Asks.UPSTREAM]
    if roots:
        table(roots, "Gaps")
    if blocked:
        _show_blocked(console, blocked)
        if not roots:
            table(blocked, "Waiting")
    if judgement.phantoms:
        table(judgement.phantoms, "Clean-up proposed (nothing is deleted unasked)")
    if judgement.warnings:
        table(judgement.warnings, "Complete, with a warning")
    _show_given_up(console, in_look(pipeline, look))


def _counted(counts: Mapping[Verdict, int]) -> Text:
    """Every verdict that occurs, with its number of targets."""
    parts = []
    for verdict, count in counts.items():
        sign = verdict.meaning.sign.strip() or "□"
        parts.append(Text(f"{sign} {verdict} {count:,}", style=verdict.meaning.style))
    return Text("  ").join(parts)


def _show_blocked(console: Console, blocked: Sequence[Gap]) -> None:
    per_processor = Counter(gap.target.processor for gap in blocked)
    waiting = ", ".join(f"{name} {count:,}" for name, count in per_processor.items())
    console.print(f"[cyan]{len(blocked):,} more wait for these:[/cyan] {waiting}", highlight=False)


def _show_given_up(console: Console, given_up: Sequence[AckStanding]) -> None:
    if not given_up:
        return
    targets = sum(each.targets for each in given_up)
    console.print(f"[bold]Acknowledged, and left alone: {targets:,}[/bold]")
    for each in given_up:
        console.print(Text(f"  {_given_up(each)}"))


def _given_up(each: AckStanding) -> str:
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
