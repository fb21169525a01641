"""A plan: what would be run, in which order and why, and what is left alone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table

from gapless.model import Action, Gap, Plan

_COLUMNS = ("wave", "processor", "run", "first", "last", "because", "recheck")
_NUMBERS = ("wave", "run", "recheck")
_IN_ONE_PIECE = ("processor", "first", "last")
_GIB = 2**30
# What differs between two targets that are left alone for the same reason.
_DATES = re.compile(r"\d[\d:-]*")


# -- for programs -------------------------------------------------------------------------------------------------


def plan_as_json(plan: Plan) -> dict[str, Any]:
    waves = []
    for wave in plan.waves:
        waves.append([_action_as_json(action) for action in wave])
    return {
        "checksum": plan.checksum,
        "targets": plan.size,
        "report_only": plan.report_only,
        "waves": waves,
        "held": [_held_as_json(gap, why) for gap, why in plan.held],
    }


def _action_as_json(action: Action) -> dict[str, Any]:
    return {
        "processor": action.processor,
        "dates": [day.isoformat() for day in action.run],
        "recheck": [day.isoformat() for day in action.recheck],
        "reasons": {str(verdict): count for verdict, count in action.reasons},
    }


def _held_as_json(gap: Gap, why: str) -> dict[str, Any]:
    target = gap.target
    return {"id": gap.id, "processor": target.processor, "date": target.day.isoformat(), "why": why}


# -- for a review -------------------------------------------------------------------------------------------------


def plan_as_markdown(plan: Plan, price: int, words: str) -> str:
    """The plan as a document for a review."""
    lines = [
        "# Plan",
        "",
        f"{plan.size:,} targets in {len(plan.waves)} waves, {price / _GIB:.2f} GiB, checksum `{plan.checksum}`.",
        "",
        "| wave | processor | dates | from | to | because | recheck |",
        "|---:|---|---:|---|---|---|---:|",
    ]
    for number, wave in enumerate(plan.waves, 1):
        lines += [_markdown_row(number, action) for action in wave]
    if plan.held:
        lines += ["", f"## Left alone: {len(plan.held):,}", ""]
        lines += [f"- {gap.target}: {why}" for gap, why in plan.held]
    lines += ["", f"Apply exactly this with: `gapless apply{words} --checksum {plan.checksum}`"]
    return "\n".join(lines)


def _markdown_row(number: int, action: Action) -> str:
    days = action.run or action.recheck
    because = ", ".join(f"{verdict} {count}" for verdict, count in action.reasons)
    recheck = len(action.recheck) or ""
    return f"| {number} | {action.processor} | {len(action.run)} | {days[0]} | {days[-1]} | {because} | {recheck} |"


# -- for people ---------------------------------------------------------------------------------------------------


def show_plan(console: Console, plan: Plan, price: int | None = None) -> None:
    """What would be run, in order, and what is left alone."""
    if plan.waves:
        console.print(_table(plan))
        # an emulator has no prices
        cost = f", reads {price / _GIB:.2f} GiB" if price else ""
        size = f"{plan.size:,} targets in {len(plan.waves)} waves"
        console.print(f"{size}{cost}; checksum {plan.checksum}", highlight=False)
    else:
        console.print("The plan is empty: there is nothing to run.")
    show_held(console, plan)


def _table(plan: Plan) -> Table:
    """One row for each processor of a wave; the last column only where anything is looked at again."""
    with_recheck = any(action.recheck for action in plan.actions)
    columns = _COLUMNS if with_recheck else _COLUMNS[:-1]
    table = Table(title="Plan", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=name in _IN_ONE_PIECE)
    for cells in _rows(plan):
        table.add_row(*cells[: len(columns)])
    return table


def _rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    for number, wave in enumerate(plan.waves, 1):
        for name, actions in _by_processor(wave).items():
            yield (str(number), name, *_cells(actions))


def _cells(actions: Sequence[Action]) -> tuple[str, ...]:
    """What the actions of one processor come to together."""
    days: list[date] = []
    reasons: Counter[str] = Counter()
    again = 0
    for action in actions:
        days += action.run
        again += len(action.recheck)
        for verdict, count in action.reasons:
            reasons[str(verdict)] += count
    first, last = (str(min(days)), str(max(days))) if days else ("", "")
    because = ", ".join(f"{verdict} {count:,}" for verdict, count in reasons.items())
    return f"{len(days):,}", first, last, because, f"{again:,}" if again else ""


def _by_processor(wave: Sequence[Action]) -> dict[str, list[Action]]:
    found: dict[str, list[Action]] = defaultdict(list)
    for action in wave:
        found[action.processor].append(action)
    return found


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
        others = len(members) - 1
        many = f" and {others:,} more" if others else ""
        console.print(f"  {name} {gap.target.day}{many}: {why}", highlight=False)
    if len(kinds) > limit:
        console.print(f"  … and {len(kinds) - limit} more reasons; see --json")
