"""Answers the questions of a decision, one at a time. A missing answer is a Fault, never a guess."""

from tinker_operator.controllers.jobs import trainer_jobs_answer
from tinker_operator.controllers.translate import (
    KEY_OR_PACE,
    fault_of,
    kube_fault,
    observed_checkpoint,
    observed_run,
    weights_seen,
)
from tinker_operator.core.world import (
    Absent,
    Answer,
    CheckpointsOf,
    Fault,
    HandOverSeen,
    Question,
    ReadHandOver,
    RunById,
    TrainerJobs,
    WeightsOf,
    WeightsSeen,
)
from tinker_operator.engine.keys import KubeObject
from tinker_operator.engine.kube import CONFIG_MAPS, KubeApi
from tinker_operator.engine.kube_errors import KubeError
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import (
    NotFound,
    StatusError,
    TinkerError,
)
from tinker_operator.tinker.paths import TinkerPath

HAND_OVER_ENTRY = "handover.json"


async def remote_answer(question: CheckpointsOf | WeightsOf | RunById, client: TinkerClient) -> Answer:
    """Returns the service's answer; a service that says it does not have it answers Absent."""
    try:
        match question:
            case CheckpointsOf(run_id=run_id):
                return tuple(observed_checkpoint(one, run_id) for one in await client.checkpoints(run_id))
            case WeightsOf(path=path):
                return weights_seen(await client.weights_info(TinkerPath.listed(path)))
            case RunById(run_id=run_id):
                return observed_run(await client.get_training_run(run_id))
    except NotFound:
        return Absent()
    except StatusError as error:
        return await _without(question, client, error)
    except TinkerError as error:
        return fault_of(error)


async def _without(question: Question, client: TinkerClient, error: StatusError) -> Answer:
    """Answers otherwise where the service refuses the direct question, or fails at it.

    What it cannot tell of a checkpoint is not held against it, because the load itself is the proof. Whether a run
    exists follows from the listing, too.
    """
    if isinstance(error, KEY_OR_PACE):
        return fault_of(error)
    if isinstance(question, WeightsOf):
        return WeightsSeen(None, is_lora=True, lora_rank=None)
    if isinstance(question, RunById):
        try:
            listed = [run for run in await client.training_runs() if run.training_run_id == question.run_id]
        except TinkerError as second:
            return fault_of(second)
        return observed_run(listed[0]) if listed else Absent()
    return fault_of(error)


async def hand_over_answer(question: ReadHandOver, owner: KubeObject, api: KubeApi) -> Answer:
    """Returns what the hand-over ConfigMap says, and whether it is this object's."""
    metadata = owner["metadata"]
    try:
        found = await api.get_object(CONFIG_MAPS, metadata["namespace"], question.name)
    except KubeError as error:
        return kube_fault(error)
    if found is None:
        return HandOverSeen(None)
    owners = {reference["uid"] for reference in found["metadata"].get("ownerReferences") or ()}
    document = (found.get("data") or {}).get(HAND_OVER_ENTRY)
    version = found["metadata"]["resourceVersion"]
    return HandOverSeen(document, foreign=metadata["uid"] not in owners, version=version)


async def answer(question: Question, owner: KubeObject, api: KubeApi, client: TinkerClient | Fault) -> Answer:
    """Returns the answer to any question.

    Args:
        question: What to find out.
        owner: The object that the decision is about.
        api: The Kubernetes API.
        client: The object's service, or why there is none.
    """
    if isinstance(question, ReadHandOver):
        return await hand_over_answer(question, owner, api)
    if isinstance(question, TrainerJobs):
        return await trainer_jobs_answer(owner, api)
    if isinstance(client, Fault):
        return client
    return await remote_answer(question, client)
