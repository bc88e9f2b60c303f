"""`kubectl tinker download`: the files of a checkpoint, with the key of its TrainingRun."""

import uuid
from pathlib import Path

import click
from pydantic import Field
from rich.console import Console
from rich.text import Text

from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.cli.commands import now, progress_shown, until_signalled
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.plugin.endings import DONE
from tinker_operator.plugin.names import path_argument
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.printing import formed, tell
from tinker_operator.plugin.services import opened
from tinker_operator.plugin.words import printable, size_in_words
from tinker_operator.tinker.download import Downloaded, NotDownloadable, Progress, download_checkpoint, way_to
from tinker_operator.tinker.paths import TinkerPath


class ToldFile(ApiModel):
    """One file."""

    name: str = Field(description="Its name.")
    bytes: int = Field(description="Its size.")
    sha256: str = Field(description="SHA-256 of its content, as hexadecimal digits.")


class Fetched(ApiModel):
    """A checkpoint that was downloaded."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "Downloaded"
    path: str = Field(description="Path at the service.")
    folder: str = Field(description="Folder that holds the files.")
    bytes: int = Field(description="Size of all of them.")
    files: tuple[ToldFile, ...] = Field(description="The files.")


@click.command()
@path_argument
@placed
@formed
@click.option(
    "--to",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder in which the checkpoint's own folder is made, <run>_<kind>_<name>. Default: the present one.",
)
@click.option("--force", is_flag=True, help="Replace what is there, once the new content is whole.")
def download(  # noqa: PLR0917 - click names them
    path: TinkerPath, place: Place, form: str, no_color: bool, parent: Path, force: bool
) -> int:
    """Download the files of a checkpoint, with a bar that tells how far it is.

    PATH is tinker://<run>/external_weights/<name>, or tinker://<run>/weights/<name>: that one is loaded into a run of
    its own, exported, and the export is deleted afterwards. An interrupted download goes on where it stopped when the
    command is given again.
    """
    target = parent / f"{path.training_run_id}_{path.kind}_{path.name}"
    with progress_shown() as progress:
        done = until_signalled(_fetched(path, place, target, progress, force=force))
    files = tuple(ToldFile(name=it.name, bytes=it.size, sha256=it.sha256) for it in done.files)
    told = Fetched(path=str(path), folder=str(done.folder), bytes=done.total_bytes, files=files)
    tell(told, form, lambda console: _show(told, console), no_color=no_color)
    return DONE


async def _fetched(path: TinkerPath, place: Place, target: Path, progress: Progress, *, force: bool) -> Downloaded:
    async with opened(place, path) as reach, way_to(reach.client.base_url, now, progress=progress) as way:
        try:
            return await download_checkpoint(
                reach.client, path, target, way, new_key=lambda: str(uuid.uuid4()), force=force
            )
        except NotDownloadable as error:
            raise InvalidSettings(str(error).rstrip(".")) from None


def _show(told: Fetched, console: Console) -> None:
    for it in told.files:
        line = Text(f"{it.sha256}  {size_in_words(it.bytes):>10}  {printable(it.name)}", "dim")
        console.print(line, soft_wrap=True)
    count = f"{len(told.files)} file{'' if len(told.files) == 1 else 's'}, {size_in_words(told.bytes)}"
    console.print(Text(f"{told.folder}: {count}", "bold"), soft_wrap=True)
