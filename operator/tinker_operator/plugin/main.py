"""`kubectl tinker`: the command, which kubectl finds by the name of its script, `kubectl-tinker`.

What goes wrong is one line on stderr: what happened, and what to do about it.
"""

import sys
from typing import NoReturn

import click

from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.engine.faults import described
from tinker_operator.engine.kube_errors import CredentialsInvalid, KubeError
from tinker_operator.plugin.plan_command import plan
from tinker_operator.tinker.errors import TinkerError

BAD_ARGUMENT = 2
FAILED = 1


@click.group()
@click.version_option(package_name="tinker-operator")
def command() -> None:
    """Tells what tinker-operator does with training runs and checkpoints, and why."""


command.add_command(plan)


def main() -> NoReturn:
    """Runs the command and exits: 0 when it did what was asked, 1 when it could not, 2 when an argument is wrong."""
    try:
        status = command.main(prog_name="kubectl tinker", standalone_mode=False)
    except click.UsageError as error:
        _end(BAD_ARGUMENT, f"{error.format_message()} See {error.ctx.command_path if error.ctx else ''} --help.")
    except InvalidSettings as error:
        _end(BAD_ARGUMENT, f"{error}.")
    except CredentialsInvalid as error:
        _end(BAD_ARGUMENT, str(error))
    except (KubeError, TinkerError) as error:
        _end(FAILED, str(error))
    except (click.Abort, KeyboardInterrupt):
        _end(FAILED, "interrupted.")
    except Exception as error:  # noqa: BLE001 - Python's own traceback would quote it, secrets and all
        told = ", ".join(described(error).values())
        _end(FAILED, f"a defect: {told}. Report it with this line.")
    sys.exit(status if isinstance(status, int) else 0)


def _end(status: int, message: str) -> NoReturn:
    click.echo(f"kubectl tinker: {message}", err=True)
    sys.exit(status)
