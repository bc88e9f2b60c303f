"""A trainer Job as the core sees it: how it stands, why it failed or does not start, from the Job and its pods.

What a container wrote itself, such as its termination message, is not repeated: it may quote a key.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tinker_operator.api.meta import ATTEMPT_KEY
from tinker_operator.core.world import JobPhase, JobSeen
from tinker_operator.engine.keys import KubeObject

LONGEST_MESSAGE: Final = 400
"""Characters that are kept of what there is to say about a failure."""
NO_ATTEMPT: Final = -1
_RUNTIMES_WORD: Final = ("StartError", "ContainerCannotRun")
"""Reasons for which the message is the container runtime's: the container never ran, and so has written nothing."""
_STARTING: Final = ("", "ContainerCreating", "PodInitializing")
"""Reasons to wait that pass by themselves."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a pod failed.

    Attributes:
        exit_code: That of the container which failed last; None when none ended by itself.
        message: In words.
    """

    exit_code: int | None
    message: str


def job_seen(job: KubeObject, pods: Iterable[KubeObject]) -> JobSeen:
    """Returns the Job as an observation.

    Args:
        job: The Job.
        pods: Pods among which its own are; those of others are passed over.
    """
    metadata = job["metadata"]
    phase, told = standing(job)
    mine = _newest_first(pod for pod in pods if _belongs(pod, metadata["uid"]))
    cause = _cause_in(mine) if phase is JobPhase.FAILED else Cause(None, "")
    said = (cause.message, "" if told.get("reason") == "BackoffLimitExceeded" else told.get("message", ""))
    unwell = _trouble_of(job, mine) if phase is JobPhase.RUNNING else ""
    return JobSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        attempt=attempt_of(job),
        phase=phase,
        reason=told.get("reason", "") if phase is JobPhase.FAILED else "",
        message=bounded(". ".join(filter(None, said))) if phase is JobPhase.FAILED else unwell,
        exit_code=cause.exit_code,
        finished_at=_time(_finish(job, told)) if told else None,
    )


def needs_pods(job: KubeObject) -> bool:
    """Tells whether the pods of a Job know more than it does: why it failed, or why it does not start."""
    phase, _ = standing(job)
    started = bool((job.get("status") or {}).get("ready"))
    return phase is JobPhase.FAILED or (phase is JobPhase.RUNNING and (not started or _is_failing(job)))


def standing(job: KubeObject) -> tuple[JobPhase, dict[str, Any]]:
    """Returns how the Job stands, with the condition that says how it ended; {} while it has not.

    A Job whose failure or success is certain still counts as running while it waits for its pods to end, which is
    when Kubernetes has not yet set the condition.
    """
    status = job.get("status") or {}
    ends = {JobPhase.FAILED: "Failed", JobPhase.SUCCEEDED: "Complete"}
    true = {one.get("type"): one for one in status.get("conditions") or () if one.get("status") == "True"}
    phase, told = next(
        ((phase, true[kind]) for phase, kind in ends.items() if kind in true), (JobPhase.RUNNING, dict[str, Any]())
    )
    return (JobPhase.DELETING if job["metadata"].get("deletionTimestamp") else phase), told


