"""The command `tinker-operator export`, as a person or a Job gives it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.exporter.hub_server import TOKEN
from tests.exporter.s3_server import ACCESS_KEY
from tests.tinker.conftest import World

SECRET_KEY = "secret-of-the-store"


def started(world: World, path: str, work: Path, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    """Start the command; its keys are in the environment alone."""
    command = [sys.executable, "-m", "tinker_operator.cli", "export", path, *arguments]
    keys = {
        "TINKER_API_KEY": world.simulator.key,
        "TINKER_BASE_URL": world.simulator.url,
        "XDG_CACHE_HOME": str(work),
        "HF_HOME": str(work / "hf"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
    }
    return subprocess.Popen(
        command, env={**os.environ, **keys, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def exported(
    world: World, path: str, work: Path, *arguments: str, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Give the command, and wait for its end."""
    with started(world, path, work, *arguments, **environ) as process:
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def result(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What a command that succeeded printed as JSON."""
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told
