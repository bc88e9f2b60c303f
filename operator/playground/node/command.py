"""What `tinker-playground` can do with a node: join one to a control plane, and give it images.

`playground.cli` adds the command and calls the rest for its option `--node`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from playground.controlplane import ControlPlane
from playground.errors import BadSetting
from playground.interrupt import stop_signals
from playground.node.archive import Image
from playground.node.images import ImageBuilder, operator_image, trainer_image
from playground.node.loading import load_archive, load_image, plan_of
from playground.node.node import Node
from playground.node.programs import find_programs
from playground.progress import Reporter
from playground.progress import reporter as reporter_for
from playground.settings import Settings

_IMAGES: dict[str, Callable[[Path, Reporter], Image]] = {
    "operator": operator_image,
    "python": lambda cache, reporter: ImageBuilder(cache, reporter).python(),
    "trainer": trainer_image,
}


@contextmanager
def joined(control_plane: ControlPlane, settings: Settings, reporter: Reporter) -> Iterator[Node]:
    """Start a node for a running control plane, and stop it in the end.

    Args:
        control_plane: Running.
        settings: Where the programs may come from.
        reporter: Told while it takes time.

    Raises:
        PlaygroundError: There are no programs, or the node does not start.
    """
    found = find_programs(settings, reporter)
    with Node(control_plane, found.folder, reporter=reporter) as node:
        reporter.say(f"Pods run on node {node.name}; they reach this machine at {node.host_address}.")
        yield node


@click.command()
@click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the control plane.",
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
def load(folder: Path, images: tuple[str, ...]) -> None:
    """Give images to the node that runs in DIR; prints the name of each.

    IMAGE is `operator`, `trainer` or `python`, which are built here from what is installed, or the path of an archive
    that an engine has saved. Pods use them with imagePullPolicy Never or IfNotPresent.
    """
    reporter, plan = reporter_for(sys.stderr), plan_of(folder)
    cache = Settings.from_environ(os.environ).cache
    unknown = [name for name in images if name not in _IMAGES and not Path(name).is_file()]
    if unknown:
        remedy = f"Name {', '.join(_IMAGES)}, or the path of an archive."
        raise BadSetting(f"{unknown[0]} is no image and no file.", remedy)
    with stop_signals():
        for name in images:
            make = _IMAGES.get(name)
            click.echo(load_archive(plan, Path(name)) if make is None else load_image(plan, make(cache, reporter)))
