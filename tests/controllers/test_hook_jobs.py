"""Jobs of hooks: what becomes of a template, and what a real API server makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_operator.api.hook_spec import Hook
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.hooks import HookCaller
from tinker_operator.controllers.jobs import TRAINER_JOBS
from tinker_operator.core.belongings import RUN_UID_LABEL
from tinker_operator.core.hook_job import HOOK_UID_LABEL, hook_job, job_name
from tinker_operator.core.world import CallHook, Done, HookFailed, Outcome
from tinker_operator.engine.kube import KubeApi

CALL_ID = "0c9a5a2e-6d4e-5a0e-9b7d-000000000001"
BODY = '{"occasion": "Recovered", "said": "$(HOME) costs $5 and $$"}'
CONTAINER: dict[str, Any] = {"name": "tell", "image": "tell:1"}


def template(*containers: Any, **rest: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers) or [CONTAINER]}}}, **rest}


def call(wanted: Any, name: str = "tell", call_id: str = CALL_ID) -> CallHook:
    return CallHook(call_id, Hook.model_validate({"name": name, "job": {"template": wanted}}), BODY)


def a_run(name: str = "sft", namespace: str = "team", uid: str = "u") -> TrainingRun:
    metadata = {"name": name, "namespace": namespace, "uid": uid}
    return TrainingRun.model_validate({"metadata": metadata, "spec": {"run": {"trainingRunId": "r"}}})


def made(wanted: Any) -> dict[str, Any]:
    job = hook_job(call(wanted), wanted, a_run())
    assert isinstance(job, dict), job
    return job


def expanded(value: str) -> str:
    """What a kubelet makes of a value whose variables it does not know: two signs are one (Kubernetes, EnvVar)."""
    return value.replace("$$", "$")


@pytest.mark.pure
def test_each_container_is_told_the_occasion_to_the_letter() -> None:
    """Beside its own variables; what looks like a reference to one is none."""
    own = {"name": "OWN", "value": "x"}
    stale = {"name": "TINKER_OPERATOR_HOOK", "value": "theirs"}
    pod = made(template(CONTAINER | {"env": [own, stale]}, CONTAINER | {"name": "b"}))["spec"]["template"]["spec"]

    assert [one["env"][0]["name"] for one in pod["containers"]] == ["TINKER_OPERATOR_HOOK"] * 2
    assert [expanded(one["env"][0]["value"]) for one in pod["containers"]] == [BODY] * 2
    assert pod["containers"][0]["env"][1:] == [own]
    assert pod["restartPolicy"] == "Never"


@pytest.mark.pure
def test_the_job_goes_with_its_object_and_is_no_trainer_job() -> None:
    """A trainer Job must be alone of its kind, and is looked for by its label."""
    metadata = made(template(metadata={"labels": {"team": "math"}, "annotations": {"a": "b"}}))["metadata"]

    assert metadata["labels"]["team"] == "math"
    assert metadata["labels"][HOOK_UID_LABEL] == "u"
    assert RUN_UID_LABEL not in metadata["labels"]
    assert metadata["annotations"] == {"a": "b"}
    assert metadata["ownerReferences"][0]["uid"] == "u"


@pytest.mark.pure
def test_a_template_is_not_changed() -> None:
    wanted = template(CONTAINER | {"env": [{"name": "A", "value": "b"}]})
    before = json.dumps(wanted)
    made(wanted)
    assert json.dumps(wanted) == before


@pytest.mark.pure
@pytest.mark.parametrize(
    "name", ["r", "a-run", "a.run.with.dots", "n" * 63, "n." * 31 + "n", "n" * 23 + "-" + "n" * 30]
)
def test_a_name_fits_and_is_the_same_each_time(name: str) -> None:
    """At most 63 characters, since it becomes the label of pods."""
    hook = call(template(), "h" * 30).hook
    given = job_name(hook, CALL_ID, a_run(name))
    assert given == job_name(hook, CALL_ID, a_run(name))
    assert len(given) <= 63
    assert "." not in given
    assert "--" not in given
    assert given != job_name(hook, CALL_ID.replace("0c9a", "1c9a"), a_run(name))


MISSHAPEN: dict[str, Any] = {
    "nothing": {},
    "a spec that is text": {"spec": "x"},
    "no pod": {"spec": {}},
    "a pod that is a list": {"spec": {"template": []}},
    "no spec of the pod": {"spec": {"template": {}}},
    "a spec of the pod that is null": {"spec": {"template": {"spec": None}}},
    "no containers": {"spec": {"template": {"spec": {}}}},
    "containers that are a number": {"spec": {"template": {"spec": {"containers": 3}}}},
    "a container that is text": {"spec": {"template": {"spec": {"containers": ["x"]}}}},
    "variables that are text": {"spec": {"template": {"spec": {"containers": [{"env": "A=b"}]}}}},
    "a variable that is text": {"spec": {"template": {"spec": {"containers": [{"env": ["A=b"]}]}}}},
    "metadata that is text": template(metadata="x"),
    "labels that are a list": template(metadata={"labels": ["x"]}),
    "annotations that are text": template(metadata={"annotations": "x"}),
}


@pytest.mark.pure
@pytest.mark.parametrize("what", MISSHAPEN)
def test_a_template_of_another_shape_is_told_of_with_the_hook_and_the_remedy(what: str) -> None:
    """Whatever a user wrote, the round goes on."""
    said = hook_job(call(MISSHAPEN[what]), MISSHAPEN[what], a_run())
    assert isinstance(said, str)
    assert said.startswith("hook tell: job.template")
    assert "as in a Job" in said or "Correct it." in said


class World:
    """A TrainingRun in a namespace of its own, and who tells its hooks."""

    def __init__(self, kubectl: Kubectl, namespace: str, kubeconfig: Path) -> None:
        self.kubectl, self.namespace, self.kubeconfig = kubectl, namespace, kubeconfig
        manifest = {
            "apiVersion": "tinker-operator.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "sft"},
            "spec": {"run": {"trainingRunId": "r"}},
        }
        told = kubectl("create", f"--namespace={namespace}", "-f", "-", "-o", "json", stdin=json.dumps(manifest))
        self.run = TrainingRun.model_validate(json.loads(told.stdout))

    async def call(self, action: CallHook) -> Outcome:
        async with await KubeApi.connect(self.kubeconfig) as api:
            return await HookCaller(api, frozenset()).call(action, self.run)

    def jobs(self) -> list[Any]:
        items: list[Any] = self.kubectl.json("get", "jobs", f"--namespace={self.namespace}")["items"]
        return items


@pytest.fixture
def world(
    control_plane: ControlPlane, crds: tuple[str, ...], kubectl: Kubectl, namespace: str, tmp_path: Path
) -> World:
    """With the operator's own rights, as deploy/ grants them."""
    assert crds
    kubectl("apply", "--server-side", "--force-conflicts", "-k", Path(__file__).parents[2] / "deploy")
    account = "tinker-operator"
    kubeconfig = control_plane.service_account_kubeconfig(account, account, tmp_path / "kubeconfig")
    return World(kubectl, namespace, kubeconfig)


