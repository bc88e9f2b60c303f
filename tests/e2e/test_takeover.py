"""This operator takes over what earlier ones left behind: nothing is lost, done again, or done unannounced."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.e2e.former_world import VERSIONS, Left, left_behind
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster
BOTH = (("trainingrun", "sft"), ("checkpointpolicy", "keep"))
RECORDS = ("attempt", "lineage", "origin", "recoveries", "recovery", "session", "trainingRunId", "lostTrainingRunId")
JOURNALS = ("deletedTotal", "deleting", "marked", "publishing", "recentDeletions", "validation")
WRITTEN = {
    "1-first": {"checkpointpolicy"},
    "2-every-rule": {"checkpointpolicy"},
    "3-proofs-and-schedules": set[str](),
}
"""Versions, and the kinds of which this one has more to say."""
OF_RECOVERIES = {"CorruptionDetected", "LossDetected", "RecoveryStarted", "SuccessorCreated", "RecoveryCompleted"}


def lost_of(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Yields every value that was there and is not there any more, or is another one; what is new does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from lost_of(value, after.get(name), f"{where}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost_of(one, other, f"{where}[{number}]")
    elif before != after and before not in ([], {}):
        yield f"{where}: {before!r} became {after!r}"


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {one["type"]: (one["status"], one["reason"], one["lastTransitionTime"]) for one in status["conditions"]}


def taken_over(stage: Stage, version: str) -> tuple[Left, list[dict[str, Any]]]:
    """Lets this operator start where that version ended, and come to rest; returns the world and both statuses."""
    assert stage.operator.end() == 0
    left = left_behind(stage, version, datetime.now(UTC))  # noqa: TID251 - the world has this time
    stage.operator.start()
    stage.wait_polls()
    wait_for(lambda: stage.calls("/checkpoints") > 1, "a pass of the policy")  # one is this test's own
    stage.check_rest(*BOTH)
    return left, [stage.status(name, kind) for kind, name in BOTH]


@pytest.mark.parametrize(("version", "written"), WRITTEN.items(), ids=WRITTEN)
def test_nothing_of_an_earlier_version_is_lost_or_done_again(version: str, written: set[str], stage: Stage) -> None:
    """Its records, its marks and their time, its verdicts and what it published; no run is made, no checkpoint goes.

    Written is only what has more to say than that version knew.
    """
    left, now = taken_over(stage, version)
    before = [one["status"] for one in left.objects]

    for status, after, names in zip(before, now, (RECORDS, JOURNALS), strict=True):
        kept = {name: status[name] for name in names if name in status}
        assert list(lost_of(kept, after)) == []
        assert conditions(status).items() <= conditions(after).items()
    assert {run["training_run_id"] for run in stage.remote_runs()} == {left.lost, left.current}
    assert stage.remote_checkpoints(left.lost) == sorted(left.paths)
    listed = stage.wire.get(f"training_runs/{left.lost}/checkpoints").json()["checkpoints"]
    assert tuple(one["tinker_path"] for one in listed if one["public"]) == left.public
    assert OF_RECOVERIES.isdisjoint(stage.events())
    versions = [one["metadata"]["resourceVersion"] for one in left.objects]
    news = zip(BOTH, versions, stage.versions(*BOTH), strict=True)
    assert {kind for (kind, _), former, present in news if former != present} == written
    assert stage.hand_over()["checkpoint"] == before[0]["handOver"]["checkpoint"]


def test_every_version_that_is_kept_is_taken_over() -> None:
    assert list(WRITTEN) == VERSIONS


def test_what_is_lost_is_found() -> None:
    """The laws above can fail: by a value, a field, and an entry."""
    before = {"a": 1, "b": {"c": [1, 2]}, "d": []}
    assert list(lost_of(before, {"a": 1, "b": {"c": [1, 2], "new": 0}})) == []
    assert list(lost_of(before, {"a": 2, "b": {"c": [1]}})) == [".a: 1 became 2", ".b.c: [1, 2] became [1]"]
