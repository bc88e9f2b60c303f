"""The commands about what a simulator holds and was asked: seeding, counting calls, cancelling a session."""

import json
from typing import Any

import click

from tinker_simulator.asking import ask, url_option
from tinker_simulator.settings import BASE_MODELS, DEFAULT_OWNER


@click.command()
@url_option
@click.option("--runs", type=click.IntRange(1, 100_000), required=True, help="How many training runs.")
@click.option("--checkpoints", type=click.IntRange(0, 1_000), default=0, show_default=True, help="How many of each.")
@click.option("--base-model", type=click.Choice(BASE_MODELS), default=BASE_MODELS[1], show_default=True, help="Of all.")
@click.option("--rank", type=click.IntRange(1, 256), default=8, show_default=True, help="Of all adapters.")
@click.option("--owner", default=DEFAULT_OWNER, show_default=True, help="Whose they are.")
@click.option(
    "--metadata",
    type=click.Choice(["step", "loss"]),
    multiple=True,
    default=["step", "loss"],
    show_default=True,
    help="What the metadata of a checkpoint tells; repeat for more.",
)
@click.option("--no-metadata", is_flag=True, help="Checkpoints have no metadata.")
@click.option(
    "--corrupted", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Part of the runs, 0 to 1."
)
@click.option(
    "--age-days",
    type=click.FloatRange(0, 3650),
    default=0.0,
    show_default=True,
    help="Spread the runs over so many days; 0 puts them a second apart.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides ages, losses and what is corrupted.")
def seed(*, url: str, no_metadata: bool, metadata: tuple[str, ...], **asked: Any) -> None:
    """Make many training runs and checkpoints at once. All of the checkpoints load."""
    made = ask(url, "POST", "seed", {**asked, "metadata": [] if no_metadata else metadata})["runs"]
    click.echo(f"{len(made)} runs, {made[0]} to {made[-1]}")


@click.command()
@url_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: with the latest changing requests.",
)
@click.option("--reset", is_flag=True, help="Count from zero after this.")
def calls(*, url: str, output: str, reset: bool) -> None:
    """Print how often each route was asked."""
    answer = ask(url, "DELETE" if reset else "GET", "calls")
    if output == "json":
        click.echo(json.dumps(answer, indent=1))
        return
    for route, count in answer["counts"].items():
        click.echo(f"{count:8d}  {route}")


@click.command("cancel-session")
@url_option
@click.option("--session", required=True, help="Id of the session.")
def cancel_session(*, url: str, session: str) -> None:
    """Cancel a session, as somebody at the service's console would."""
    ask(url, "POST", "cancel-session", {"session": session})
