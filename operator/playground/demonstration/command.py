"""The command `tinker-playground demo`: puts the demonstration together, and takes it down again however it ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from playground.binaries import find
from playground.controlplane import ControlPlane
from playground.demonstration.closing import close_show, show_ways_around
from playground.demonstration.crew import Crew
from playground.demonstration.opening import open_show
from playground.demonstration.patience import Patience
from playground.demonstration.scene import Scene
from playground.demonstration.service import TinkerService
from playground.demonstration.stage import Stage, stdout_stage
from playground.demonstration.trouble import make_trouble
from playground.demonstration.workspace import fresh_part, workspace
from playground.errors import PlaygroundError
from playground.interrupt import Interrupted, stop_signals
from playground.progress import reporter as reporter_for
from playground.settings import Settings

_CHECK_SECONDS = 0.5
_TITLE = "tinker-operator: the demonstration"
_PREMISE = "A corrupted training run comes back by itself, on a real Kubernetes API server."


@click.command()
@click.option("--keep", is_flag=True, help="Leave all of it up until Ctrl-C, and print how to look around.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to work in, which stays to be looked at. By default a temporary one, removed at the end.",
)
def demo(keep: bool, folder: Path | None) -> int:
    """Show a corrupted training run come back by itself, and check every claim.

    Starts a control plane, a simulated Tinker service, the operator under its own ServiceAccount and a training loop
    on the official SDK; corrupts the run and breaks its newest checkpoint; and checks what came of it. Takes under a
    minute once the binaries are there. Exits 0 only if every claim holds. All its processes end with it.
    """
    with stop_signals(), workspace(folder) as place:
        found = find(Settings.from_environ(os.environ), reporter_for(sys.stderr))
        stage = stdout_stage(time.monotonic)
        stage.title(_TITLE, _PREMISE)
        stage.chapter("A Kubernetes API server")
        stage.done(f"the binaries are from {found.origin}")
        with ControlPlane(place, found.folder, reporter=stage) as control_plane:
            stage.done(f"etcd, kube-apiserver and kube-controller-manager are ready, RBAC is on: {control_plane.url}")
            return 0 if _perform(stage, control_plane, fresh_part(place), keep=keep) else 1


def _perform(stage: Stage, control_plane: ControlPlane, part: Path, *, keep: bool) -> bool:
    with Crew(part) as crew:

        def watch() -> None:
            crew.check()
            control_plane.check()

        scene = Scene(stage, Patience(stage, watch), control_plane.kubectl, crew, part)
        try:
            return _tell(scene, control_plane, keep=keep)
        except PlaygroundError:
            for name, tail in crew.tails().items():
                stage.chapter(f"The last words of the {name}")
                stage.output(tail)
            raise


def _tell(scene: Scene, control_plane: ControlPlane, *, keep: bool) -> bool:
    underway = open_show(scene, control_plane.service_account_kubeconfig)
    with TinkerService(underway.url) as service:
        broken = make_trouble(scene, underway, service)
        held = close_show(scene, underway, service, broken)
    if keep:
        show_ways_around(scene, underway, str(control_plane.admin_kubeconfig), str(control_plane.bin))
        _stay(scene)
    return held


def _stay(scene: Scene) -> None:
    try:
        while True:
            scene.patience.watch()
            scene.patience.pause(_CHECK_SECONDS)
    except Interrupted as error:
        scene.stage.say(f"{error}: stopping.")
