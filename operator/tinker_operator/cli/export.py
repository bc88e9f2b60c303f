"""`tinker-operator export`: a checkpoint at another place, whole or not there, and never sent twice."""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click
from pydantic import SecretStr

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.cli.commands import authorities, now, progress_shown, service_settings, until_signalled
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.exporter import Address, Exported, Exporting
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.download import NotDownloadable, Progress, way_to
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath

_FAILED = 1


@click.command()
@click.argument("tinker_path")
@click.option(
    "--to",
    "place",
    required=True,
    metavar="PLACE",
    help="A folder, s3://<bucket>/<prefix>, or hub://<owner>/<name>[/<folder>].",
)
@click.option("--endpoint-url", metavar="URL", help="Address of the S3 store or of the Hub. Default: the public one.")
@click.option("--revision", default="main", show_default=True, help="Branch of the Hub's repository.")
@click.option("--public", is_flag=True, help="Let everybody read the Hub's repository. Default: it must be private.")
@click.option("--apart", is_flag=True, help="In the Hub's repository, a folder of its own for each checkpoint.")
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in ExportFormat]),
    default=ExportFormat.SAFETENSORS.value,
    show_default=True,
    help="Form of the files.",
)
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the download, kept until all is sent. Default: in the user's cache, or in the folder PLACE.",
)
@click.option("--base-url", metavar="URL", help="Base URL of the service. Default: TINKER_BASE_URL, or the public one.")
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate authorities of the service, PEM. Default: the file that TINKER_CA_FILE names, or the usual ones.",
)
@click.option(
    "-o", "--output", "told_as", type=click.Choice(["text", "json"]), default="text", help="Form of the result."
)
def export(  # noqa: PLR0917 - click names them
    tinker_path: str,
    place: str,
    endpoint_url: str | None,
    revision: str,
    public: bool,
    apart: bool,
    form: str,
    work_dir: Path | None,
    base_url: str | None,
    ca_file: Path | None,
    told_as: str,
) -> None:
    """Send the files of a checkpoint to another place, as an adapter for PEFT or llama.cpp.

    Keys come from the environment: TINKER_API_KEY; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; HF_TOKEN. What is
    there already is not sent again, and an interrupted export goes on when the command is given again.
    """
    path, url, key = service_settings(tinker_path, base_url, os.environ)
    ca_pem = authorities(ca_file, os.environ)
    try:
        address = Address(place, _checked_endpoint(endpoint_url), revision, public, apart, ExportFormat(form))
    except CallNotPossible as error:
        raise InvalidSettings(str(error).rstrip(".")) from None
    with progress_shown() as progress:
        try:
            done = until_signalled(
                _exported(url, key, path, address, work=work_dir or _usual_work(), progress=progress, ca_pem=ca_pem)
            )
        except click.Abort:
            _leave_at_once()
    click.echo(_as_json(done) if told_as == "json" else _as_text(done))


async def _exported(
    url: str,
    key: SecretStr,
    path: TinkerPath,
    address: Address,
    *,
    work: Path,
    progress: Progress,
    ca_pem: str | None,
) -> Exported:
    target = await asyncio.to_thread(address.target, path)
    way_there = way_to(url, now, progress=progress, ca_pem=ca_pem)
    async with TinkerClient(url, key, ca_pem=ca_pem) as client, way_there as way:
        try:
            return await Exporting(client, way, lambda: str(uuid.uuid4()), work, address.form).run(path, target)
        except NotDownloadable as error:
            raise InvalidSettings(str(error).rstrip(".")) from None


def _checked_endpoint(url: str | None) -> str | None:
    if url is None:
        return None
    remedy = "--endpoint-url: give http(s)://host[:port][/path], without a user"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:
        sound = False
    if not sound:
        raise InvalidSettings(remedy)
    return url.rstrip("/")


def _usual_work() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(cache) / "tinker-operator" / "exports"


def _leave_at_once() -> NoReturn:
    """End without waiting for the libraries' threads: one may hang in a request, and nothing is lost with it."""
    click.echo("tinker-operator: interrupted.", err=True)
    sys.stdout.flush()
    os._exit(_FAILED)


def _as_text(done: Exported) -> str:
    lines = [f"{file.sha256}  {file.bytes:>14}  {file.name}" for file in done.manifest.files]
    said = f"{done.sent_bytes} bytes sent" if done.sent_bytes else "all of it was there, nothing was sent"
    return "\n".join([f"{done.where}: {len(done.manifest.files)} files; {said}", *lines])


def _as_json(done: Exported) -> str:
    manifest = json.loads(done.manifest.content())
    return json.dumps({"where": done.where, "sentBytes": done.sent_bytes, "manifest": manifest}, indent=1)