def _is_failing(job: KubeObject) -> bool:
    """Tells whether the failure is certain while a pod still ends; with it go the words about the restarts before."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "FailureTarget" and one.get("status") == "True" for one in conditions)


def _trouble_of(job: KubeObject, newest: list[KubeObject]) -> str:
    """What there is to say of a Job that runs: why it is about to fail, or why it does not start."""
    if not _is_failing(job):
        return hindrance_of(newest[0]) if newest else ""
    cause = _cause_in(newest)
    code = f"Exit code {cause.exit_code}" if cause.exit_code is not None else ""
    return bounded(". ".join(filter(None, (code, cause.message))))


def attempt_of(job: KubeObject) -> int:
    """Returns the attempt that the Job was made for; -1 when somebody has taken that word away."""
    text = str((job["metadata"].get("annotations") or {}).get(ATTEMPT_KEY, ""))
    return int(text) if text.isdecimal() else NO_ATTEMPT


def cause_of(pod: KubeObject) -> Cause:
    """Returns why a pod failed, as far as it tells."""
    status = pod.get("status") or {}
    # What ended in a pod that is being deleted may have ended of that; what was restarted before had failed by itself.
    states = ("lastState", "state") if pod["metadata"].get("deletionTimestamp") else ("state", "lastState")
    container, ended = _last_failure(status, states)
    words = [*_container_words(container, ended), *_pod_words(status)]
    code = ended.get("exitCode")
    return Cause(code if isinstance(code, int) else None, bounded(". ".join(words)))


def hindrance_of(pod: KubeObject) -> str:
    """Returns why a pod does not run, by the kubelet or the scheduler; "" when it does, or merely has not yet.

    An image that cannot be had, a Secret that is not there, a node with too little memory: nothing of it ends the Job.
    """
    status = pod.get("status") or {}
    words = [*_waits(status), *_unscheduled(status)]
    return bounded(words[0]) if words else ""


def bounded(text: str) -> str:
    """Returns the text on one line, cut to what a status can hold."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…"


def _newest_first(pods: Iterable[KubeObject]) -> list[KubeObject]:
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)


def _waits(status: dict[str, Any]) -> Iterator[str]:
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (one.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason not in _STARTING:
            yield f"Container {one.get('name', '')} does not start: {reason}" + _said(waiting)


def _unscheduled(status: dict[str, Any]) -> Iterator[str]:
    for one in status.get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            yield f"Pod: {one.get('reason') or 'not scheduled'}" + _said(one)


def _said(told: dict[str, Any]) -> str:
    message = str(told.get("message") or "").rstrip(". ")
    return f": {message}" if message else ""


def _cause_in(newest: list[KubeObject]) -> Cause:
    """The cause of the newest pod that tells of one."""
    causes = (cause_of(pod) for pod in newest)
    return next((one for one in causes if one != Cause(None, "")), Cause(None, ""))


def _last_failure(status: dict[str, Any], states: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    """The container that failed last, and how; one of the loop's before one that only prepared or accompanied it."""
    for field in ("containerStatuses", "initContainerStatuses"):
        failed = list(_failures(status.get(field) or (), states))
        if failed:
            return max(failed, key=lambda one: str(one[1].get("finishedAt", "")))
    return "", {}


def _failures(statuses: Iterable[dict[str, Any]], states: tuple[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in statuses:
        for state in states:
            ended = (one.get(state) or {}).get("terminated") or {}
            if ended.get("exitCode"):
                yield str(one.get("name", "")), ended
                break


def _container_words(container: str, ended: dict[str, Any]) -> Iterator[str]:
    reason = str(ended.get("reason") or "")
    if reason in {"", "Error", "Completed"}:
        return
    said = f": {str(ended.get('message', '')).rstrip('.')}" if reason in _RUNTIMES_WORD else ""
    yield f"Container {container}: {reason}{said}"


def _pod_words(status: dict[str, Any]) -> Iterator[str]:
    """What the kubelet or another controller says of the pod as a whole: Evicted, preempted, drained."""
    disrupted = [
        one
        for one in status.get("conditions") or ()
        if one.get("type") == "DisruptionTarget" and one.get("status") == "True"
    ]
    for one in (status, *disrupted):
        if one.get("reason"):
            yield f"Pod: {one['reason']}" + _said(one)


def _belongs(pod: KubeObject, uid: str) -> bool:
    return any(one.get("uid") == uid for one in pod["metadata"].get("ownerReferences") or ())


def _finish(job: KubeObject, told: dict[str, Any]) -> object:
    return (job.get("status") or {}).get("completionTime") or told.get("lastTransitionTime")


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
