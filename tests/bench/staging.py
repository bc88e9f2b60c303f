"""Sets the stage of a bench on a control plane that runs: kinds, rights, a namespace, and a simulator."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.contest import REPOSITORY
from tests.e2e.stage import KEY, Operator, Stage
from tests.simulator.bare import Served, Wire

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds

ACCOUNT = "tinker-operator"


@contextmanager
def stage_on(plane: ControlPlane, namespace: str, folder: Path) -> Iterator[Stage]:
    """Sets a namespace and a simulator up, with nobody at work; the operator will have the rights of deploy/."""
    apply_crds(plane.kubectl, checkout_crds())
    plane.kubectl("apply", "-k", REPOSITORY / "deploy")
    kubeconfig = plane.service_account_kubeconfig(ACCOUNT, ACCOUNT, folder / "kubeconfig")
    plane.kubectl("create", "namespace", namespace)
    served = Served(folder / "simulator")
    try:
        served.start()
        operator = Operator(kubeconfig, namespace, served.url, folder / "operator.log")
        wire = Wire(served.url, KEY)
        with wire.http:
            yield Stage(plane.kubectl, namespace, served, wire, operator)
    finally:
        served.close()
