"""gapless load"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gapless.cli.chosen import open_gapless, print_json
from gapless.cli.progress import steps
from gapless.errors import GaplessError
from gapless.files import Intake, read
from gapless.files.kinds import declared_kinds
from gapless.judge.verdicts import civil_today
from gapless.messages import completion
from gapless.tasks.load import Loaded, load
from gapless.wiring import Gapless


def run(path: Path, as_json: bool, project: str | None, home: Path | None, now: str | None) -> None:
    gapless = open_gapless(project, home, now)
    intake, loaded = load_path(gapless, path, quiet=as_json)
    if as_json:
        print_json(
            {
                "loaded": [item._asdict() for item in loaded],
                "skipped": [{"file": s.file, "reason": s.reason} for s in intake.skipped],
                "notes": list(intake.notes),
            }
        )
        return
    for item in loaded:
        click.echo(f"{item.processor}: {item.rows:,} rows, {item.dates:,} dates, {item.first} to {item.last}")
    for note in intake.notes:
        click.echo(f"note: {note}")
    for skipped in intake.skipped:
        click.echo(f"passed over {skipped.file}: {skipped.reason}")


def load_path(gapless: Gapless, path: Path, *, quiet: bool = False) -> tuple[Intake, list[Loaded]]:
    """Read, check and write what a path holds; raises `RejectedFile` before anything is written."""
    pipeline = gapless.pipeline
    intake = read(path, pipeline, declared_kinds(pipeline), civil_today(pipeline, gapless.clock()))
    gapless.create()
    loaded: list[Loaded] = []
    with steps("loading", len(intake.rows), quiet=quiet) as step:
        for raw in intake.rows:
            loaded.append(load(gapless.warehouse, gapless.pipeline, raw, gapless.clock()))
            _announce(gapless, raw)
            step(raw.processor, 1)
    return intake, loaded


def _announce(gapless: Gapless, raw: Any) -> None:
    processor = gapless.pipeline.processor(raw.processor)
    topic = gapless.pipeline.topic_of(processor)
    if topic:
        message = completion(
            gapless.pipeline.messages, processor, raw.dates, raw.rows.num_rows, "load", gapless.clock()
        )
        try:
            gapless.bus.publish(topic, message)
        except GaplessError as error:  # the rows are there, and the next scan finds them
            click.echo(f"loaded, but not announced: {error}", err=True)
