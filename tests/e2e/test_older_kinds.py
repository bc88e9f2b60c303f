"""An operator whose kinds were not upgraded with it: it does nothing that it could not remember, and says why."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import ACCOUNT, REPOSITORY
from tests.e2e.stage import KEY, Operator, Stage, wait_for
from tests.simulator.bare import Served, Wire

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds

pytestmark = pytest.mark.cluster
NAMESPACE = "lab"
UNKNOWN = {"trainingruns": ("recovery.inFlight",), "checkpointpolicies": ("marked", "deleting", "recentDeletions")}
"""Journals that the older kinds do not have."""


def older(kind: str) -> dict[str, Any]:
    """Returns a definition as it was before there were those journals."""
    made: dict[str, Any] = yaml.safe_load((REPOSITORY / "crds" / f"{kind}.yaml").read_text(encoding="utf-8"))
    status = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    for path in UNKNOWN[kind]:
        *above, name = path.split(".")
        node = status
        for part in above:
            node = node["properties"][part]
        del node["properties"][name]
    return made


@pytest.fixture
def cluster(control_plane: ControlPlane, tmp_path: Path) -> Iterator[ControlPlane]:
    """A cluster of its own, with kinds that are older than the operator."""
    (tmp_path / "crds").mkdir()
    for kind in UNKNOWN:
        text = yaml.safe_dump(older(kind))
        (tmp_path / "crds" / f"{kind}.yaml").write_text(text, encoding="utf-8")
    with ControlPlane(tmp_path / "plane", control_plane._binaries) as own:
        apply_crds(own.kubectl, tmp_path / "crds")
        own.kubectl("apply", "-k", REPOSITORY / "deploy")
        own.kubectl("create", "namespace", NAMESPACE)
        yield own


@pytest.fixture
def world(cluster: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    """The operator of today on it."""
    with ExitStack() as ending:
        served = Served(tmp_path / "simulator")
        ending.callback(served.close)
        served.start()
        kubeconfig = cluster.service_account_kubeconfig(ACCOUNT, ACCOUNT, tmp_path / "kubeconfig")
        operator = Operator(kubeconfig, NAMESPACE, served.url, tmp_path / "operator.log")
        ending.callback(operator.close)
        operator.start()
        wire = Wire(served.url, KEY)
        ending.callback(wire.http.close)
        yield Stage(cluster.kubectl, NAMESPACE, served, wire, operator)


def test_nothing_is_deleted_and_no_run_is_made_until_the_kinds_are_upgraded(world: Stage) -> None:
    """Neither does it try again without a pause; then all of it happens, once."""
    run, paths = world.trained_run(4)
    world.apply(world.training_run({"run": {"trainingRunId": run}}))
    world.wait_ready()
    world.apply(world.policy({"keepLast": 2, "action": "Delete"}))
    wait_for(lambda: "apply crds/ too" in world.operator.log.read_text(), "the operator to say what is wrong")
    world.corrupt(run)
    world.wait_condition("Corrupted", "True")
    world.wait_polls(10)

    assert world.remote_checkpoints(run) == sorted(paths)
    assert [one["training_run_id"] for one in world.remote_runs()] == [run]
    assert "so nothing is restored or made" in world.operator.log.read_text()
    assert not {"RecoveryStarted", "RecoveryExhausted"} & set(world.events())

    apply_crds(world.kubectl, checkout_crds())
    wait_for(lambda: world.status().get("recoveries") == 1, "the recovery", 120)
    wait_for(lambda: world.remote_checkpoints(run) == sorted(paths[2:]), "the deletions", 120)
    assert world.status()["recovery"]["attempt"] == 1
    assert len(world.remote_runs()) == 2
