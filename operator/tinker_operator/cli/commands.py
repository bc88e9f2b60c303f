"""What the commands that fetch checkpoints share: their settings, how they end, and how they show their progress."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import SecretStr

from tinker_operator.cli.settings import DEFAULT_BASE_URL, InvalidSettings, checked_url
from tinker_operator.tinker.download import Progress
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.settings import checked_key, trusted

T = TypeVar("T")
_TENTH = 10


def service_settings(
    tinker_path: str, base_url: str | None, environ: Mapping[str, str]
) -> tuple[TinkerPath, str, SecretStr]:
    """Check all that is given before anything is asked.

    Raises:
        InvalidSettings: One of them cannot be used.
    """
    option = "TINKER_BASE_URL" if base_url is None else "--base-url"
    url = checked_url(option, base_url if base_url is not None else environ.get("TINKER_BASE_URL") or DEFAULT_BASE_URL)
    try:
        return TinkerPath.parse(tinker_path), url, checked_key(SecretStr(environ.get("TINKER_API_KEY") or ""))
    except CallNotPossible as error:
        raise InvalidSettings(str(error).rstrip(".")) from None


def authorities(ca_file: Path | None, environ: Mapping[str, str]) -> str | None:
    """Give the certificate authorities of the service, PEM; None for the usual ones.

    Args:
        ca_file: Holds them.
        environ: TINKER_CA_FILE names the file that a Job mounts from the entry `ca.crt` of a Secret, which may lack it.

    Raises:
        InvalidSettings: They cannot be read.
    """
    place = ca_file or Path(environ.get("TINKER_CA_FILE") or "")
    if ca_file is None and not place.is_file():
        return None
    option = "TINKER_CA_FILE" if ca_file is None else "--ca-file"
    try:
        told = place.read_text("utf-8", "replace")
        if ca_file is None and not told.strip():
            return None
        trusted(told)
    except OSError as error:
        raise InvalidSettings(f"{option}: {place} cannot be read ({error.strerror}); name a PEM file") from None
    except CallNotPossible:
        raise InvalidSettings(f"{option}: no PEM certificate; give text with -----BEGIN CERTIFICATE-----") from None
    return told


def now() -> datetime:
    """Give the time of day."""
    return datetime.now(UTC)  # noqa: TID251 - the composition root of the commands


def until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; a signal ends it, and what it has to tidy up is tidied up.

    Raises:
        click.Abort: A signal came.
    """

    async def run() -> T:
        task = asyncio.ensure_future(work)
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise click.Abort from None


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """Show how far it is: bars on a terminal, a line for each tenth elsewhere; never on the result's stream."""
    if not sys.stderr.isatty():
        yield _told(lambda line: click.echo(line, err=True))
        return
    # Loaded here: the operator shares the command and needs none of it.
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(done: int, total: int | None, name: str) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(escape(name), total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield show


def _told(tell: Callable[[str], None]) -> Progress:
    told: dict[str, int] = {}

    def progress(done: int, total: int | None, name: str) -> None:
        tenth = done * _TENTH // total if total else 0
        if told.get(name) != tenth:
            told[name] = tenth
            tell(f"{name}: {done} of {total or 'an unknown number of'} bytes")

    return progress
