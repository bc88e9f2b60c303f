"""The commands that order faults of a simulator which serves with `--admin`, and how it answers besides."""

from typing import Any

import click

from tinker_simulator.asking import ask, url_option
from tinker_simulator.faults import Breakage, FaultKind
from tinker_simulator.operation_orders import behaviour, corrupt, fail, lose_result, slow
from tinker_simulator.ordering import limits, order, route_option


@click.group()
def fault() -> None:
    """Order faults. Without --count or --seconds a fault stays in force until `clear`."""


@fault.command()
@url_option
@click.option("--run", required=True, help="Id of the training run.")
def lose(*, url: str, run: str) -> None:
    """Make a training run unknown; its checkpoints can still be loaded by their paths."""
    ask(url, "POST", "lose", {"run": run})


@fault.command("break-checkpoint")
@url_option
@click.option("--path", required=True, help="tinker://RUN/weights/NAME")
@click.option("--how", type=click.Choice([how.value for how in Breakage]), required=True, help="What happens to it.")
def break_checkpoint(*, url: str, path: str, how: str) -> None:
    """Break a checkpoint's content behind its listing; prints the file that was broken."""
    click.echo(ask(url, "POST", "break-checkpoint", {"path": path, "how": how})["file"])


@fault.command()
@limits
@click.option("--status", type=click.IntRange(400, 599), required=True, help="Status to answer with.")
@click.option("--retry-after", type=click.FloatRange(0), help="Seconds for the Retry-After header.")
def http(*, url: str, **rule: Any) -> None:
    """Answer with an error instead of doing what was asked."""
    order(url, FaultKind.HTTP, rule)


@fault.command()
@url_option
@route_option
@click.option("--count", type=click.IntRange(1), help="Meets this many requests.")
@click.option("--seconds", "delay", type=click.FloatRange(0, 600, min_open=True), required=True, help="The delay.")
def latency(*, url: str, **rule: Any) -> None:
    """Wait before looking at a request."""
    order(url, FaultKind.LATENCY, rule)


@fault.command()
@limits
@click.option(
    "--when",
    type=click.Choice(["before", "after", "midway"]),
    default="before",
    show_default=True,
    help="Before the request is acted on, after it was, or midway through the answer.",
)
def drop(*, url: str, **rule: Any) -> None:
    """Close the connection."""
    order(url, FaultKind.DROP, rule)


@fault.command()
@limits
def garbage(*, url: str, **rule: Any) -> None:
    """Answer 200 with something that is not JSON, without doing what was asked."""
    order(url, FaultKind.GARBAGE, rule)


@fault.command("half-body")
@limits
def half_body(*, url: str, **rule: Any) -> None:
    """Do what was asked and answer half of the body, as if that were all of it."""
    order(url, FaultKind.HALF_BODY, rule)


@fault.command("half-page")
@limits
def half_page(*, url: str, **rule: Any) -> None:
    """Leave out half of a listing's rows, though its total count says more."""
    order(url, FaultKind.HALF_PAGE, rule)


@fault.command("load-failure")
@url_option
@click.option("--path", "route", default=".*", show_default=True, help="Regular expression for the checkpoint's path.")
@click.option("--count", type=click.IntRange(1), help="Meets this many loads.")
def load_failure(*, url: str, **rule: Any) -> None:
    """Let loads of a checkpoint fail, by the service's own fault."""
    order(url, FaultKind.LOAD_FAILURE, rule)


@fault.command("advance-clock")
@url_option
@click.option("--seconds", type=click.FloatRange(0), required=True, help="How far.")
def advance_clock(*, url: str, seconds: float) -> None:
    """Move the simulator's time forward, so that checkpoints expire; prints the new time."""
    click.echo(ask(url, "POST", "clock", {"advance_seconds": seconds})["now"])


@fault.command()
@url_option
def clear(*, url: str) -> None:
    """End every fault; what was corrupted, lost or broken stays so."""
    ask(url, "DELETE", "faults", None)


for _command in (corrupt, fail, slow, lose_result, behaviour):
    fault.add_command(_command)
