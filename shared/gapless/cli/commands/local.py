"""Commands about a warehouse on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.options import command, home


@command("demo", does="gapless.cli.demo.run")
@click.option("--data", type=click.Path(path_type=Path), help="A folder of real seasons instead of the generated one.")
@click.option("--seed", default=7, show_default=True, help="Seed of the generated season.")
@click.option("--keep", is_flag=True, help="Keep the warehouse running afterwards, to look around.")
@home("Folder for the demo's warehouse, made anew.")
def demo() -> None:
    """Load generated data, break it as the documented incidents did, find the damage, repair it, and check the result.

    Works in a warehouse of its own, which is made anew each time. Exit code 0 only if everything that should be
    complete is complete and what was repaired is, byte for byte, what was there before.
    """


@command("stop", does="gapless.cli.stop.run")
@home("Folder of the embedded warehouse.")
def stop() -> None:
    """Stop the embedded warehouse; its data stays."""
