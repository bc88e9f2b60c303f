"""`tinker-operator download`: the files of a checkpoint in a folder that is whole or not there."""

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import SecretStr

from tinker_operator.cli.settings import DEFAULT_BASE_URL, InvalidSettings, checked_url
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.download import Downloaded, NotDownloadable, Progress, download_checkpoint, way_to
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.settings import checked_key

T = TypeVar("T")
_TENTH = 10


@click.command()
@click.argument("tinker_path")
@click.option(
    "--output",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder in which the checkpoint's own folder is made, <run>_<kind>_<name>. Default: the present one.",
)
@click.option("--force", is_flag=True, help="Replace what is there, once the new content is whole.")
@click.option("--base-url", metavar="URL", help="Base URL of the service. Default: TINKER_BASE_URL, or the public one.")
@click.option("-o", "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def download(tinker_path: str, parent: Path, force: bool, base_url: str | None, form: str) -> None:
    """Download the files of a checkpoint.

    TINKER_PATH is tinker://<run>/external_weights/<name>, or tinker://<run>/weights/<name>: that one is loaded into a
    run of its own, exported, and the export is deleted afterwards. The key comes from TINKER_API_KEY.

    An interrupted download goes on where it stopped when the command is given again.
    """
    path, url, key = _settings(tinker_path, base_url, os.environ)
    target = parent / f"{path.training_run_id}_{path.kind}_{path.name}"
    with _progress() as progress:
        done = _until_signalled(_downloaded(url, key, path, target, force=force, progress=progress))
    click.echo(_as_json(done) if form == "json" else _as_text(done))


def _settings(tinker_path: str, base_url: str | None, environ: Mapping[str, str]) -> tuple[TinkerPath, str, SecretStr]:
    """Check all that is given before anything is asked."""
    option = "TINKER_BASE_URL" if base_url is None else "--base-url"
    url = checked_url(option, base_url if base_url is not None else environ.get("TINKER_BASE_URL") or DEFAULT_BASE_URL)
    try:
        return TinkerPath.parse(tinker_path), url, checked_key(SecretStr(environ.get("TINKER_API_KEY") or ""))
    except CallNotPossible as error:
        raise InvalidSettings(str(error).rstrip(".")) from None


async def _downloaded(
    url: str, key: SecretStr, path: TinkerPath, target: Path, *, force: bool, progress: Progress
) -> Downloaded:
    async with TinkerClient(url, key) as client, way_to(url, _now, progress=progress) as way:
        try:
            return await download_checkpoint(client, path, target, way, new_key=lambda: str(uuid.uuid4()), force=force)
        except NotDownloadable as error:
            raise InvalidSettings(str(error).rstrip(".")) from None


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the composition root of this command


def _until_signalled(work: Coroutine[Any, Any, T]) -> T:
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
def _progress() -> Iterator[Progress]:
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


def _as_text(done: Downloaded) -> str:
    lines = [f"{file.sha256}  {file.size:>14}  {file.name}" for file in done.files]
    return "\n".join([f"{done.folder}: {len(done.files)} files, {done.total_bytes} bytes", *lines])


def _as_json(done: Downloaded) -> str:
    files = [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in done.files]
    return json.dumps({"folder": str(done.folder), "bytes": done.total_bytes, "files": files}, indent=1)
