"""How a Job stands and why it failed, in the words that status shows: a table of what clusters say."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tinker_operator.controllers.job_causes import LONGEST_MESSAGE, job_seen, needs_pods
from tinker_operator.core.world import JobPhase

pytestmark = pytest.mark.pure

LATER = "2026-01-01T00:00:09Z"


def job(*conditions: Any, **rest: Any) -> Any:
    """Returns a Job with these conditions."""
    metadata = {"name": "sft-a2", "uid": "job-1", "annotations": {"tinker-operator.dev/attempt": "2"}}
    return {"metadata": metadata | rest, "status": {"conditions": list(conditions)}}


def condition(kind: str, status: str = "True", **rest: str) -> Any:
    return {"type": kind, "status": status, "lastTransitionTime": LATER, **rest}


FAILED = condition("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")


def pod(
    *states: Any,
    owner: str = "job-1",
    made: str = "2026-01-01T00:00:00Z",
    field: str = "containerStatuses",
    **status: Any,
) -> Any:
    """Returns a pod of the Job whose containers ended like this."""
    statuses = [{"name": f"c{at}", "state": {"terminated": state}} for at, state in enumerate(states)]
    metadata = {"ownerReferences": [{"uid": owner}], "creationTimestamp": made}
    return {"metadata": metadata, "status": {field: statuses, **status}}


def ended(code: int, reason: str = "Error", *, at: int = 1, message: str = "") -> Any:
    return {"exitCode": code, "reason": reason, "finishedAt": f"2026-01-01T00:00:0{at}Z", "message": message}


STANDING: dict[str, tuple[Any, JobPhase, bool]] = {
    "one without a word": (job(), JobPhase.RUNNING, False),
    "one held back": (job(condition("Suspended")), JobPhase.RUNNING, False),
    "one whose pods are still ending": (job(condition("FailureTarget")), JobPhase.RUNNING, False),
    "one whose failure was taken back": (job(condition("Failed", "False")), JobPhase.RUNNING, False),
    "one that failed": (job(FAILED), JobPhase.FAILED, True),
    "one that completed": (job(condition("SuccessCriteriaMet"), condition("Complete")), JobPhase.SUCCEEDED, True),
    "one that is being deleted": (job(deletionTimestamp=LATER), JobPhase.DELETING, False),
    "one that failed and is being deleted": (job(FAILED, deletionTimestamp=LATER), JobPhase.DELETING, True),
}


@pytest.mark.parametrize("name", STANDING)
def test_a_job_stands_as_its_conditions_say(name: str) -> None:
    """What is being deleted counts as that whatever else it was: its pods may still run."""
    said, phase, finished = STANDING[name]
    seen = job_seen(said, [pod(ended(1))])

    assert (seen.phase, seen.attempt, seen.uid) == (phase, 2, "job-1")
    assert seen.finished_at == (datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC) if finished else None)
    assert (seen.exit_code, seen.reason) == ((1, "BackoffLimitExceeded") if phase is JobPhase.FAILED else (None, ""))


CAUSES: dict[str, tuple[list[Any], int | None, str]] = {
    "an exit code tells all": ([pod(ended(3))], 3, ""),
    "the memory ran out": ([pod(ended(137, "OOMKilled"))], 137, "Container c0: OOMKilled"),
    "of two containers the last": ([pod(ended(3, at=1), ended(4, at=2))], 4, ""),
    "one that ended well is no cause": ([pod(ended(0, at=5), ended(4, at=2))], 4, ""),
    "of two pods the newer": ([pod(ended(3)), pod(ended(4), made=LATER)], 4, ""),
    "a pod of another Job is none": ([pod(ended(3), owner="job-2")], None, ""),
    "what never ran": (
        [pod(ended(128, "StartError", message="exec: no such file."))],
        128,
        "Container c0: StartError: exec: no such file",
    ),
    "what prepares the loop": ([pod(ended(5), field="initContainerStatuses")], 5, ""),
    "an evicted pod": (
        [pod(reason="Evicted", message="The node was low on resource: memory. ", phase="Failed")],
        None,
        "Pod: Evicted: The node was low on resource: memory",
    ),
    "a drained node": (
        [pod(ended(143), conditions=[condition("DisruptionTarget", reason="EvictionByEvictionAPI")])],
        143,
        "Pod: EvictionByEvictionAPI",
    ),
    "no pod at all": ([], None, ""),
    "a newer pod that says nothing": ([pod(ended(3)), pod(made=LATER)], 3, ""),
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_failure_has_its_cause_told(name: str) -> None:
    """By the container that failed last, and by what befell its pod."""
    pods, code, message = CAUSES[name]
    seen = job_seen(job(FAILED), pods)

    assert (seen.exit_code, seen.message) == (code, message)


def test_what_the_job_controller_says_beyond_its_limit_is_told_too() -> None:
    """A rule that matched, or a deadline; that the limit was reached tells nobody anything."""
    told = condition("Failed", reason="PodFailurePolicy", message="Container loop failed with exit code 42")

    assert job_seen(job(told), [pod(ended(42))]).message == "Container loop failed with exit code 42"


def test_a_restarted_container_tells_of_its_last_failure() -> None:
    """Under OnFailure it waits to be started again, and how it ended is its last state."""
    waiting = pod()
    waiting["status"]["containerStatuses"] = [
        {"name": "loop", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended(9)}}
    ]
    assert job_seen(job(FAILED), [waiting]).exit_code == 9


@pytest.mark.parametrize("reason", ["Error", "OOMKilled", ""])
def test_what_a_container_wrote_is_never_repeated(reason: str) -> None:
    """The end of its log may be its message, and a key may stand there."""
    seen = job_seen(job(FAILED), [pod(ended(1, reason, message="key tml-secret refused"))])

    assert "tml-secret" not in repr(seen)


def test_a_long_word_is_cut_and_kept_on_a_line() -> None:
    """It goes into status, many times."""
    seen = job_seen(job(FAILED), [pod(reason="Evicted", message="word\n" * 400)])

    assert len(seen.message) == LONGEST_MESSAGE
    assert "\n" not in seen.message


@pytest.mark.parametrize("annotations", [{}, {"tinker-operator.dev/attempt": "two"}, None])
def test_a_job_that_has_lost_its_attempt_belongs_to_none(annotations: Any) -> None:
    """So that it is taken for a former one, and makes room."""
    assert job_seen(job(annotations=annotations), []).attempt == -1


def held(reason: str, message: str = "", field: str = "containerStatuses", **status: Any) -> Any:
    """Returns a pod of the Job with a container that waits."""
    waiting = {"name": "loop", "state": {"waiting": {"reason": reason, "message": message}}}
    return {"metadata": {"ownerReferences": [{"uid": "job-1"}]}, "status": {field: [waiting], **status}}


NOWHERE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available."}
HINDRANCES: dict[str, tuple[Any, str]] = {
    "no pod yet": (None, ""),
    "its image is being looked for": (held("ContainerCreating"), ""),
    "its image cannot be had": (
        held("ErrImagePull", "no such host."),
        "Container loop does not start: ErrImagePull: no such host",
    ),
    "its Secret is not there": (
        held("CreateContainerConfigError", 'secret "tinker" not found'),
        'Container loop does not start: CreateContainerConfigError: secret "tinker" not found',
    ),
    "what prepares it does not start": (
        held("CrashLoopBackOff", field="initContainerStatuses"),
        "Container loop does not start: CrashLoopBackOff",
    ),
    "no node takes it": (
        {"metadata": {"ownerReferences": [{"uid": "job-1"}]}, "status": {"conditions": [NOWHERE]}},
        "Pod: Unschedulable: 0/1 nodes are available",
    ),
    "another Job's pod is held up": (
        {**held("ErrImagePull"), "metadata": {"ownerReferences": [{"uid": "job-2"}]}},
        "",
    ),
}


@pytest.mark.parametrize("name", HINDRANCES)
def test_a_job_that_does_not_start_says_why(name: str) -> None:
    """It is neither a failure nor the end of the Job, and nothing else would tell."""
    found, expected = HINDRANCES[name]
    seen = job_seen(job(), [found] if found else [])

    assert (seen.phase, seen.message, seen.reason) == (JobPhase.RUNNING, expected, "")


def test_what_the_restarts_failed_of_is_told_before_the_pod_is_gone() -> None:
    """With restartPolicy OnFailure the Job's controller deletes the pod before it calls the Job failed."""
    failing = job(condition("FailureTarget", reason="BackoffLimitExceeded"))
    failing["status"]["ready"] = 1
    restarted = pod(ended(143))
    restarted["metadata"]["deletionTimestamp"] = LATER
    restarted["status"]["containerStatuses"][0]["lastState"] = {"terminated": ended(9)}

    assert needs_pods(failing)
    assert job_seen(failing, [restarted]).message == "Exit code 9"
    assert job_seen(failing, [pod(ended(137, "OOMKilled"))]).message == "Exit code 137. Container c0: OOMKilled"


def test_pods_are_asked_for_only_where_they_know_more() -> None:
    """A Job whose pod is up, one that is done and one that is going are looked at without their pods."""
    up = job()
    up["status"]["ready"] = 1

    assert [needs_pods(one) for one in (job(), job(FAILED))] == [True, True]
    assert [needs_pods(one) for one in (up, job(condition("Complete")), job(deletionTimestamp=LATER))] == [False] * 3
