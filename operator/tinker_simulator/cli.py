"""The command `tinker-simulator`: serves, and orders faults from a simulator that serves."""

import asyncio
from pathlib import Path
from typing import NoReturn

import click

from tinker_simulator.console import SettingRefused, run
from tinker_simulator.orders import calls, fault, seed
from tinker_simulator.settings import DEFAULT_KEY, SettingError


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
@click.option("--admin", is_flag=True, help="Serve the routes under /_simulator/, which order faults without a key.")
def serve(*, port: int, state_dir: Path, host: str, api_keys: tuple[str, ...], admin: bool) -> None:
    """Serve the Tinker API until SIGTERM.

    Prints one line, `tinker-simulator: serving on URL`, when it is ready. Set TINKER_BASE_URL to that URL.
    """
    # Orders are given often and from scripts: they do not wait for the server's libraries to load.
    from tinker_simulator.app import make_app  # noqa: PLC0415
    from tinker_simulator.server import exclusive  # noqa: PLC0415
    from tinker_simulator.server import serve as run_server  # noqa: PLC0415

    try:
        with exclusive(state_dir):
            app = make_app(state_dir, api_keys, admin=admin)
            asyncio.run(run_server(app, host, port, _announce))
    except SettingError as wrong:
        raise SettingRefused(str(wrong)) from wrong


def _announce(url: str) -> None:
    click.echo(f"tinker-simulator: serving on {url}")


def main() -> NoReturn:
    """The entry point of `tinker-simulator`."""
    run(simulator, "tinker-simulator")


simulator.add_command(fault)
simulator.add_command(calls)
simulator.add_command(seed)
