"""gapless scan"""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from gapless.cli.chosen import choose, print_json, refuse_an_empty_warehouse, words
from gapless.cli.present import look_as_json, show_look
from gapless.cli.show.plan import show_held
from gapless.model import Policy


def run(limit: int, lift_storm: bool, **options: Any) -> None:
    chosen = choose(**options)
    look = chosen.gapless.engine(Policy(lift_storm=lift_storm)).scan(chosen.scope)
    refuse_an_empty_warehouse(chosen.gapless.pipeline, look)
    if chosen.as_json:
        print_json(look_as_json(chosen.gapless.pipeline, look, chosen.place))
    else:
        console = Console()
        show_look(console, chosen.gapless.pipeline, look, chosen.place, limit=limit)
        if look.plan.waves:
            same = chosen.words + words(**{"--lift-storm": lift_storm})
            size = f"{look.plan.size:,} targets in {len(look.plan.waves)} waves"
            console.print(f"Repair with: gapless apply{same}   ({size})", highlight=False)
        elif look.plan.held:
            show_held(console, look.plan)
        elif look.judgement.complete:
            console.print("[green]Complete: nothing asks for anything.[/green]")
    sys.exit(0 if look.judgement.complete else 1)
