"""What an apply did: outcomes, what was asked of others, what waits."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console

from gapless.cli.present import look_as_json
from gapless.declare.pipeline import Pipeline
from gapless.engine import ApplyReport
from gapless.model import Choice, Outcome, Target

_FAILED = 10  # outcomes in full; the rest is counted
_WAITING = 5  # reasons


# -- for programs -------------------------------------------------------------------------------------------------


def report_as_json(pipeline: Pipeline, report: ApplyReport, place: str = "") -> dict[str, Any]:
    statuses = Counter(str(outcome.status) for outcome in report.outcomes)
    return {
        "run_id": report.run_id,
        "outcomes": dict(statuses),
        "failed": [failed_as_json(outcome) for outcome in report.failed],
        "started": [_named(target) | {"receipt": receipt} for target, receipt in report.started.items()],
        "waiting": [_named(target) | {"why": why} for target, why in report.waiting.items()],
        "sources": [_source_as_json(each, each.choice) for each in report.outcomes if each.choice],
        "notes": report.notes,
        "after": look_as_json(pipeline, report.after, place) if report.after else None,
    }


def failed_as_json(outcome: Outcome) -> dict[str, Any]:
    return _named(outcome.target) | {
        "status": str(outcome.status),
        "expected": outcome.expected,
        "covered": outcome.covered,
        "error": outcome.error,
    }


def _source_as_json(outcome: Outcome, choice: Choice) -> dict[str, Any]:
    return _named(outcome.target) | {
        "expected": outcome.expected,
        "upcoming_count": choice.covered,
        "data_source": outcome.data_source,
        "fallback": choice.fallback,
        "reason": choice.reason,
    }


def _named(target: Target) -> dict[str, Any]:
    return {"processor": target.processor, "date": target.day.isoformat()}


# -- for people ---------------------------------------------------------------------------------------------------


def show_report(console: Console, report: ApplyReport) -> None:
    """What an apply did."""
    done = Counter(outcome.status for outcome in report.outcomes)
    what = ", ".join(f"{count:,} {status}" for status, count in done.items())
    console.print(f"Run {report.run_id}: {what or 'nothing was run'}", highlight=False)
    _show_failed(console, report)
    _show_fallbacks(console, report)
    if report.started:
        per_processor = Counter(target.processor for target in report.started)
        asked = ", ".join(f"{name} {count:,}" for name, count in per_processor.items())
        console.print(f"  [blue]asked of other services[/blue], and not done yet: {asked}", highlight=False)
    reasons = Counter(report.waiting.values())
    for why, count in reasons.most_common(_WAITING):
        console.print(f"  [cyan]{count:,} waiting[/cyan]: {why}", highlight=False)
    for note in report.notes:
        console.print(f"  [yellow]note[/yellow]: {note}", highlight=False)


def _show_failed(console: Console, report: ApplyReport) -> None:
    failed = report.failed
    for outcome in failed[:_FAILED]:
        console.print(f"  [red]{outcome.status}[/red] {outcome.target}: {outcome.error}", highlight=False)
    if len(failed) > _FAILED:
        console.print(f"  … and {len(failed) - _FAILED:,} more")


def _show_fallbacks(console: Console, report: ApplyReport) -> None:
    """What was made from its second source: the first of it, and how many more."""
    replaced = [(each.target, each.choice.reason) for each in report.outcomes if each.choice and each.choice.fallback]
    if not replaced:
        return
    target, why = replaced[0]
    others = len(replaced) - 1
    more = f" and {others:,} more" if others else ""
    console.print(f"  [yellow]fallback[/yellow]: {target}{more}: {why}", highlight=False)
