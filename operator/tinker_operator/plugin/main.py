"""`kubectl tinker`: the command, which kubectl finds by the name of its script, `kubectl-tinker`.

What goes wrong is one line on stderr: what happened, and what to do about it.
"""

import sys
from typing import NoReturn

import click

from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.engine.faults import described
from tinker_operator.engine.kube_errors import (
    CredentialsInvalid,
    KubeError,
    KubeForbidden,
    KubeUnavailable,
    WriteConflict,
)
from tinker_operator.plugin.checkpoints_command import checkpoints
from tinker_operator.plugin.completion import COMPLETE_VARIABLE, completion
from tinker_operator.plugin.declare_commands import reconcile, recover, resume, suspend
from tinker_operator.plugin.download_command import download
from tinker_operator.plugin.endings import BAD_ARGUMENT, FAILED, Ending
from tinker_operator.plugin.history_command import history
from tinker_operator.plugin.plan_command import plan
from tinker_operator.plugin.share_commands import publish, unpublish
from tinker_operator.plugin.status_command import status
from tinker_operator.plugin.validate_command import validate
from tinker_operator.tinker.errors import TinkerError


@click.group(context_settings={"max_content_width": 100})
@click.version_option(package_name="tinker-operator")
def command() -> None:
    """Tells what tinker-operator does with training runs and checkpoints, and why; and tells it what you want."""


COMMANDS = (
    status,
    history,
    checkpoints,
    plan,
    recover,
    validate,
    download,
    publish,
    unpublish,
    suspend,
    resume,
    reconcile,
    completion,
)
for one in COMMANDS:
    command.add_command(one)


def main() -> NoReturn:
    """Runs the command and exits: 0 done, 1 could not, 2 an argument is wrong, 3 the answer is no."""
    try:
        ended = command.main(prog_name="kubectl tinker", complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except click.UsageError as error:
        _end(BAD_ARGUMENT, f"{error.format_message()} See {error.ctx.command_path if error.ctx else ''} --help.")
    except InvalidSettings as error:
        _end(BAD_ARGUMENT, f"{error}.")
    except CredentialsInvalid as error:
        _end(BAD_ARGUMENT, str(error))
    except Ending as error:
        _end(error.status, str(error))
    except KubeError as error:
        _end(FAILED, f"{error.message} {_remedy(error)}")
    except TinkerError as error:
        _end(FAILED, str(error))
    except (click.Abort, KeyboardInterrupt):
        _end(FAILED, "interrupted.")
    except Exception as error:  # noqa: BLE001 - Python's own traceback would quote it, secrets and all
        told = ", ".join(described(error).values())
        _end(FAILED, f"a defect: {told}. Report it with this line.")
    sys.exit(ended if isinstance(ended, int) else 0)


def _remedy(error: KubeError) -> str:
    """What the operator does by itself, a person has to do: its own remedies would mislead."""
    match error:
        case WriteConflict():
            return "Look at it again, then repeat the command."
        case KubeUnavailable():
            return "Try again; check the address in the kubeconfig and the network if it lasts."
        case KubeForbidden():
            return "Ask for that right, or choose an account that has it with --context."
        case _:
            return error.remedy


def _end(status: int, message: str) -> NoReturn:
    click.echo(f"kubectl tinker: {message}", err=True)
    sys.exit(status)
