"""Exports by real Pods: the Job of a policy runs the operator's own image and fills a volume.

The operator is a process on this machine with the rights that deploy/ grants; the simulator is where Pods reach it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.node.relaunching import World, eventually, staged

from playground.controlplane import ControlPlane
from playground.node.images import operator_image
from playground.node.node import Node
from playground.settings import Settings
from tinker_operator.exporter import MANIFEST, folder_name
from tinker_operator.tinker.paths import TinkerPath

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]  # the first image takes minutes on a busy machine
FILES = ["adapter_config.json", "adapter_model.safetensors"]


@pytest.fixture
def world(node: Node, node_plane: ControlPlane, tmp_path: Path) -> Iterator[World]:
    """An operator and a service of the test's own."""
    node.load(operator_image(Settings.from_environ(os.environ).cache))
    folder = tmp_path / "world"
    folder.mkdir()
    with staged(node_plane, node.host_address, folder, "exporting") as running:
        yield running


@pytest.fixture
def volume(world: World, tmp_path: Path) -> Iterator[Path]:
    """A folder of this machine, bound to the claim `adapters`."""
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)  # a volume of this kind knows no fsGroup, and what subPath makes is as the volume is
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    there = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}}
    reference = {"namespace": world.stage.namespace, "name": "adapters"}
    claim = {**common, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "adapters"}
    world.stage.apply(
        kind("PersistentVolume", {**common, **there, "claimRef": reference}), kind("PersistentVolumeClaim", claim)
    )
    yield folder
    world.stage.kubectl("delete", "persistentvolume", "adapters", "--wait=false")


def kind(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": name, "metadata": {"name": "adapters"}, "spec": spec}


def test_a_policy_fills_a_volume_before_it_deletes(world: World, volume: Path) -> None:
    """Two Pods at once for the three checkpoints; each is there whole, in the claim's folder, and then two are gone."""
    run, paths = world.stage.trained_run(3)
    policy = world.stage.policy({"keepLast": 1, "action": "Delete"})
    place = {"persistentVolumeClaim": {"claimName": "adapters", "subPath": "math/sft"}}
    limits = {"limits": {"memory": "512Mi"}}
    policy["spec"]["export"] = {"what": "All", "to": place, "parallelism": 2, "job": {"resources": limits}}
    policy["spec"]["export"]["job"]["image"] = "tinker-operator:dev"
    adopted = {"run": {"trainingRunId": run}, "credentialsRef": {"name": "tinker"}}
    world.stage.apply(policy, world.stage.training_run(adopted))

    eventually(lambda: is_exported(world, paths[-1]), "all to be exported")
    eventually(lambda: world.stage.remote_checkpoints(run) == paths[2:], "the two older to go")
    exports = volume / "math" / "sft"
    assert sorted(path.name for path in exports.iterdir() if not path.name.startswith(".")) == sorted(
        folder_name(TinkerPath.parse(path)) for path in paths
    )
    for path in paths:
        folder = exports / folder_name(TinkerPath.parse(path))
        manifest = json.loads((folder / MANIFEST).read_text())
        assert manifest["source"]["path"] == path
        assert sorted(it.name for it in folder.iterdir()) == [*FILES, MANIFEST]
        assert {it["name"]: it["sha256"] for it in manifest["files"]} == {
            name: sha256((folder / name).read_bytes()).hexdigest() for name in FILES
        }
    jobs = world.stage.kubectl.json("get", "jobs", "--namespace", world.stage.namespace)["items"]
    assert [it["status"].get("succeeded") for it in jobs] == [1, 1, 1]


def is_exported(world: World, last: str) -> bool:
    """Whether all are, up to the last, by one look: a policy that sees no TrainingRun yet has nothing to export."""
    status = world.stage.status("keep", "checkpointpolicy")
    (told,) = [it for it in status.get("conditions", []) if it["type"] == "Exported"] or [{"status": "", "reason": ""}]
    assert told["reason"] != "ExportFailed", said_by_pods(world)
    done = {it["path"] for it in status.get("exports", []) if it["state"] == "Succeeded"}
    return told["status"] == "True" and last in done


def said_by_pods(world: World) -> str:
    """The logs of all Pods of exports."""
    arguments = ("--selector", "app.kubernetes.io/managed-by=tinker-operator", "--namespace", world.stage.namespace)
    return world.stage.kubectl("logs", *arguments, "--prefix", check=False).stdout
