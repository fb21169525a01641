"""The `gapless` command: one module per subcommand, errors as one clear sentence, documented exit codes."""

from __future__ import annotations

import importlib
import sys
import traceback

import click

from gapless import __version__
from gapless.errors import GaplessError

# Loaded when called, so that --help is instant.
COMMANDS = {
    "init": "gapless.cli.init",
    "load": "gapless.cli.load",
    "scan": "gapless.cli.scan",
    "plan": "gapless.cli.plan",
    "apply": "gapless.cli.apply",
    "backfill": "gapless.cli.backfill",
    "repair": "gapless.cli.repair",
    "explain": "gapless.cli.explain",
    "validate": "gapless.cli.validate",
    "report": "gapless.cli.report",
    "history": "gapless.cli.history",
    "ack": "gapless.cli.ack",
    "cleanup": "gapless.cli.cleanup",
    "clean-phantoms": "gapless.cli.clean_phantoms",
    "restore": "gapless.cli.restore",
    "doctor": "gapless.cli.doctor",
    "demo": "gapless.cli.demo",
    "stop": "gapless.cli.stop",
}
HELP = """Keep a date-partitioned pipeline complete: find what is missing, partial or built on bad data, and repair it.

\b
Exit codes:
  0  complete: nothing asks for anything
  1  gaps (or a repair that did not land)
  2  wrong use: an option, a date, a file
  3  refused for safety; the message has the numbers
  4  could not observe: the tables could not be read, or hold nothing at all
  70 a bug in Gapless
"""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        return importlib.import_module(module).command if module else None


@click.group(cls=_Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gapless")
def gapless() -> None:
    """The root of all commands."""


def main() -> None:
    """Run a command; what Gapless can explain is printed as one sentence."""
    try:
        code = gapless(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except click.Abort:
        click.echo("stopped", err=True)
        code = 1
    except GaplessError as error:
        click.echo(f"gapless: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        code = 0
    except Exception:  # noqa: BLE001  (the outermost edge: a bug must not look like "there are gaps")
        traceback.print_exc()
        click.echo("gapless: this is a bug in Gapless; the lines above say where", err=True)
        code = 70
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
