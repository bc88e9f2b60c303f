"""How the command line fails: one line on stderr that tells the remedy, exit 2 for a bad setting, 1 for the rest."""

import sys
from typing import NoReturn

import click


class SettingRefused(click.ClickException):
    """A setting that was understood but cannot be used; the message tells the remedy."""

    exit_code = 2


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command with the arguments of the process; exit 0, 1 (it could not be done) or 2 (a setting is wrong)."""
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as bare:
        where = bare.ctx.command_path
        _fail(f"No command is given. See '{where} --help'.", 2)
    except click.UsageError as wrong:
        where = wrong.ctx.command_path if wrong.ctx else name
        _fail(f"{_sentence(wrong.format_message())} See '{where} --help'.", 2)
    except click.ClickException as failed:
        _fail(failed.format_message(), failed.exit_code)
    except click.Abort:
        _fail("Interrupted.", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(line: str, status: int) -> NoReturn:
    click.echo(f"Error: {' '.join(line.split())}", err=True)
    sys.exit(status)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", ")")) else f"{text}."
