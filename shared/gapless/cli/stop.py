"""gapless stop"""

from __future__ import annotations

from pathlib import Path

import click

from gapless.declare.settings import read_settings
from gapless.local import warehouse as local


@click.command("stop")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Folder of the embedded warehouse.")
def command(home: Path | None) -> None:
    """Stop the embedded warehouse; its data stays."""
    settings = read_settings(home=home)
    click.echo(f"stopped {settings.home}" if local.stop(settings.home) else f"nothing was running in {settings.home}")
