"""gapless stop"""

from __future__ import annotations

from pathlib import Path

import click

from gapless.declare.settings import read_settings
from gapless.local import warehouse as local


def run(home: Path | None) -> None:
    settings = read_settings(home=home)
    click.echo(f"stopped {settings.home}" if local.stop(settings.home) else f"nothing was running in {settings.home}")
