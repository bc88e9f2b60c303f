"""A journal that the API server does not keep is taken back, and what belongs to another object is left alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tinker_operator.api.meta import Condition
from tinker_operator.api.recovery_status import InFlightRecovery, RecoveryStatus
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.controllers.held_up import HeldUp
from tinker_operator.controllers.journal import write_run_status
from tinker_operator.controllers.shell import Shell
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource

pytestmark = pytest.mark.pure
KEY = ObjectKey("TrainingRun", "lab", "sft")
BEGUN = InFlightRecovery(attempt=1, from_training_run_id="r:train:0", started_at=datetime(2026, 1, 1, tzinfo=UTC))
INTENT = TrainingRunStatus(recovery=RecoveryStatus(attempt=1, in_flight=BEGUN))


def run(uid: str = "one", **status: Any) -> KubeObject:
    metadata = {"name": "sft", "namespace": "lab", "uid": uid, "resourceVersion": "1"}
    spec = {"run": {"trainingRunId": "r:train:0"}}
    return {"apiVersion": "x/v1", "kind": "TrainingRun", "metadata": metadata, "spec": spec, "status": status}


@dataclass
class Desk:
    """Store and reporter of a cluster that keeps what its kinds have, and may hold another object by then."""

    dropped: frozenset[str] = frozenset()
    uid: str = "one"
    written: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> "Desk":
        return self

    @property
    def reporter(self) -> "Desk":
        return self

    async def write(self, _resource: Resource, _key: ObjectKey, _obj: KubeObject, status: Mapping[str, Any]) -> None:
        self.written.append(status)

    def get(self, _key: ObjectKey) -> KubeObject:
        status = dict(self.written[-1])
        recovery = {name: value for name, value in status.pop("recovery", {}).items() if name not in self.dropped}
        return run(self.uid, **status, recovery=recovery)


async def write(desk: Desk, obj: KubeObject) -> None:
    await write_run_status(cast("Shell", desk), KEY, obj, INTENT)


async def test_what_is_kept_is_written_once() -> None:
    desk = Desk()
    await write(desk, run(attempt=0))
    assert [one["recovery"]["attempt"] for one in desk.written] == [1]


async def test_what_is_not_kept_is_taken_back_and_the_round_waits() -> None:
    """To the status that was there, the count of attempts with it."""
    desk, obj = Desk(frozenset({"inFlight"})), run(attempt=0, recovery={"attempt": 0})
    with pytest.raises(HeldUp, match="apply crds/ too"):
        await write(desk, obj)
    assert desk.written[1:] == [obj["status"]]


async def test_what_was_seen_is_not_taken_back() -> None:
    """The service flags the run, whatever becomes of the attempt; Ready says what it said."""

    def said(kind: str, status: str, reason: str) -> dict[str, Any]:
        moment = "2026-01-01T00:00:00Z"
        told = {"type": kind, "status": status, "reason": reason, "message": "It is so.", "lastTransitionTime": moment}
        return {**told, "observedGeneration": 1}

    ready, well, lost = said("Ready", "True", "Live"), said("Corrupted", "False", "NotCorrupted"), "RunCorrupted"
    desk, obj = Desk(frozenset({"inFlight"})), run(attempt=0, recovery={"attempt": 0}, conditions=[ready, well])
    seen = Condition.model_validate(said("Corrupted", "True", lost))
    with pytest.raises(HeldUp):
        await write_run_status(cast("Shell", desk), KEY, obj, INTENT.model_copy(update={"conditions": (seen,)}))

    assert [(one["type"], one["reason"]) for one in desk.written[1]["conditions"]] == [
        ("Ready", "Live"),
        ("Corrupted", lost),
    ]


async def test_what_is_not_a_journal_may_be_dropped() -> None:
    """Fields that only tell something hold nothing up."""
    desk = Desk(frozenset({"attemptTimes", "history"}))
    await write(desk, run(attempt=0))
    assert len(desk.written) == 1


async def test_an_object_that_was_made_anew_meanwhile_is_left_alone() -> None:
    desk = Desk(frozenset({"inFlight"}), uid="two")
    await write(desk, run(attempt=0))
    assert len(desk.written) == 1
