"""The command `tinker-simulator`: serves, and orders faults from a simulator that serves."""

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import click

from tinker_simulator.console import SettingRefused, run
from tinker_simulator.orders import fault
from tinker_simulator.settings import DEFAULT_KEY, ArchiveRoute, SettingError
from tinker_simulator.stock import calls, cancel_session, seed


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def simulator() -> None:
    """A Tinker service for tests and demonstrations, with faults that can be switched on."""


@simulator.command()
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="Port to listen on; 0 takes any free one.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder that keeps runs, checkpoints and futures; made when it does not exist.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    default=[DEFAULT_KEY],
    show_default=True,
    metavar="KEY[@OWNER]",
    help="Key that is let in; repeat for more. Keys of one owner see the same runs.",
)
@click.option(
    "--dialect",
    "dialects",
    multiple=True,
    metavar="NAME[@KEY]",
    help="Deviate from the official service as others do, for one key or for all; repeat for more. "
    "A name that does not exist is answered with those that do.",
)
@click.option("--jwt", is_flag=True, help="Let clients exchange their keys for tokens, as the SDK then does.")
@click.option(
    "--jwt-lifetime",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    help="Seconds that a token lives. The SDK renews one that has less than 60 left before each request.",
)
@click.option(
    "--archive-route",
    type=click.Choice([form.value for form in ArchiveRoute]),
    callback=lambda _context, _option, form: form and ArchiveRoute(form),
    help="Serve checkpoints as tar files, as older clients ask for them; answered 302, or 200 with a document.",
)
@click.option(
    "--archive-slow",
    "archive_takes_time",
    is_flag=True,
    help="Answer 503 to the first who asks for an archive, as if it were being built.",
)
@click.option("--admin", is_flag=True, help="Serve the routes under /_simulator/, which order faults without a key.")
def serve(*, port: int, state_dir: Path, host: str, jwt: bool, jwt_lifetime: float, **options: Any) -> None:
    """Serve the Tinker API until SIGTERM.

    Prints one line, `tinker-simulator: serving on URL`, when it is ready. Set TINKER_BASE_URL to that URL.
    """
    # Orders are given often and from scripts: they do not wait for the server's libraries to load.
    from tinker_simulator.app import make_app  # noqa: PLC0415
    from tinker_simulator.server import exclusive  # noqa: PLC0415
    from tinker_simulator.server import serve as run_server  # noqa: PLC0415

    try:
        with exclusive(state_dir):
            app = make_app(state_dir, token_seconds=jwt_lifetime if jwt else None, **options)
            asyncio.run(run_server(app, host, port, _announce))
    except SettingError as wrong:
        raise SettingRefused(str(wrong)) from wrong


def _announce(url: str) -> None:
    click.echo(f"tinker-simulator: serving on {url}")


def main() -> NoReturn:
    """The entry point of `tinker-simulator`."""
    run(simulator, "tinker-simulator")


fault.add_command(cancel_session)
simulator.add_command(fault)
simulator.add_command(calls)
simulator.add_command(seed)
