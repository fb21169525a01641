"""gapless plan"""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console

from gapless.cli.chosen import choose, print_json, refuse_an_empty_warehouse, words
from gapless.cli.show.plan import plan_as_json, plan_as_markdown, show_plan
from gapless.model import Policy


def run(markdown: bool, force: bool, lift_storm: bool, **options: Any) -> None:
    chosen = choose(**options)
    engine = chosen.gapless.engine(Policy(force=force, lift_storm=lift_storm))
    look = engine.scan(chosen.scope)
    refuse_an_empty_warehouse(chosen.gapless.pipeline, look)
    same = chosen.words + words(**{"--force": force, "--lift-storm": lift_storm})
    price = engine.price(look.plan)
    if chosen.as_json:
        print_json(plan_as_json(look.plan) | {"bytes": price})
    elif markdown:
        click.echo(plan_as_markdown(look.plan, price, same))
    else:
        show_plan(Console(), look.plan, price)
        if look.plan.waves:
            click.echo(f"Apply exactly this with: gapless apply{same} --checksum {look.plan.checksum}")
    sys.exit(0 if look.judgement.complete else 1)
