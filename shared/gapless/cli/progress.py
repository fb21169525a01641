"""Progress on standard error: a bar for a person, lines for a log, nothing for a program."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Step = Callable[[str, int], None]


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def steps(title: str, total: int, *, quiet: bool = False, lines: bool = False) -> Iterator[Step]:
    """A bar of `total` steps; the caller says what it begins and how many steps more are done.

    Where nobody looks at a terminal there is no bar; with `lines` each beginning is a line with rate and time left.
    """
    if quiet or not total or not (lines or sys.stderr.isatty()):
        yield lambda _text, _done: None
    elif not sys.stderr.isatty():
        yield _lines(title, total)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(title, total=total)

            def advance(text: str, done: int) -> None:
                progress.update(task, description=f"{title}: {text}" if text else None, advance=done)

            yield advance


def _lines(title: str, total: int) -> Step:
    begin, so_far = time.monotonic(), 0

    def advance(text: str, done: int) -> None:
        nonlocal so_far
        so_far += done
        if text:
            click.echo(f"{title}: {text}; {pace(so_far, total, time.monotonic() - begin)}", err=True)

    return advance


def pace(done: int, total: int, seconds: float) -> str:
    """How far a work is, how fast it goes, and how long it will take at that rate."""
    if not done or seconds <= 0:
        return f"{done:,} of {total:,}"
    rate = done / seconds
    left = max(total - done, 0) / rate
    return f"{done:,} of {total:,}, {rate:,.0f}/s, {left:,.0f} s left"
