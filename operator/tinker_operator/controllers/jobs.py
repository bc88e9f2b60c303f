"""The trainer Jobs of mode Relaunch at the API server: looked at, made, deleted. What and when is decided in `core`.

They are always looked up in the cluster itself: the watch only says when a look is worth while.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.job_causes import job_seen, needs_pods
from tinker_operator.controllers.objects import TRAINING_RUNS, key_of_run
from tinker_operator.controllers.translate import kube_fault
from tinker_operator.core.belongings import RUN_UID_LABEL
from tinker_operator.core.trainer_job import trainer_job
from tinker_operator.core.world import (
    Answer,
    CreateTrainerJob,
    DeleteTrainerJob,
    Done,
    Fault,
    JobsSeen,
    Outcome,
)
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeError, KubeForbidden, KubeRejected, ObjectGone, WriteConflict
from tinker_operator.tinker.client import TinkerClient

TRAINER_JOBS = Resource("batch", "v1", "jobs", "Job", selector=RUN_UID_LABEL)
"""The Jobs that were made for a TrainingRun, and no others of the cluster."""
PODS = Resource("", "v1", "pods", "Pod")


async def trainer_jobs_answer(owner: KubeObject, api: KubeApi) -> Answer:
    """Returns every trainer Job of an object, those being deleted too; with the cause where one failed or is held up.

    Args:
        owner: The TrainingRun.
        api: The Kubernetes API.
    """
    metadata = owner["metadata"]
    mine = f"{RUN_UID_LABEL}={metadata['uid']}"
    try:
        jobs = await _listed(replace(TRAINER_JOBS, selector=mine), metadata["namespace"], api)
        unclear = any(needs_pods(job) for job in jobs)
        pods = await _pods(replace(PODS, selector=mine), metadata["namespace"], api) if unclear else []
    except KubeError as error:
        return kube_fault(error)
    return JobsSeen(tuple(job_seen(job, pods) for job in jobs))


async def _pods(resource: Resource, namespace: str, api: KubeApi) -> list[KubeObject]:
    """The pods; none where they may not be listed: that a Job failed is known without them, only not why."""
    try:
        return await _listed(resource, namespace, api)
    except KubeForbidden:
        return []


async def _listed(resource: Resource, namespace: str, api: KubeApi) -> list[KubeObject]:
    return [obj async for obj in api.list_objects(resource, namespace)]


async def create_trainer_job(
    action: CreateTrainerJob, run: TrainingRun, api: KubeApi, client: TinkerClient | Fault
) -> Outcome:
    """Makes the Job of an attempt; one that is there already and is this object's is the same Job.

    Args:
        action: Which one.
        run: The object that it is made for.
        api: The Kubernetes API.
        client: The object's service: the Job asks the same one. Where there is none, its Secret may tell.
    """
    base_url = None if isinstance(client, Fault) else client.base_url
    job = trainer_job(run, action.name, action.attempt, base_url)
    if isinstance(job, Fault):
        return job
    try:
        await api.create(TRAINER_JOBS, run.metadata.namespace, job, strict=True)
    except WriteConflict:
        return await _already_there(action, run, api)
    except KubeRejected as error:
        return Fault(Reason.TRAINER_INVALID, f"{error.message} Correct spec.trainer.template.", needs_user=True)
    except KubeError as error:
        return kube_fault(error)
    return Done()


async def _already_there(action: CreateTrainerJob, run: TrainingRun, api: KubeApi) -> Outcome:
    try:
        found = await api.get_object(TRAINER_JOBS, run.metadata.namespace, action.name)
    except KubeError as error:
        return kube_fault(error)
    mine = found is not None and (found["metadata"].get("labels") or {}).get(RUN_UID_LABEL) == run.metadata.uid
    # What belongs to an object of this name, but another uid, goes with that one: the garbage collector is at it.
    former = found is not None and not mine and owning_run(found) == key_of_run(run)
    if found is None or former or found["metadata"].get("deletionTimestamp"):
        message = f"A former Job {action.name} is being deleted. The new one is made when it is gone."
        return Fault(Reason.TRAINER_CONFLICT, message)
    if mine:
        return Done()
    message = f"Job {action.name} exists and does not belong to this TrainingRun. Delete or rename it."
    return Fault(Reason.TRAINER_CONFLICT, message, needs_user=True)


async def delete_trainer_job(action: DeleteTrainerJob, run: TrainingRun, api: KubeApi) -> Outcome:
    """Has a Job deleted, after its pods: it stays listed until the last of them has ended. One that is gone is done.

    Args:
        action: Which one.
        run: The object that it was made for.
        api: The Kubernetes API.
    """
    namespace = run.metadata.namespace
    try:
        await api.delete(TRAINER_JOBS, ObjectKey(TRAINER_JOBS.kind, namespace, action.name), uid=action.uid)
    except ObjectGone:
        return Done()
    except WriteConflict as conflict:
        return await _unless_replaced(action, namespace, api, conflict)
    except KubeError as error:
        return kube_fault(error)
    return Done()


async def _unless_replaced(action: DeleteTrainerJob, namespace: str, api: KubeApi, conflict: WriteConflict) -> Outcome:
    """Another Job of that name means that this one is gone; else somebody wrote to it, and it is tried again."""
    try:
        found = await api.get_object(TRAINER_JOBS, namespace, action.name)
    except KubeError as error:
        return kube_fault(error)
    replaced = found is None or found["metadata"]["uid"] != action.uid
    return Done() if replaced else kube_fault(conflict)


def owning_run(job: KubeObject) -> ObjectKey | None:
    """Returns the TrainingRun that a Job belongs to; None when it belongs to none."""
    metadata = job["metadata"]
    names = (
        one["name"]
        for one in metadata.get("ownerReferences") or ()
        if one["kind"] == TRAINING_RUNS.kind and one["apiVersion"].partition("/")[0] == TRAINING_RUNS.group
    )
    name = next(names, None)
    return None if name is None else ObjectKey(TRAINING_RUNS.kind, metadata["namespace"], name)


def trimmed_job(job: KubeObject) -> KubeObject:
    """Returns what the store keeps of a Job: enough to tell whom it wakes, and when."""
    kept = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "ownerReferences")
    return {"metadata": _only(job["metadata"], kept), "status": _only(job.get("status") or {}, ("conditions",))}


def _only(value: dict[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {field: value[field] for field in fields if field in value}
