"""Gives images to a node that runs, from the process that started it or from another.

`playground.node.node` and the command `tinker-playground load` call it.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from playground.errors import BadSetting, ComponentFailed
from playground.node.archive import Image
from playground.node.plan import Layout, Plan


def plan_of(folder: Path) -> Plan:
    """The plan of the node that runs in a control plane's folder.

    Args:
        folder: As `tinker-playground up --node --dir` was told.

    Raises:
        BadSetting: No node runs there.
    """
    layout = Layout(folder.absolute() / "node")
    if not layout.init.exists():
        remedy = f"Run tinker-playground up --node --dir {folder} first, and wait until it is ready."
        raise BadSetting(f"No node runs in {folder}.", remedy)
    return Plan.read(layout.plan)


def load_image(plan: Plan, image: Image) -> str:
    """Give the node an image and answer its name.

    Raises:
        ComponentFailed: containerd does not take it.
    """
    _take(plan, image.name, image.write)
    return image.name


def load_archive(plan: Plan, archive: Path) -> str:
    """Give the node what is in an archive that `docker save` or another engine has written.

    Raises:
        ComponentFailed: containerd does not take it.
    """
    with archive.open("rb") as content:
        _take(plan, str(archive), lambda stream: shutil.copyfileobj(content, stream))
    return str(archive)


def _take(plan: Plan, name: str, write: Callable[[IO[bytes]], None]) -> None:
    log = Path(plan.logs) / "images.log"
    inside = [plan.tools["nsenter"], f"--target={plan.layout.init.read_text()}", "--mount", "--net"]
    take = [plan.tools["ctr"], "--namespace=k8s.io", "image", "import", f"--snapshotter={plan.snapshotter}", "-"]
    with log.open("ab") as output:
        taking = subprocess.Popen([*inside, *take], stdin=subprocess.PIPE, stdout=output, stderr=output)  # noqa: S603 -- of this machine
    with taking, suppress(BrokenPipeError), taking.stdin or io.BytesIO() as stream:
        write(stream)
    if taking.returncode != 0:
        raise ComponentFailed(f"containerd does not take {name}; {log} says why.", "Build it again.")
