"""What a cold start of each function costs before any client is made: imports, in a process of its own.

Budgets (DESIGN section 14): under a second and 120 MB. Run from the root of the project: python -m bench.cold
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from gapless.declare.catalogue import load_catalogue

ROOT = Path(__file__).resolve().parents[1]
BUDGET_S, BUDGET_MB = 1.0, 120.0
_PROGRAM = """
import importlib, json, sys, time
begin = time.perf_counter()
importlib.import_module(sys.argv[1])
spent = time.perf_counter() - begin
from bench import peak_mb
print(json.dumps({"s": spent, "MB": peak_mb()}))
"""


def run(rounds: int = 3) -> dict[str, float]:
    """The worst function's figures, which have budgets; and those of the module that makes Google's clients."""
    functions, clients = figures(rounds), _measure("gapless.gcp.bigquery", rounds)
    return {
        "cold import of a function, s": max(case["s"] for case in functions.values()),
        "cold import of a function, MB": max(case["MB"] for case in functions.values()),
        "cold import of the BigQuery client, s": clients["s"],
        "cold import of the BigQuery client, MB": clients["MB"],
    }


def figures(rounds: int = 3) -> dict[str, dict[str, float]]:
    """Medians for every function of the catalogue."""
    return {name: _measure(f"gapless.functions.{name}", rounds) for name in load_catalogue().functions}


def _measure(module: str, rounds: int) -> dict[str, float]:
    cases = []
    for _ in range(rounds + 1):
        answer = subprocess.run(
            [sys.executable, "-c", _PROGRAM, module],
            check=True, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        cases.append(json.loads(answer.stdout))
    warm = cases[1:]  # the first may have compiled the sources, which a deployed image has done already
    return {name: statistics.median(case[name] for case in warm) for name in warm[0]}


def main() -> None:
    """Print a table; ends with 1 where a budget is exceeded."""
    cases = figures() | {"(BigQuery client)": _measure("gapless.gcp.bigquery", 3)}
    print(f"{'function':24}{'s':>8}{'MB':>8}   budget {BUDGET_S:g} s, {BUDGET_MB:g} MB")
    over = False
    for name, case in cases.items():
        exceeded = not name.startswith("(") and (case["s"] > BUDGET_S or case["MB"] > BUDGET_MB)
        over |= exceeded
        print(f"{name:24}{case['s']:8.2f}{case['MB']:8.0f}{'   OVER' if exceeded else ''}")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
