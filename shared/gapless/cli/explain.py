"""gapless explain"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from gapless.cli.chosen import open_gapless, print_json, scope_of, words
from gapless.cli.present import fix, reason
from gapless.declare.pipeline import Pipeline
from gapless.declare.processor import Processor
from gapless.judge.verdicts import civil_today
from gapless.model import IS_A_GAP, Acknowledged, Gap, Policy, Seen, Target, Verdict, from_micros
from gapless.questions.explain import Evidence, explain


def run(
    day: date | str, processor: str, as_json: bool, project: str | None, home: Path | None, now: str | None
) -> None:
    gapless = open_gapless(project, home, now)
    pipeline = gapless.pipeline
    name = pipeline.processor(processor).name
    if isinstance(day, str):
        day = civil_today(pipeline, gapless.clock()) - timedelta(days=day == "yesterday")
    scope = scope_of(gapless, day, day, (), (name,))
    # Everything upstream is judged too, as far back as anything reads, so that causes have verdicts of their own.
    wide = replace(scope, first=day - timedelta(days=2 * pipeline.longest_lookback), processors=frozenset())
    look = gapless.engine(Policy(lift_storm=True)).scan(replace(wide, processors=_upstream(pipeline, name)))
    evidence = explain(pipeline, look, Target(name, day))
    place = words(**{"--project": project, "--home": home, "--now": now})
    if as_json:
        print_json(_as_json(pipeline, evidence, place))
    else:
        console = Console()
        console.print(_tree(pipeline, evidence))
        asks = evidence.verdict in IS_A_GAP
        roots = list({root.target: root for root in evidence.roots()}.values()) if asks else []
        for root in roots[:3]:
            gap = root.gap or Gap(root.target, root.verdict, root.seen, root.inputs, None)
            console.print(Text(f"Fix: {fix(pipeline, gap, place)}", style="bold"))
        if not roots and evidence.verdict is Verdict.PHANTOM:
            gap = Gap(evidence.target, evidence.verdict, evidence.seen, evidence.inputs, None)
            console.print(Text(f"Fix: {fix(pipeline, gap, place)}", style="bold"))
        elif not roots:
            console.print("Nothing needs fixing.")
    sys.exit(1 if evidence.verdict in IS_A_GAP else 0)


def _upstream(pipeline: Pipeline, name: str) -> frozenset[str]:
    found = {name}
    for processor in reversed(list(pipeline.processors.values())):
        if processor.name in found:
            found.update(processor.upstream)
    return frozenset(found)


def _facts(pipeline: Pipeline, evidence: Evidence) -> list[str]:
    processor = pipeline.processors[evidence.target.processor]
    seen = evidence.seen
    facts = [_amount(processor, seen)]
    facts += _faults(processor, seen)
    if seen.changed_at:
        facts.append(f"last written {from_micros(seen.changed_at):%Y-%m-%d %H:%M:%S} UTC")
    knows_its_inputs = processor.run == "sql" and processor.restate != "never"
    if knows_its_inputs and seen.rows:
        same = seen.inputs == evidence.inputs
        facts.append("built from what is there now" if same else "built from something else than is there now")
    facts += [_acknowledgement(word) for word in evidence.acknowledged]
    history = evidence.history
    if history and history.attempts:
        error = f": {history.last_error}" if history.last_error else ""
        facts.append(f"{history.attempts} attempts since it last landed{error}")
    return facts


def _amount(processor: Processor, seen: Seen) -> str:
    if not processor.expect:
        return f"{seen.rows:,} rows; it is a source and nothing is expected of it"
    if not seen.expected:
        return f"nothing is expected, {seen.rows:,} rows are there"
    share = f"{seen.covered:,} of {seen.expected:,} expected keys ({seen.coverage_pct:.1f} %)"
    return f"{share}, {seen.rows:,} rows"


def _faults(processor: Processor, seen: Seen) -> list[str]:
    counts = {
        "keys that nobody expects": seen.extra,
        f"rows where {processor.suspect}": seen.suspect,
        "rows that are not as they were published": seen.altered,
        "rows that repeat a key": seen.duplicates,
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _acknowledgement(word: Acknowledged) -> str:
    since = f" on {word.since:%Y-%m-%d}" if word.since else ""
    until = f"until {word.expires}" if word.expires else "without expiry"
    return f"acknowledged by {word.owner}{since}, {until}: {' '.join(word.reason.split())}"


def _label(evidence: Evidence) -> Text:
    return Text.assemble(
        (str(evidence.target.day), "bold"),
        " ",
        (evidence.target.processor, "bold"),
        "  ",
        (str(evidence.verdict), evidence.verdict.meaning.style),
    )


def _tree(pipeline: Pipeline, evidence: Evidence) -> Tree:
    tree = Tree(_label(evidence))
    _grow(tree, pipeline, evidence)
    return tree


def _grow(tree: Tree, pipeline: Pipeline, evidence: Evidence) -> None:
    if evidence.gap:
        tree.add(Text(reason(pipeline, evidence.gap)))
    for fact in _facts(pipeline, evidence):
        tree.add(Text(fact, style="bright_black"))
    for read in evidence.reads:
        counts = ", ".join(f"{verdict} {count}" for verdict, count in read.counts.items()) or "nothing there"
        line = f"reads {read.processor}, {read.days}: {counts}" + (" (written after it)" if read.rebuilt else "")
        branch = tree.add(Text(line))
        for cause in read.causes:
            _grow(branch.add(_label(cause)), pipeline, cause)


def _as_json(pipeline: Pipeline, evidence: Evidence, place: str) -> dict[str, Any]:
    gap = evidence.gap
    return {
        "processor": evidence.target.processor,
        "date": evidence.target.day.isoformat(),
        "verdict": str(evidence.verdict),
        "expected": evidence.seen.expected,
        "covered": evidence.seen.covered,
        "rows": evidence.seen.rows,
        "evidence": _facts(pipeline, evidence),
        "reason": reason(pipeline, gap) if gap else "",
        "fix": [
            fix(pipeline, root.gap or Gap(root.target, root.verdict, root.seen, root.inputs, None), place)
            for root in {r.target: r for r in evidence.roots()}.values()
        ],
        "reads": [
            {
                "processor": read.processor,
                "days": read.days,
                "counts": {str(verdict): count for verdict, count in read.counts.items()},
                "written_after": read.rebuilt,
                "causes": [_as_json(pipeline, cause, place) for cause in read.causes],
            }
            for read in evidence.reads
        ],
    }