@pytest.mark.cluster
async def test_a_call_makes_one_job_however_often_it_is_repeated(world: World) -> None:
    """A crash between the call and its report repeats it: the Job is there, so it is done."""
    assert [await world.call(call(template())) for _ in range(2)] == [Done(), Done()]

    (job,) = world.jobs()
    (told,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert expanded(told["value"]) == BODY
    assert job["metadata"]["ownerReferences"][0]["name"] == "sft"


@pytest.mark.cluster
async def test_another_occasion_makes_another_job(world: World) -> None:
    await world.call(call(template()))
    await world.call(call(template(), call_id=CALL_ID.replace("0c9a", "1c9a")))

    assert len(world.jobs()) == 2


@pytest.mark.cluster
async def test_a_job_of_a_hook_is_not_among_the_trainer_jobs(world: World) -> None:
    """A hook that fails is no trainer that failed."""
    await world.call(call(template()))
    async with await KubeApi.connect(world.kubeconfig) as api:
        listed = [obj async for obj in api.list_objects(TRAINER_JOBS, world.namespace)]

    assert listed == []
    assert len(world.jobs()) == 1


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        pytest.param(template({"name": "tell"}), "image", id="a container without an image"),
        pytest.param(template({"name": "Tell It", "image": "i"}), "name", id="a container with a bad name"),
        pytest.param(template(CONTAINER | {"imagee": "i"}), "imagee", id="a field that no container has"),
        pytest.param(
            {"spec": {"parallel": 2, "template": {"spec": {"containers": [CONTAINER]}}}},
            "parallel",
            id="a field that no Job has",
        ),
    ],
)
async def test_a_template_that_the_server_refuses_is_told_with_its_words(
    wanted: dict[str, Any], named: str, world: World
) -> None:
    """It is tried again, for the template may be corrected meanwhile."""
    outcome = await world.call(call(wanted))

    assert isinstance(outcome, HookFailed)
    assert named in outcome.message
    assert world.jobs() == []


@pytest.mark.cluster
async def test_without_the_right_to_make_jobs_the_missing_right_is_told(
    world: World, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Where rbac-trainer.yaml was left out."""
    world.kubectl("create", "serviceaccount", "none", f"--namespace={world.namespace}")
    world.kubeconfig = control_plane.service_account_kubeconfig(world.namespace, "none", tmp_path / "none")
    outcome = await world.call(call(template()))

    assert isinstance(outcome, HookFailed)
    assert "'create' on 'jobs'" in outcome.message
