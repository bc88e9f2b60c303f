"""Fixtures of the end-to-end tier: everything real but the Tinker service, which is the simulator over real HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.stage import KEY, Operator, Stage
from tests.simulator.bare import Served, Wire

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl

REPOSITORY = Path(__file__).parents[2]
ACCOUNT = "tinker-operator"


@pytest.fixture(scope="session")
def operator_kubeconfig(
    control_plane: ControlPlane, crds: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A kubeconfig with nothing but the token of the ServiceAccount that deploy/ makes."""
    assert crds
    control_plane.kubectl("apply", "-k", REPOSITORY / "deploy")
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    return control_plane.service_account_kubeconfig(ACCOUNT, ACCOUNT, path)


@pytest.fixture
def stage(operator_kubeconfig: Path, kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    """A test's world, with the operator running."""
    with ExitStack() as ending:
        served = Served(tmp_path / "simulator")
        ending.callback(served.close)
        served.start()
        operator = Operator(operator_kubeconfig, namespace, served.url, tmp_path / "operator.log")
        ending.callback(operator.close)
        operator.start()
        wire = Wire(served.url, KEY)
        ending.callback(wire.http.close)
        yield Stage(kubectl, namespace, served, wire, operator)
