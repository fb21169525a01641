"""python -m gapless.stack up | down | status | logs"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import click

from gapless.errors import GaplessError
from gapless.stack import choice
from gapless.stack.stack import DEFAULT_HOME, FIRST_PORT, Addresses, Stack

_home = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_HOME, show_default=True,
    help="Folder of the stack: data, logs, and what runs.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def stack() -> None:
    """The whole system on this machine."""


@stack.command()
@_home
@click.option("--port", default=FIRST_PORT, show_default=True, help="The first port; one that is taken is passed over.")
def up(home: Path, port: int) -> None:
    """Start everything that does not run."""
    whole = Stack(home, port)
    addresses = whole.up()
    click.echo(_told(whole, addresses))


@stack.command()
@_home
def down(home: Path) -> None:
    """Stop everything; the data stays."""
    stopped = Stack(home).down()
    click.echo(f"stopped {', '.join(stopped)}" if stopped else f"nothing was running in {home}")


@stack.command()
@_home
def status(home: Path) -> None:
    """What runs; ends with 1 where something does not."""
    found = Stack(home).status()
    for name, alive in found.items():
        click.echo(f"{name:<18} {'running' if alive else 'not running'}")
    sys.exit(0 if all(found.values()) and len(found) > 1 else 1)


@stack.command()
@_home
@click.option("--lines", default=100, show_default=True)
def logs(home: Path, lines: int) -> None:
    """The newest lines of all functions, of the scheduler and of the stack's own Pub/Sub, in the order of time."""
    found = []
    for path in sorted((Stack(home).home / "logs").glob("*.log")):
        when = ""
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                when = entry["time"]
                text = f"{when[11:19]} {entry['severity']:<7} {path.stem:<17} {entry['message']}"
            except (ValueError, KeyError, TypeError):
                if path.stem == "pubsub":
                    continue  # the official emulator has a line for every header of every request
                text = f"{'':8} {'':7} {path.stem:<17} {line}"
            found.append((when, text))
    found.sort(key=lambda each: each[0])
    click.echo("\n".join(text for _, text in found[-lines:]))


def _told(whole: Stack, addresses: Addresses) -> str:
    home = _shown(whole.home)
    place = "" if home == str(DEFAULT_HOME) else f" --home {home}"
    topic = f"http://{addresses.pubsub}/v1/projects/{addresses.project}/topics"
    dead = f"http://{addresses.pubsub}/v1/projects/{addresses.project}/subscriptions/gapless-dead-letter:pull"
    phase3 = addresses.functions.get("phase2_to_phase3", "URL")
    json_type = "-H 'Content-Type: application/json'"
    message = json.dumps({whole.pipeline.messages.date: "2023-01-10"})
    event = base64.b64encode(message.encode()).decode()
    width = max(map(len, addresses.functions)) + 2
    lines = [
        f"{'warehouse':<{width}}{addresses.warehouse}",
        f"{'pubsub':<{width}}{addresses.pubsub}   {choice.told(choice.chosen())}",
        *(f"{name:<{width}}{url}" for name, url in addresses.functions.items()),
        *(f"{name:<{width}}not started: it has no main.py yet" for name in addresses.absent),
        "",
        "Load raw data, and look at it:",
        f"  . {home}/env",
        "  gapless load FOLDER && gapless scan",
        "Let a phase look at everything, or at a range of dates:",
        f"  curl {json_type} {phase3} -d '{{\"scan_for_gaps\": true}}'",
        f'  curl {json_type} {phase3} -d \'{{"start_date": "2023-01-10", "end_date": "2023-01-12"}}\'',
        "Say that the raw data of a date is there:",
        f"  curl {json_type} {topic}/{whole.first_topic}:publish \\",
        f'    -d \'{{"messages": [{{"data": "{event}"}}]}}\'   # {message} in base64',
        "See the messages that nobody could do anything with:",
        f"  curl {json_type} {dead} -d '{{\"maxMessages\": 10}}'",
        "",
        f"Logs: {home}/logs, in order of time with: python -m gapless.stack logs{place}",
        f"Stop with: python -m gapless.stack down{place}",
    ]
    return "\n".join(lines)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def main() -> None:
    try:
        stack()
    except GaplessError as error:
        click.echo(f"stack: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
