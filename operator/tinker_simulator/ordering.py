"""How a command orders a fault, and the options that several of them have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tinker_simulator.asking import ask, url_option
from tinker_simulator.faults import FaultKind

Command = TypeVar("Command", bound=Callable[..., Any])

route_option = click.option(
    "--route",
    help="Regular expression searched for in 'METHOD /path'. Default: everything; for half-page, every listing.",
)


def limits(command: Command) -> Command:
    """The options that say which requests a fault meets, and how many."""
    for option in (
        click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="In force for this long."),
        click.option("--every", type=click.IntRange(1), help="Meets each so-manieth: 50 is 2 %."),
        click.option("--count", type=click.IntRange(1), help="Meets this many requests."),
        route_option,
        url_option,
    ):
        command = option(command)
    return command


def order(url: str, kind: FaultKind, rule: dict[str, Any]) -> None:
    """Put a fault in force.

    Raises:
        click.UsageError: it is limited in two ways.
        click.ClickException: the simulator cannot be asked, or refuses.
    """
    if rule.get("count") is not None and rule.get("seconds") is not None:
        raise click.UsageError("Give --count or --seconds, not both.")
    given = {name: value for name, value in rule.items() if value is not None}
    ask(url, "POST", "faults", {"kind": kind, **given})
