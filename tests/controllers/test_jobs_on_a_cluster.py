"""Trainer Jobs on a real API server with the real Job controller; the tests are the kubelet, which it lacks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.actuator import perform
from tinker_operator.controllers.jobs import TRAINER_JOBS, trainer_jobs_answer, trimmed_job
from tinker_operator.controllers.observer import answer
from tinker_operator.controllers.starting import RESOURCES, watched_resources
from tinker_operator.controllers.wakes import wakes
from tinker_operator.core.world import (
    CreateTrainerJob,
    DeleteTrainerJob,
    Done,
    Fault,
    JobPhase,
    JobSeen,
    JobsSeen,
    Outcome,
    TrainerJobs,
)
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kopf_source import KopfSource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.resync import Resync
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.cluster

NO_SERVICE = Fault(Reason.OBSERVING, "Jobs are no matter of the service's.")
LOOP = {"name": "loop", "image": "loop:1"}
NAME = "sft-a1"
OTHER_JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "theirs"},
    "spec": {"template": {"spec": {"containers": [LOOP], "restartPolicy": "Never"}}},
}


async def until(look: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Returns the first answer that is true; fails with what never came."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := look()):  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not within {seconds:g} s: {what}")
    return found


@dataclass
class World:
    """A TrainingRun in a namespace of its own, and who looks at it."""

    kubectl: Kubectl
    namespace: str
    kubeconfig: Path

    def apply(self, manifest: Any) -> Any:
        return json.loads(
            self.kubectl(
                "apply", "--namespace", self.namespace, "-o", "json", "-f", "-", stdin=json.dumps(manifest)
            ).stdout
        )

    def training_run(self, name: str = "sft", pod: Any = None, **spec: Any) -> Any:
        """Makes a TrainingRun whose trainer is a Job with one container, changed as asked."""
        template = {"spec": {"template": {"spec": {"containers": [LOOP]} | (pod or {})}, **spec}}
        wanted = {
            "run": {"trainingRunId": "r"},
            "credentialsRef": {"name": "tinker"},
            "recovery": {"enabled": True, "mode": "Relaunch"},
            "trainer": {"template": template},
        }
        head = {"apiVersion": "tinker-operator.dev/v1alpha1", "kind": "TrainingRun"}
        return self.apply({**head, "metadata": {"name": name}, "spec": wanted})

    def get(self, kind: str, name: str) -> Any:
        return self.kubectl.json("get", kind, name, "--namespace", self.namespace)

    def all(self, kind: str) -> list[Any]:
        items: list[Any] = self.kubectl.json("get", kind, "--namespace", self.namespace)["items"]
        return items

    def patch(self, kind: str, name: str, change: Any, *how: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "--namespace", self.namespace, *how, "-p", json.dumps(change))

    async def pod(self) -> Any:
        """Returns the pod that the Job controller made."""
        return (await until(lambda: self.all("pods"), "a pod of the Job"))[0]

    async def end_pod(self, **status: Any) -> None:
        """Ends the pod as the kubelet does."""
        name = (await self.pod())["metadata"]["name"]
        self.patch("pod", name, {"status": status}, "--subresource=status")

    @asynccontextmanager
    async def api(self) -> AsyncIterator[KubeApi]:
        async with await KubeApi.connect(self.kubeconfig) as api:
            yield api

    async def perform(self, action: CreateTrainerJob | DeleteTrainerJob, owner: Any) -> Outcome:
        async with self.api() as api:
            return await perform(action, TrainingRun.model_validate(owner), api, NO_SERVICE)

    async def jobs(self, owner: Any) -> tuple[JobSeen, ...]:
        """Returns the Jobs that a decision is told of."""
        async with self.api() as api:
            seen = await answer(TrainerJobs(), owner, api, NO_SERVICE)
        assert isinstance(seen, JobsSeen), seen
        return seen.jobs

    async def ended(self, owner: Any) -> JobSeen:
        """Returns the one Job, once it has ended."""
        for _ in range(300):
            (job,) = await self.jobs(owner)
            if job.phase is not JobPhase.RUNNING:
                return job
            await asyncio.sleep(0.1)
        pytest.fail("the Job never ended")


@pytest.fixture
def world(control_plane: ControlPlane, crds: tuple[str, ...], kubectl: Kubectl, namespace: str) -> Iterator[World]:
    """As administrator; pods that a test held back are let go."""
    assert crds
    made = World(kubectl, namespace, control_plane.admin_kubeconfig)
    yield made
    for pod in made.all("pods"):
        if pod["metadata"].get("finalizers"):
            made.patch("pod", pod["metadata"]["name"], {"metadata": {"finalizers": None}})


def terminated(code: int, reason: str = "Error", phase: str = "Failed") -> Any:
    """Returns the status of a pod whose container ended."""
    moments = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}
    state = {"terminated": {"exitCode": code, "reason": reason, **moments}}
    container = {"name": "loop", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"phase": phase, "containerStatuses": [container]}


async def test_a_job_is_made_once_and_its_pod_knows_the_attempt(world: World) -> None:
    """Told twice it is the same Job."""
    owner = world.training_run()
    create = CreateTrainerJob(NAME, 1)

    assert await world.perform(create, owner) == Done()
    first = world.get("job", NAME)
    assert await world.perform(create, owner) == Done()

    assert [one["metadata"]["uid"] for one in world.all("jobs")] == [first["metadata"]["uid"]]
    assert await world.jobs(owner) == (JobSeen(NAME, first["metadata"]["uid"], 1, JobPhase.RUNNING),)
    assert (first["spec"]["backoffLimit"], first["spec"]["podReplacementPolicy"]) == (0, "Failed")
    spec = (await world.pod())["spec"]
    assert spec["restartPolicy"] == "Never"
    told = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
    assert (told["TINKER_OPERATOR_ATTEMPT"], told["TINKER_API_KEY"]) == ("1", None)
    assert "sft-handover" in [one.get("configMap", {}).get("name") for one in spec["volumes"]]


async def test_jobs_of_others_are_not_seen(world: World) -> None:
    """Neither another TrainingRun's nor one that is nobody's."""
    owner, other = world.training_run(), world.training_run("other")
    await world.perform(CreateTrainerJob("other-a1", 1), other)
    world.apply(OTHER_JOB)

    assert await world.jobs(owner) == ()
    assert [one.name for one in await world.jobs(other)] == ["other-a1"]


async def test_a_job_of_somebody_else_is_left_alone_and_told_of(world: World) -> None:
    """Only a person can tell whether it may go."""
    owner = world.training_run()
    before = world.apply(OTHER_JOB | {"metadata": {"name": NAME}})["metadata"]["uid"]

    fault = await world.perform(CreateTrainerJob(NAME, 1), owner)

    assert isinstance(fault, Fault)
    assert (fault.reason, fault.needs_user) == (Reason.TRAINER_CONFLICT, True)
    assert fault.message == f"Job {NAME} exists and does not belong to this TrainingRun. Delete or rename it."
    assert world.get("job", NAME)["metadata"]["uid"] == before


async def held(world: World) -> str:
    """Keeps the pod of the Job from going, as a node that does not answer does; returns its name."""
    name: str = (await world.pod())["metadata"]["name"]
    world.patch("pod", name, {"metadata": {"finalizers": ["tests.tinker-operator.dev/held"]}})
    return name


async def test_a_job_stays_listed_until_its_last_pod_is_gone(world: World) -> None:
    """And no other takes its place meanwhile: two loops would train at once."""
    owner = world.training_run()
    await world.perform(CreateTrainerJob(NAME, 1), owner)
    pod = await held(world)
    (job,) = await world.jobs(owner)
    delete = DeleteTrainerJob(NAME, job.uid)

    assert await world.perform(delete, owner) == Done()
    await until(lambda: world.get("pod", pod)["metadata"].get("deletionTimestamp"), "the pod to be told to end")
    assert [one.phase for one in await world.jobs(owner)] == [JobPhase.DELETING]
    again = await world.perform(CreateTrainerJob(NAME, 1), owner)
    assert isinstance(again, Fault)
    assert (again.reason, again.needs_user) == (Reason.TRAINER_CONFLICT, False)
    assert await world.perform(delete, owner) == Done()

    world.patch("pod", pod, {"metadata": {"finalizers": None}})
    await until(lambda: not world.all("jobs"), "the Job to be gone")
    assert await world.jobs(owner) == ()
    assert await world.perform(delete, owner) == Done()
    assert await world.perform(CreateTrainerJob(NAME, 1), owner) == Done()


async def test_a_job_of_another_uid_is_not_deleted(world: World) -> None:
    """The one that was meant is gone then."""
    owner = world.training_run()
    await world.perform(CreateTrainerJob(NAME, 1), owner)
    (job,) = await world.jobs(owner)

    assert await world.perform(DeleteTrainerJob(NAME, "00000000-0000-0000-0000-000000000000"), owner) == Done()
    assert await world.jobs(owner) == (job,)


async def test_an_object_that_is_made_anew_waits_for_its_predecessors_job(world: World) -> None:
    """The garbage collector deletes that one; it is neither taken over nor anybody's fault."""
    former = world.training_run()
    await world.perform(CreateTrainerJob(NAME, 1), former)
    world.patch("job", NAME, {"metadata": {"finalizers": ["tests.tinker-operator.dev/held"]}})
    world.kubectl("delete", "trainingrun", "sft", "--namespace", world.namespace)
    owner = world.training_run()

    fault = await world.perform(CreateTrainerJob(NAME, 1), owner)
    assert isinstance(fault, Fault)
    assert (fault.reason, fault.needs_user) == (Reason.TRAINER_CONFLICT, False)
    assert await world.jobs(owner) == ()

    world.patch("job", NAME, {"metadata": {"finalizers": None}})
    # The garbage collector learns of a new kind of owner every half a minute.
    await until(lambda: not world.all("jobs"), "the former Job to be gone", 90)
    assert await world.perform(CreateTrainerJob(NAME, 1), owner) == Done()
    assert [one.attempt for one in await world.jobs(owner)] == [1]


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "no container": ({"pod": {"containers": []}}, "spec.template.spec.containers"),
    "a misspelt field": ({"pod": {"restartPolcy": "Never"}}, "restartPolcy"),
    "a value of another type": ({"backoffLimit": "many"}, "backoffLimit"),
    "a policy that Kubernetes does not know": ({"pod": {"restartPolicy": "Sometimes"}}, "restartPolicy"),
    "two loops at once": ({"parallelism": 2}, "spec.parallelism"),
}


