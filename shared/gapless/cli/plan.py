"""gapless plan"""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console

from gapless.cli.options import choose, print_json, refuse_an_empty_warehouse, scoped, words
from gapless.cli.present import plan_as_json, plan_as_markdown, show_plan
from gapless.model import Policy


@click.command("plan")
@click.option("--markdown", is_flag=True, help="Print the plan as Markdown, for a review.")
@click.option("--force", is_flag=True, help="Plan what is in scope even where it is complete or exhausted.")
@click.option("--lift-storm", is_flag=True, help="Plan even where an implausible share looks lost.")
@scoped
def command(markdown: bool, force: bool, lift_storm: bool, **options: Any) -> None:
    """Show what `apply` would run, in which order, why, and what it would read. Changes nothing."""
    chosen = choose(**options)
    engine = chosen.gapless.engine(Policy(force=force, lift_storm=lift_storm))
    look = engine.scan(chosen.scope)
    refuse_an_empty_warehouse(look)
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
