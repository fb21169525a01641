"""Progress on standard error: a bar for a person, nothing for a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def steps(title: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[str, int], None]]:
    """A bar of `total` steps; the caller says what it is doing and how many steps that finished."""
    if quiet or not sys.stderr.isatty() or not total:
        yield lambda _text, _done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)

        def advance(text: str, done: int) -> None:
            progress.update(task, description=f"{title}: {text}", advance=done)

        yield advance
