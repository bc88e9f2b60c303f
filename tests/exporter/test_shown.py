"""The commands of docs/export.md, as they stand there but for the checkpoint's path, which is one that there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.shown_commands import commands
from tests.exporter.exporting import SECRET_KEY
from tests.exporter.hub_server import TOKEN, HubServer
from tests.exporter.s3_server import ACCESS_KEY, S3Server
from tests.tinker.conftest import World

from tinker_operator.exporter import MANIFEST, folder_name

pytestmark = pytest.mark.http
SHOWN = "tinker://3f2a91c4:train:0/weights/step-000020"


def given(script: list[str], environ: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Gives the commands in a shell, which ends at the first that fails."""
    command = ["bash", "-ec", "\n".join(script)]
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)


async def test_every_command_of_the_page_sends_the_checkpoint(
    world: World, tmp_path: Path, s3: tuple[S3Server, str], hub: tuple[HubServer, str]
) -> None:
    """To a folder, to a bucket and to the Hub, whose addresses and keys are in the environment."""
    key, *exports = commands("docs/export.md")
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path),
        "TINKER_BASE_URL": world.simulator.url,
        "AWS_ENDPOINT_URL": s3[1],
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "HF_ENDPOINT": hub[1],
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
    }
    script = [key.replace("...", world.simulator.key)]
    script += [one.replace(SHOWN, str(world.path())) for one in exports if SHOWN in one]
    assert len(script) == len(exports) + 1 == 4

    done = given(script, environ, tmp_path)

    assert done.returncode == 0, done.stderr
    folder = folder_name(world.path())
    assert (tmp_path / "adapters" / folder / MANIFEST).is_file()
    assert f"math/{folder}/{MANIFEST}" in s3[0].objects
    assert MANIFEST in hub[0].repos["my-team/math"].branches["main"]
