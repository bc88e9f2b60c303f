"""The operator without the right to run Jobs: all but mode Relaunch works, and its log stays quiet."""

from pathlib import Path

import pytest
from tests.e2e.stage import Operator, Stage

from playground.controlplane import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.fixture
def limited(stage: Stage, control_plane: ControlPlane, tmp_path: Path) -> Stage:
    """The stage with an operator that has what rbac.yaml grants, in its namespace, and nothing of rbac-trainer.yaml."""
    where = ("--namespace", stage.namespace)
    account = f"--serviceaccount={stage.namespace}:limited"
    stage.kubectl("create", "serviceaccount", "limited", *where)
    stage.kubectl("create", "rolebinding", "limited", "--clusterrole=tinker-operator", account, *where)
    stage.operator.close()
    kubeconfig = control_plane.service_account_kubeconfig(stage.namespace, "limited", tmp_path / "limited")
    stage.operator.kubeconfig, stage.operator.log = kubeconfig, tmp_path / "limited.log"
    stage.operator.start()
    return stage


def told(operator: Operator) -> list[str]:
    return operator.log.read_text().splitlines()


def test_it_serves_what_it_may_and_says_once_what_is_missing(limited: Stage) -> None:
    """A watch that is refused would keep it from ever being ready, and be told of without end."""
    run, _ = limited.trained_run()
    limited.apply(limited.training_run({"run": {"trainingRunId": run}}))

    limited.wait_ready()
    limited.wait_polls()

    (line,) = [line for line in told(limited.operator) if "trainer_jobs_not_watched" in line]
    assert "Grant the verb 'list' on 'jobs' of API group 'batch'" in line
    assert not [line for line in told(limited.operator) if "refused" in line or "Request attempt" in line]


def test_with_what_deploy_grants_nothing_is_missing(stage: Stage) -> None:
    """Both files of deploy/ are bound to its account."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))

    stage.wait_ready()

    assert not [line for line in told(stage.operator) if "trainer_jobs_not_watched" in line]
