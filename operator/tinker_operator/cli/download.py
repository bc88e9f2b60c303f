"""`tinker-operator download`: the files of a checkpoint in a folder that is whole or not there."""

import json
import os
import uuid
from pathlib import Path

import click
from pydantic import SecretStr

from tinker_operator.cli.commands import now, progress_shown, service_settings, until_signalled
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.download import Downloaded, NotDownloadable, Progress, download_checkpoint, way_to
from tinker_operator.tinker.paths import TinkerPath


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
    path, url, key = service_settings(tinker_path, base_url, os.environ)
    target = parent / f"{path.training_run_id}_{path.kind}_{path.name}"
    with progress_shown() as progress:
        done = until_signalled(_downloaded(url, key, path, target, force=force, progress=progress))
    click.echo(_as_json(done) if form == "json" else _as_text(done))


async def _downloaded(
    url: str, key: SecretStr, path: TinkerPath, target: Path, *, force: bool, progress: Progress
) -> Downloaded:
    async with TinkerClient(url, key) as client, way_to(url, now, progress=progress) as way:
        try:
            return await download_checkpoint(client, path, target, way, new_key=lambda: str(uuid.uuid4()), force=force)
        except NotDownloadable as error:
            raise InvalidSettings(str(error).rstrip(".")) from None


def _as_text(done: Downloaded) -> str:
    lines = [f"{file.sha256}  {file.size:>14}  {file.name}" for file in done.files]
    return "\n".join([f"{done.folder}: {len(done.files)} files, {done.total_bytes} bytes", *lines])


def _as_json(done: Downloaded) -> str:
    files = [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in done.files]
    return json.dumps({"folder": str(done.folder), "bytes": done.total_bytes, "files": files}, indent=1)