@pytest.mark.parametrize("name", INVALID)
async def test_a_template_that_is_refused_is_its_authors_to_correct(world: World, name: str) -> None:
    """In the API server's own words, with the field."""
    said, field = INVALID[name]
    fault = await world.perform(CreateTrainerJob(NAME, 1), world.training_run(**said))

    assert isinstance(fault, Fault)
    assert (fault.reason, fault.needs_user) == (Reason.TRAINER_INVALID, True)
    assert field in fault.message
    assert "spec.trainer.template" in fault.message
    assert world.all("jobs") == []


async def test_a_quota_is_told_as_the_cluster_tells_it(world: World) -> None:
    """It is no fault of the template's."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    world.apply({**quota, "spec": {"hard": {"count/jobs.batch": "0"}}})
    await until(lambda: world.get("resourcequota", "q")["status"].get("hard"), "the quota to hold")

    fault = await world.perform(CreateTrainerJob(NAME, 1), world.training_run())

    assert isinstance(fault, Fault)
    assert (fault.reason, fault.needs_user) == (Reason.KUBERNETES_FAULT, True)
    assert "exceeded quota: q" in fault.message
    assert "change the rule, or what the rule objects to" in fault.message


FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, int | None, str]]] = {
    "an exit code": ({}, terminated(3), ("BackoffLimitExceeded", 3, "")),
    "no memory": ({}, terminated(137, "OOMKilled"), ("BackoffLimitExceeded", 137, "Container loop: OOMKilled")),
    "an eviction": (
        {},
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
        ("BackoffLimitExceeded", None, "Pod: Evicted: The node was low on resource: memory"),
    ),
    "a rule of the template": (
        {
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}],
            },
            "backoffLimit": 6,
        },
        terminated(42),
        ("PodFailurePolicy", 42, "failed with exit code 42 matching FailJob rule"),
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failed_job_tells_why(world: World, name: str) -> None:
    """As the Job controller says, and as its pod does."""
    spec, status, (reason, code, words) = FAILURES[name]
    owner = world.training_run(**spec)
    await world.perform(CreateTrainerJob(NAME, 1), owner)
    await world.end_pod(**status)

    job = await world.ended(owner)

    assert (job.phase, job.reason, job.exit_code) == (JobPhase.FAILED, reason, code)
    assert words in job.message
    assert job.finished_at is not None


async def test_a_job_that_took_too_long_tells_so(world: World) -> None:
    """Its pod is gone by then, and can tell nothing."""
    owner = world.training_run(activeDeadlineSeconds=1)
    await world.perform(CreateTrainerJob(NAME, 1), owner)

    job = await world.ended(owner)

    assert (job.phase, job.reason, job.exit_code) == (JobPhase.FAILED, "DeadlineExceeded", None)
    assert "longer than specified deadline" in job.message


async def test_a_job_that_succeeded_tells_when(world: World) -> None:
    """And has nothing to explain."""
    owner = world.training_run()
    await world.perform(CreateTrainerJob(NAME, 1), owner)
    await world.end_pod(**terminated(0, "Completed", "Succeeded"))

    job = await world.ended(owner)

    assert (job.phase, job.reason, job.message, job.exit_code) == (JobPhase.SUCCEEDED, "", "", None)
    assert job.finished_at is not None


def clock() -> datetime:
    """The real one: kopf tells by it whether credentials have expired."""
    return datetime.now(UTC)  # noqa: TID251 - a test is a composition root


@asynccontextmanager
async def watching(world: World, store: Store) -> AsyncIterator[None]:
    """The watch of Jobs, into the store."""
    source = KopfSource((TRAINER_JOBS,), kubeconfig=world.kubeconfig, namespaces=[world.namespace], clock=clock)
    running = asyncio.create_task(source.run(store))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=10)


async def test_the_watch_wakes_whom_a_job_was_made_for(world: World) -> None:
    """When it comes, fails and goes; other Jobs of the cluster never come near the operator."""
    store, woken = Store({TRAINER_JOBS.kind: trimmed_job}), list[ObjectKey]()
    store.listen(lambda change: woken.extend(wakes(store, change)))
    owner = world.training_run()
    world.apply(OTHER_JOB | {"spec": {**OTHER_JOB["spec"], "suspend": True}})
    async with watching(world, store):
        await world.perform(CreateTrainerJob(NAME, 1), owner)
        await until(lambda: woken, "word of the new Job")
        await world.end_pod(**terminated(1))
        failed = await world.ended(owner)
        await until(lambda: len(woken) > 1, "word of its failure")
        known = len(woken)
        await world.perform(DeleteTrainerJob(NAME, failed.uid), owner)
        await until(lambda: not store.by_kind("Job"), "word of its end")
        assert len(woken) > known
        assert {*woken} == {ObjectKey("TrainingRun", world.namespace, "sft")}


async def test_the_listing_takes_the_same_jobs_and_keeps_little_of_them(world: World) -> None:
    """Ten thousand Jobs with templates of kilobytes would cost more than everything else together."""
    owner = world.training_run()
    await world.perform(CreateTrainerJob(NAME, 1), owner)
    world.apply(OTHER_JOB)
    store = Store({TRAINER_JOBS.kind: trimmed_job})
    async with world.api() as api:
        resync = Resync(
            api, store, (TRAINER_JOBS,), namespaces=[world.namespace], interval_seconds=60, monotonic=lambda: 0.0
        )
        running = asyncio.create_task(resync.run())
        await asyncio.wait_for(resync.synced.wait(), 20)
        running.cancel()

    ((key, kept),) = store.by_kind("Job").items()
    assert key.name == NAME
    assert set(kept) == {"metadata", "status"}
    assert len(json.dumps(kept)) < 700


async def test_an_operator_without_the_right_to_jobs_says_which_is_missing(
    world: World, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """It watches what it may, and the objects that need more are told."""
    world.kubectl("create", "serviceaccount", "nobody", "--namespace", world.namespace)
    owner = world.training_run()
    nobody = control_plane.service_account_kubeconfig(world.namespace, "nobody", tmp_path / "nobody")
    limited = World(world.kubectl, world.namespace, nobody)
    async with limited.api() as api:
        assert await watched_resources(api, (world.namespace,)) == RESOURCES
        seen = await trainer_jobs_answer(owner, api)
    made = await limited.perform(CreateTrainerJob(NAME, 1), owner)
    deleted = await limited.perform(DeleteTrainerJob(NAME, "u"), owner)

    for fault, verb in ((seen, "list"), (made, "create"), (deleted, "delete")):
        assert isinstance(fault, Fault)
        assert (fault.reason, fault.needs_user) == (Reason.KUBERNETES_FAULT, True)
        assert f"Grant the verb '{verb}' on 'jobs' of API group 'batch'" in fault.message


async def test_rights_in_some_namespaces_are_enough_for_an_operator_of_those(
    world: World, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """And are not for one of all namespaces, nor for one that serves another besides."""
    where = ("--namespace", world.namespace)
    world.kubectl("create", "serviceaccount", "some", *where)
    world.kubectl("create", "role", "trainer", "--verb=list,watch", "--resource=jobs.batch", *where)
    world.kubectl("create", "rolebinding", "t", "--role=trainer", f"--serviceaccount={world.namespace}:some", *where)
    some = control_plane.service_account_kubeconfig(world.namespace, "some", tmp_path / "some")

    async with World(world.kubectl, world.namespace, some).api() as api:
        assert await watched_resources(api, (world.namespace,)) == (*RESOURCES, TRAINER_JOBS)
        assert await watched_resources(api, (world.namespace, "default")) == RESOURCES
        assert await watched_resources(api, ()) == RESOURCES


async def test_a_failed_job_is_told_of_even_where_pods_may_not_be_listed(
    world: World, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Only the cause is missing then."""
    where = ("--namespace", world.namespace)
    owner = world.training_run()
    await world.perform(CreateTrainerJob(NAME, 1), owner)
    await world.end_pod(**terminated(3))
    await world.ended(owner)
    world.kubectl("create", "serviceaccount", "half", *where)
    world.kubectl("create", "role", "half", "--verb=list", "--resource=jobs.batch", *where)
    world.kubectl("create", "rolebinding", "half", "--role=half", f"--serviceaccount={world.namespace}:half", *where)
    half = control_plane.service_account_kubeconfig(world.namespace, "half", tmp_path / "half")

    (job,) = await World(world.kubectl, world.namespace, half).jobs(owner)

    assert (job.phase, job.reason, job.exit_code) == (JobPhase.FAILED, "BackoffLimitExceeded", None)
