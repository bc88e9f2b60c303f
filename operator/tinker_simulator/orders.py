"""The commands that talk to a simulator which serves with `--admin`: faults, calls, seeding."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
import httpx

from tinker_simulator.faults import Breakage, FaultKind
from tinker_simulator.settings import BASE_MODELS, DEFAULT_OWNER

Command = TypeVar("Command", bound=Callable[..., Any])

_SECONDS_TO_ANSWER = 60.0

url_option = click.option(
    "--url", required=True, envvar="TINKER_SIMULATOR_URL", help="Where the simulator serves, as it said when it began."
)

route_option = click.option(
    "--route",
    help="Regular expression searched for in 'METHOD /path'. Default: everything; for half-page, every listing.",
)


def limits(command: Command) -> Command:
    """The options that say which requests a fault meets, and how many."""
    for option in (
        click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="In force for this long."),
        click.option("--count", type=click.IntRange(1), help="Meets this many requests."),
        route_option,
        url_option,
    ):
        command = option(command)
    return command


@click.group()
def fault() -> None:
    """Order faults. Without --count or --seconds a fault stays in force until `clear`."""


@fault.command()
@url_option
@click.option("--run", required=True, help="Id of the training run.")
def corrupt(*, url: str, run: str) -> None:
    """Flag a training run as corrupted, for good."""
    _ask(url, "POST", "corrupt", {"run": run})


@fault.command()
@url_option
@click.option("--run", required=True, help="Id of the training run.")
def lose(*, url: str, run: str) -> None:
    """Make a training run unknown; its checkpoints can still be loaded by their paths."""
    _ask(url, "POST", "lose", {"run": run})


@fault.command("break-checkpoint")
@url_option
@click.option("--path", required=True, help="tinker://RUN/weights/NAME")
@click.option("--how", type=click.Choice([how.value for how in Breakage]), required=True, help="What happens to it.")
def break_checkpoint(*, url: str, path: str, how: str) -> None:
    """Break a checkpoint's content behind its listing; prints the file that was broken."""
    click.echo(_ask(url, "POST", "break-checkpoint", {"path": path, "how": how})["file"])


@fault.command()
@limits
@click.option("--status", type=click.IntRange(400, 599), required=True, help="Status to answer with.")
@click.option("--retry-after", type=click.FloatRange(0), help="Seconds for the Retry-After header.")
def http(*, url: str, **rule: Any) -> None:
    """Answer with an error instead of doing what was asked."""
    _order(url, FaultKind.HTTP, rule)


@fault.command()
@url_option
@route_option
@click.option("--count", type=click.IntRange(1), help="Meets this many requests.")
@click.option("--seconds", "delay", type=click.FloatRange(0, 600, min_open=True), required=True, help="The delay.")
def latency(*, url: str, **rule: Any) -> None:
    """Wait before looking at a request."""
    _order(url, FaultKind.LATENCY, rule)


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
    _order(url, FaultKind.DROP, rule)


@fault.command()
@limits
def garbage(*, url: str, **rule: Any) -> None:
    """Answer 200 with something that is not JSON, without doing what was asked."""
    _order(url, FaultKind.GARBAGE, rule)


@fault.command("half-body")
@limits
def half_body(*, url: str, **rule: Any) -> None:
    """Do what was asked and answer half of the body, as if that were all of it."""
    _order(url, FaultKind.HALF_BODY, rule)


@fault.command("half-page")
@limits
def half_page(*, url: str, **rule: Any) -> None:
    """Leave out half of a listing's rows, though its total count says more."""
    _order(url, FaultKind.HALF_PAGE, rule)


@fault.command("load-failure")
@url_option
@click.option("--path", "route", default=".*", show_default=True, help="Regular expression for the checkpoint's path.")
@click.option("--count", type=click.IntRange(1), help="Meets this many loads.")
def load_failure(*, url: str, **rule: Any) -> None:
    """Let loads of a checkpoint fail, by the service's own fault."""
    _order(url, FaultKind.LOAD_FAILURE, rule)


@fault.command("advance-clock")
@url_option
@click.option("--seconds", type=click.FloatRange(0), required=True, help="How far.")
def advance_clock(*, url: str, seconds: float) -> None:
    """Move the simulator's time forward, so that checkpoints expire; prints the new time."""
    click.echo(_ask(url, "POST", "clock", {"advance_seconds": seconds})["now"])


@fault.command()
@url_option
def clear(*, url: str) -> None:
    """End every fault; what was corrupted, lost or broken stays so."""
    _ask(url, "DELETE", "faults", None)


@click.command()
@url_option
@click.option("--json", "as_json", is_flag=True, help="Everything, the latest changing requests included.")
def calls(*, url: str, as_json: bool) -> None:
    """Print how often each route was asked."""
    answer = _ask(url, "GET", "calls", None)
    if as_json:
        click.echo(json.dumps(answer, indent=1))
        return
    for route, count in answer["counts"].items():
        click.echo(f"{count:8d}  {route}")


@click.command()
@url_option
@click.option("--runs", type=click.IntRange(1, 100_000), required=True, help="How many training runs.")
@click.option("--checkpoints", type=click.IntRange(0, 1_000), default=0, show_default=True, help="How many of each.")
@click.option("--base-model", type=click.Choice(BASE_MODELS), default=BASE_MODELS[1], show_default=True, help="Of all.")
@click.option("--owner", default=DEFAULT_OWNER, show_default=True, help="Whose they are.")
def seed(*, url: str, **asked: Any) -> None:
    """Make many training runs and checkpoints at once."""
    made = _ask(url, "POST", "seed", asked)["runs"]
    click.echo(f"{len(made)} runs, {made[0]} to {made[-1]}")


def _order(url: str, kind: FaultKind, rule: dict[str, Any]) -> None:
    if rule.get("count") is not None and rule.get("seconds") is not None:
        raise click.UsageError("Give --count or --seconds, not both.")
    given = {name: value for name, value in rule.items() if value is not None}
    _ask(url, "POST", "faults", {"kind": kind, **given})


def _ask(url: str, method: str, route: str, body: dict[str, Any] | None) -> dict[str, Any]:
    try:
        answer = httpx.request(method, f"{url.rstrip('/')}/_simulator/{route}", json=body, timeout=_SECONDS_TO_ANSWER)
    except (httpx.HTTPError, httpx.InvalidURL) as unreachable:
        raise click.ClickException(f"No simulator answers at {url}: {unreachable}. Check --url.") from unreachable
    if answer.is_success:
        result: dict[str, Any] = answer.json()
        return result
    raise click.ClickException(_reason(answer))


def _reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"That is not a simulator (status {answer.status_code}). Check --url."
    if detail == "Not Found":
        return "The simulator serves without --admin. Start it with --admin."
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, error['loc'][1:]))}: {error['msg']}" for error in detail)
    return str(detail)
