"""The Jobs of exports at the API server: made and looked at, by name. What and when is decided in `core`."""

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_status import ExportRecord, ExportState
from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.translate import kube_fault
from tinker_operator.core.export_job import POLICY_UID_LABEL, export_job
from tinker_operator.core.policy_export import JobFate
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import KubeObject, Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeError, KubeRejected, WriteConflict
from tinker_operator.tinker.client import TinkerClient

JOBS = Resource("batch", "v1", "jobs", "Job")


async def see_to_export(
    record: ExportRecord,
    policy: CheckpointPolicy,
    run: TrainingRun | None,
    api: KubeApi,
    *,
    image: str | None,
    client: TinkerClient | Fault,
    make: bool,
) -> JobFate | Fault:
    """Makes the Job of an export that stands in status, or looks at it when it was made.

    Args:
        record: The export.
        policy: Whose it is.
        run: The TrainingRun of the checkpoint; None when it is gone.
        api: The Kubernetes API.
        image: What the Job runs unless the policy says; None when the operator was not told.
        client: The service of the checkpoint, or why there is none; the Job asks the same one with the same key.
        make: Whether a Job that is not there may be made still.
    """
    try:
        found = await api.get_object(JOBS, policy.metadata.namespace, record.job)
        if found is not None:
            return _fate(found, policy)
        if record.state is ExportState.RUNNING or not make:
            return JobFate.GONE
        return await _made(record, policy, run, api, image=image, client=client)
    except KubeRejected as error:
        return Fault(Reason.EXPORT_HELD_UP, f"{error.message} Correct spec.export.job.", needs_user=True)
    except WriteConflict:
        return JobFate.MADE
    except KubeError as error:
        return kube_fault(error)


async def _made(
    record: ExportRecord,
    policy: CheckpointPolicy,
    run: TrainingRun | None,
    api: KubeApi,
    *,
    image: str | None,
    client: TinkerClient | Fault,
) -> JobFate | Fault:
    export = policy.spec.export
    chosen = (export.job.image if export is not None else None) or image
    if export is None or chosen is None:
        message = "No image is known for the Job. Set spec.export.job.image, or TINKER_OPERATOR_IMAGE of the operator."
        return Fault(Reason.EXPORT_HELD_UP, message, needs_user=True)
    if run is None or run.spec.credentials_ref is None:
        message = (
            f"TrainingRun {record.training_run} names no Secret with a key, and the operator's own is given to no Job. "
            "Set its spec.credentialsRef."
        )
        return Fault(Reason.EXPORT_HELD_UP, message, needs_user=True)
    if isinstance(client, Fault):
        return client
    job = export_job(policy, export, record, run, image=chosen, base_url=client.base_url)
    await api.create(JOBS, policy.metadata.namespace, job, strict=True)
    return JobFate.MADE


def _fate(job: KubeObject, policy: CheckpointPolicy) -> JobFate | Fault:
    metadata = job["metadata"]
    if (metadata.get("labels") or {}).get(POLICY_UID_LABEL) != policy.metadata.uid:
        message = f"Job {metadata['name']} exists and does not belong to this policy. Delete or rename it."
        return Fault(Reason.EXPORT_HELD_UP, message, needs_user=True)
    ended = {one["type"] for one in (job.get("status") or {}).get("conditions") or () if one["status"] == "True"}
    if "Complete" in ended:
        return JobFate.SUCCEEDED
    if "Failed" in ended:
        return JobFate.FAILED
    return JobFate.GONE if metadata.get("deletionTimestamp") else JobFate.MADE
