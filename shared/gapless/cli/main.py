"""The `gapless` command: its subcommands in order, errors as one clear sentence, documented exit codes."""

from __future__ import annotations

import sys
import traceback

import click

from gapless import __version__
from gapless.cli.commands import acknowledgements, local, questions, reports, tasks
from gapless.errors import GaplessError

COMMANDS: dict[str, click.Command] = {
    str(each.name): each
    for each in (
        tasks.init,
        tasks.load,
        questions.scan,
        questions.plan,
        tasks.apply,
        tasks.backfill,
        tasks.repair,
        questions.explain,
        questions.validate,
        reports.report,
        questions.history,
        acknowledgements.ack,
        tasks.cleanup,
        tasks.clean_phantoms,
        tasks.restore,
        questions.doctor,
        local.demo,
        local.stop,
    )
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


class _InOrder(click.Group):
    """Lists commands in the order of the work, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)


@click.group(cls=_InOrder, commands=COMMANDS, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
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
