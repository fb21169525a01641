"""How long judging and planning take, and how much memory, for a hundred tables over ten years and a fifth of that.

Budgets (DESIGN section 14): under a second and 300 MB at 100 processors x 3,650 days, growing with the targets and no
faster. Every case runs in a process of its own. Run from the root of the project: python -m bench.judge
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from operator import xor
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIRST = date(2014, 1, 1)
PROCESSORS = 100
WIDTH = 5  # processors per level
KINDS = ("all complete", "every second missing")
CASES = [(kind, days) for days in (730, 3650) for kind in KINDS]


def run() -> dict[str, float]:
    """The figures that have budgets, and how much longer five times the days take."""
    cases = figures()
    full = {kind: cases[kind, 3650] for kind in KINDS}
    return {f"judge and plan, {kind}, s": full[kind]["s"] for kind in KINDS} | {
        "judge and plan, peak MB": max(case["MB"] for case in full.values()),
        **{f"judge and plan, {kind}, 3650 / 730 days": full[kind]["s"] / cases[kind, 730]["s"] for kind in KINDS},
    }


def figures() -> dict[tuple[str, int], dict[str, float]]:
    """Seconds, MB and sizes of every case."""
    found = {}
    for kind, days in CASES:
        answer = subprocess.run(
            [sys.executable, "-m", "bench.judge", kind, str(days)],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        found[kind, days] = json.loads(answer.stdout)
    return found


def measure(kind: str, days: int) -> dict[str, float]:
    """Judge and plan once; the observation is there already, as it is after a query."""
    from bench import peak_mb
    from gapless.judge.verdicts import judge
    from gapless.model import Ledger, Observation, Policy, Scope, Seen
    from gapless.plan.planner import plan
    from tests.twin import declare

    names = [f"p{i:02}" for i in range(PROCESSORS)]
    declared: dict[str, Any] = {}
    for number, name in enumerate(names):
        level = number // WIDTH
        above = names[(level - 1) * WIDTH : level * WIDTH] if level else []
        declared[name] = {"run": "sql" if above else "none"} | (
            {
                "expect": {"keys_of": above[0]},
                # three upstreams, with windows of 0, 60 and 120 days
                "upstream": {other: {"own_day": True, "lookback_days": 60 * i} for i, other in enumerate(above[:3])},
            }
            if above
            else {}
        )
    pipeline = declare(declared)
    now = datetime.combine(FIRST + timedelta(days=days), datetime.min.time(), UTC)
    changed = int(now.timestamp() * 1e6) - days
    chance = Random(1)
    columns: dict[str, list[Seen | None]] = {}
    for p in pipeline.processors.values():
        inputs = [0] * days
        for other, edge in p.upstream.items():
            totals = list(accumulate((seen.version if seen else 0 for seen in columns[other]), xor, initial=0))
            inputs = [had ^ totals[i + 1] ^ totals[max(i - edge.lookback_days, 0)] for i, had in enumerate(inputs)]
        every = 2 if kind != "all complete" and p.upstream else 0
        columns[p.name] = [
            Seen(10, 0)
            if every and i % every
            else Seen(10, 10, 10, version=chance.getrandbits(60), inputs=inputs[i], changed_at=changed + i)
            for i in range(days)
        ]
    observation = Observation(FIRST, columns, [None] * days, Ledger())
    scope, policy = Scope(FIRST, FIRST + timedelta(days=days - 1)), Policy(max_targets=10**6)
    rested = peak_mb()
    start = time.perf_counter()
    judgement = judge(pipeline, observation, policy, scope, now)
    judged = time.perf_counter()
    planned = plan(pipeline, judgement, observation.ledger, policy, now)
    done = time.perf_counter()
    return {
        "s": done - start,
        "judge s": judged - start,
        "plan s": done - judged,
        "MB": peak_mb(),
        "MB before": rested,
        "to run": planned.size,
        "gaps": len(judgement.gaps),
    }


def main() -> None:
    """Print a table, or measure one case where it is named."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
        return
    print(f"{'case':34}{'judge s':>9}{'plan s':>9}{'total s':>9}{'peak MB':>9}{'to run':>9}")
    for (kind, days), case in figures().items():
        row = [case[name] for name in ("judge s", "plan s", "s", "MB", "to run")]
        print(f"{f'{kind}, {days} days':34}{row[0]:9.3f}{row[1]:9.3f}{row[2]:9.3f}{row[3]:9.0f}{row[4]:9.0f}")


if __name__ == "__main__":
    main()
