"""Several exports of a policy at once: never more than it says, never one path twice, and all of them in the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.strategies_policy import NOW, checkpoint, policy, training_run

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_spec import Export
from tinker_operator.api.export_status import ExportRecord, ExportState
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.export_references import with_exports
from tinker_operator.core.export_turns import Turn, in_turn
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_export import JobFate, export_status, plan_export, seen_to
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.world import CheckpointsOf, Fault, ObservedCheckpoint, ObservedRun

pytestmark = pytest.mark.pure
HELD = Fault(Reason.EXPORT_HELD_UP, "No Secret. Set one.", needs_user=True)


def exporting(parallelism: int) -> CheckpointPolicy:
    asked = policy(action=RetentionAction.REPORT)
    export = Export.model_validate({"what": "All", "to": {"s3": {"bucket": "models"}}, "parallelism": parallelism})
    return asked.model_copy(update={"spec": asked.spec.model_copy(update={"export": export})})


@dataclass
class Cluster:
    """Jobs that run until the test ends them, and a policy whose writes of status may be lost."""

    policy: CheckpointPolicy
    listing: tuple[ObservedCheckpoint, ...]
    now: datetime = NOW
    alive: dict[str, str] = field(default_factory=dict)
    ended: dict[str, JobFate] = field(default_factory=dict)
    most: int = 0

    def see(self, turn: Turn) -> JobFate:
        """As the API server would: a Job is made once, and found afterwards."""
        record = turn.record
        if record.job in self.ended:
            return self.ended[record.job]
        if record.job in self.alive:
            return JobFate.MADE
        if record.state is ExportState.RUNNING or not turn.make:
            return JobFate.GONE
        assert record.path not in self.alive.values(), "two Jobs would write the same files"
        self.alive[record.job] = record.path
        self.most = max(self.most, len(self.alive))
        return JobFate.MADE

    def round(self, *, is_written: bool = True) -> None:
        run = training_run()
        governed = (Governed(run, {"r1": ObservedRun("r1", "base")}, {CheckpointsOf("r1"): self.listing}),)
        seen = PolicySeen(governed, (self.policy,), with_exports(references((run,)), (self.policy,), governed))
        plan = plan_policy(self.policy, seen, self.now)
        exports = plan_export(self.policy, plan, self.now)
        for turn in exports.due:
            exports = seen_to(exports, turn, self.see(turn), self.now)
        status = next_policy_status(self.policy, seen, plan, (), self.now)
        if is_written:
            status = export_status(self.policy, exports, status, self.now)
            self.policy = self.policy.model_copy(update={"status": status})
            told = find_condition(status.conditions, ConditionType.EXPORTED)
            assert told is not None
            done = {(it.path, it.time) for it in status.exports if it.state is ExportState.SUCCEEDED}
            is_there = {(it.path, it.time) for it in self.listing} <= done
            assert is_there or told.status is not ConditionStatus.TRUE, "somebody may wait for it"

    def end(self, fate: JobFate) -> None:
        """The oldest Job ends."""
        if self.alive:
            job = next(iter(self.alive))
            del self.alive[job]
            self.ended[job] = fate

    def there(self) -> set[str]:
        return {it.path for it in self.policy.status.exports if it.state is ExportState.SUCCEEDED}


@pytest.mark.parametrize(
    ("parallelism", "checkpoints", "at_once"),
    [
        pytest.param(1, 5, 1, id="one at a time unless told otherwise"),
        pytest.param(3, 5, 3, id="as many as it says"),
        pytest.param(16, 5, 5, id="no more than there are"),
    ],
)
def test_so_many_jobs_there_are_at_once(parallelism: int, checkpoints: int, at_once: int) -> None:
    cluster = Cluster(exporting(parallelism), tuple(checkpoint(f"c{age}", age) for age in range(1, checkpoints + 1)))
    for _ in range(5):
        cluster.round()
    assert (len(cluster.alive), cluster.most) == (at_once, at_once)
    for _ in range(30):
        cluster.end(JobFate.SUCCEEDED)
        cluster.round()
    assert cluster.there() == {it.path for it in cluster.listing}
    assert (cluster.most, len(cluster.ended)) == (at_once, checkpoints)


def test_what_is_saved_anew_waits_for_the_job_of_what_was_there() -> None:
    """Both write to the same place."""
    cluster = Cluster(exporting(2), (checkpoint("same", 2),))
    for _ in range(2):
        cluster.round()
    cluster.listing = (checkpoint("same", 1),)
    for _ in range(3):
        cluster.round()
    assert (len(cluster.alive), len(cluster.ended)) == (1, 0)
    cluster.end(JobFate.SUCCEEDED)
    for _ in range(3):
        cluster.round()
    assert (len(cluster.alive), len(cluster.ended)) == (1, 1)


EVENTS = ("write", "write", "write", "lost write", "succeed", "fail", "vanish", "save anew", "narrow", "wait")


@given(
    parallelism=st.integers(1, 6),
    checkpoints=st.integers(1, 8),
    events=st.lists(st.sampled_from(EVENTS), max_size=60),
)
@settings(deadline=None)
def test_whatever_happens_no_path_is_exported_twice_at_once(
    parallelism: int, checkpoints: int, events: Sequence[str]
) -> None:
    """Jobs end in any way at any time, writes are lost, checkpoints are saved anew: in the end each is there."""
    cluster = Cluster(exporting(parallelism), tuple(checkpoint(f"c{age}", age) for age in range(1, checkpoints + 1)))
    for number, event in enumerate(events):
        match event:
            case "write" | "lost write":
                cluster.round(is_written=event == "write")
            case "succeed" | "fail":
                cluster.end(JobFate.SUCCEEDED if event == "succeed" else JobFate.FAILED)
            case "vanish":
                cluster.end(JobFate.GONE)
            case "save anew":
                at = number % checkpoints
                anew = checkpoint(f"c{at + 1}", 0.9 - number / 1000)
                cluster.listing = (*cluster.listing[:at], anew, *cluster.listing[at + 1 :])
            case "narrow":
                export = cluster.policy.spec.export
                assert export is not None
                spec = cluster.policy.spec.model_copy(update={"export": export.model_copy(update={"parallelism": 1})})
                cluster.policy = cluster.policy.model_copy(update={"spec": spec})
            case _:
                cluster.now += timedelta(minutes=20)
        assert len(cluster.alive) <= parallelism
    for _ in range(6 * checkpoints + 12):
        cluster.now += timedelta(hours=2)
        cluster.round()
        for _ in range(parallelism):
            cluster.end(JobFate.SUCCEEDED)
    given_up = {it.path for it in cluster.policy.status.exports if it.state is ExportState.FAILED}
    assert cluster.there() | given_up == {it.path for it in cluster.listing}
    assert cluster.alive == {}


def record(name: str, state: ExportState, message: str = "") -> ExportRecord:
    return ExportRecord(path=name, training_run=name, target="t", job=name, state=state, message=message)


def test_those_that_are_held_up_take_turns_behind_the_others() -> None:
    """One whose trouble is mended is not kept waiting by one whose trouble is not."""
    held = [record(name, ExportState.PENDING, HELD.message) for name in "abc"]
    running, ready = record("r", ExportState.RUNNING), record("p", ExportState.PENDING)
    first = {in_turn(held, 1, NOW + timedelta(minutes=minute))[0].path for minute in range(3)}

    assert first == {"a", "b", "c"}
    assert [it.path for it in in_turn([*held, ready, running], 2, NOW)] == ["r", "p"]
    assert [it.path for it in in_turn([*held, running], 1, NOW)] == ["r"]
