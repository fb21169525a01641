"""gapless ack: gaps that cannot be filled."""

from __future__ import annotations

from pathlib import Path

import click

from gapless.cli.options import Day, Listed, as_json, command, together, where

_range = together(
    click.option(
        "--processor",
        "--processors",
        "processors",
        type=Listed(),
        required=True,
        help="The processor, by name or short name; several with commas between.",
    ),
    click.option("--start-date", type=Day(), required=True, help="First date (YYYY-MM-DD, today, yesterday)."),
    click.option("--end-date", type=Day(), help="Last date, included. Default: the first."),
)


@command("add", does="gapless.cli.ack.add")
@_range
@click.option("--reason", required=True, help="Why the gap cannot be filled.")
@click.option("--owner", required=True, help="Who decided it: a person or a group.")
@click.option("--expires", type=Day(), help="The last date on which it holds. Default: it does not expire.")
@as_json
@where
def add() -> None:
    """Acknowledge the gaps of a processor in a range of dates.

    The same processor and range again replaces reason, owner and expiry, and acknowledges anew what has reopened.
    """


@command("remove", does="gapless.cli.ack.remove")
@_range
@as_json
@where
def remove() -> None:
    """Take an acknowledgement back: its gaps ask for work again.

    It is named by its processor and its exact range, as `gapless ack list` shows them.
    """


@command("list", does="gapless.cli.ack.list_them")
@click.option("--markdown", is_flag=True, help="Print Markdown, for a report.")
@as_json
@where
def list_them() -> None:
    """Show every acknowledgement: whether it holds, how many targets it leaves alone, who gave it and why."""


@command("export", does="gapless.cli.ack.export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@as_json
@where
def export() -> None:
    """Write all acknowledgements to FILE as YAML, for Git; - is standard output.

    The same acknowledgements are always the same bytes. Expired ones are part of it, removed ones are not.
    """


@command("import", does="gapless.cli.ack.import_file")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Check the file and say what is new; write nothing.")
@as_json
@where
def import_file() -> None:
    """Take the acknowledgements of a YAML FILE over into the ledger: all of them, or none where one is malformed.

    Taking a file again changes nothing. What is in the ledger and not in the file stays.
    """


@click.group("ack", commands=[add, remove, list_them, export, import_file])
def ack() -> None:
    """Declare gaps that cannot be filled, so that they are shown, left alone, and reopen by themselves.

    An acknowledged gap is never retried. It reopens when it expires, or when what it is made from is written again.
    """
