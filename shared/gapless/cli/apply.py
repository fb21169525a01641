"""gapless apply"""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from gapless.cli.chosen import choose, print_json, refuse_an_empty_warehouse
from gapless.cli.present import show_look
from gapless.cli.progress import steps
from gapless.cli.show.plan import show_held
from gapless.cli.show.report import report_as_json, show_report
from gapless.engine import ApplyReport, Engine, Look
from gapless.model import Policy


def run(checksum: str, force: bool, lift_storm: bool, **options: Any) -> None:
    chosen = choose(**options)
    engine = chosen.gapless.engine(Policy(force=force, lift_storm=lift_storm))
    look = engine.scan(chosen.scope)
    refuse_an_empty_warehouse(chosen.gapless.pipeline, look)
    report = apply_with_progress(engine, look, checksum, quiet=chosen.as_json)
    after = report.after or look
    if chosen.as_json:
        print_json(report_as_json(chosen.gapless.pipeline, report, chosen.place) | {"checksum": look.plan.checksum})
    else:
        console = Console()
        show_report(console, report)
        show_held(console, look.plan)
        show_look(console, chosen.gapless.pipeline, after, chosen.place, calendar=False)
        if after.judgement.complete:
            console.print("[green]Complete: nothing asks for anything.[/green]")
    sys.exit(0 if after.judgement.complete and not report.failed else 1)


def apply_with_progress(engine: Engine, look: Look, checksum: str = "", *, quiet: bool = False) -> ApplyReport:
    """Apply a plan under a progress bar."""
    with steps("repairing", look.plan.reach, quiet=quiet) as step:
        return engine.apply(look, checksum, step)
