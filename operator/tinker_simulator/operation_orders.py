"""The commands that order faults of operations, and which of its possible answers the service gives.

`orders` puts them into the group `fault`.
"""

import json
import re
from typing import Any

import click

from tinker_simulator.asking import ask, url_option
from tinker_simulator.behaviour import FlagValue, QueueState
from tinker_simulator.faults import FaultKind
from tinker_simulator.ordering import Command, order
from tinker_simulator.records import FailureCategory

_FLAG = "NAME=VALUE"


def _operations(command: Command) -> Command:
    for option in (
        click.option("--count", type=click.IntRange(1), help="Meets this many operations."),
        click.option(
            "--operation",
            "route",
            default=".*",
            show_default=True,
            help="Regular expression searched for in 'OPERATION REQUEST_ID', as in '^optim_step '.",
        ),
        url_option,
    ):
        command = option(command)
    return command


@click.command()
@url_option
@click.option("--run", required=True, help="Id of the training run.")
@click.option("--at-step", type=click.IntRange(1), help="Not at once, but at this optimizer step.")
def corrupt(*, url: str, run: str, at_step: int | None) -> None:
    """Flag a training run as corrupted, for good."""
    if at_step is None:
        ask(url, "POST", "corrupt", {"run": run})
    else:
        order(url, FaultKind.CORRUPT, {"route": f"^{re.escape(run)}$", "step": at_step})


@click.command()
@_operations
@click.option("--category", type=click.Choice([one.value for one in FailureCategory]), help="Whose fault it is.")
@click.option("--message", help="What the client is told.")
def fail(*, url: str, **rule: Any) -> None:
    """Let operations end with an error."""
    order(url, FaultKind.FAIL, rule)


@click.command()
@_operations
@click.option("--seconds", "delay", type=click.FloatRange(0, 600, min_open=True), required=True, help="How much later.")
def slow(*, url: str, **rule: Any) -> None:
    """Let operations begin later than they could."""
    order(url, FaultKind.SLOW, rule)


@click.command("lose-result")
@_operations
@click.option("--done", is_flag=True, help="What was asked for is done, and only its result lost.")
def lose_result(*, url: str, done: bool, **rule: Any) -> None:
    """Lose the results of operations: polls are answered 410."""
    order(url, FaultKind.LOSE_RESULT, {**rule, "when": "after" if done else "before"})


@click.command()
@url_option
@click.option("--hold-seconds", type=click.FloatRange(0, 40), help="How long a poll is held.")
@click.option("--pending", type=click.Choice(["408", "try-again"]), help="How it is answered then.")
@click.option("--queue-state", type=click.Choice([state.value for state in QueueState]), help="Said beside.")
@click.option("--queue-state-reason", help="And why.")
@click.option("--inline-bytes", type=click.IntRange(0), help="Larger results are announced by their size first.")
@click.option("--corrupted", type=click.Choice(["refuse", "fail"]), help="What operations on a corrupted run do.")
@click.option("--sample-queue", type=click.IntRange(0), help="More samples than this are answered 429.")
@click.option("--client-config", multiple=True, metavar=_FLAG, help="A flag of client/config; repeat for more.")
@click.option("--dynamic-config", multiple=True, metavar=_FLAG, help="A flag of client/dynamic_config.")
def behaviour(*, url: str, client_config: tuple[str, ...], dynamic_config: tuple[str, ...], **chosen: Any) -> None:
    """Choose how the service answers; what is left out is as in the beginning, and `clear` ends it."""
    flags = {"client_config": _flags(client_config), "dynamic_config": _flags(dynamic_config)}
    ask(url, "PUT", "behaviour", {name: value for name, value in {**chosen, **flags}.items() if value is not None})


def _flags(given: tuple[str, ...]) -> dict[str, FlagValue]:
    flags: dict[str, FlagValue] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not {_FLAG}.")
        flags[name] = _value(value)
    return flags


def _value(text: str) -> FlagValue:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
