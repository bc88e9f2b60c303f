"""Any history of faults, crashes and edits: what must never happen, checked after every step.

The machine plays one TrainingRun against a service, a cluster and training loops. A crash is a round whose actions were
performed and whose status was lost, the worst that SIGKILL can do between a call and its report; a stale leader is one
that decides on an object that another has written since.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.core.builders import CLUSTER, FIRST, UNREACHABLE, Playing, checkpoint, training_run
from tests.core.legality import illegalities
from tests.core.recovery_world import CHOICES, OTHER, PLAIN, World, proven, spec_of

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import Cause, RecoveryResult
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.schedule_spec import Schedule, ScheduleStrategy
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.farewell import FarewellSeen, plan_farewell
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.policy_references import References, followed_runs
from tinker_operator.core.run_plan import RunPlan
from tinker_operator.core.run_status import requeue
from tinker_operator.core.schedule import Deciding
from tinker_operator.core.seen import Unanswered, decided
from tinker_operator.core.world import (
    CreateTrainerJob,
    JobPhase,
    RestoreRun,
    SetFinalizer,
    WriteHandOver,
)

AT_REST = frozenset(
    {
        Reason.LIVE,
        Reason.COMPLETED,
        Reason.AWAITING_LOOP,
        Reason.RUN_NOT_FOUND,
        Reason.RECOVERY_EXHAUSTED,
        Reason.TRAINER_GONE,
        Reason.TRAINER_FAILED,
    }
)
"""How a history may end when all trouble is over: back, or waiting for a person or a loop."""
MOST_BYTES = 200_000
NO_RETRY = "PodFailurePolicy"


class RecoveryMachine(RuleBasedStateMachine):
    """One TrainingRun through an arbitrary history."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.add_run(FIRST, 10, 20, 30, metadata={"experiment": "math"})
        self.world.add_run(OTHER, 5, 15)
        self.wish: dict[str, Any] = dict(PLAIN)
        self.lives = 1
        self.game = Playing(self._object(1), self.world)
        self.before = self.game.run
        self.saved = 30
        self.read: list[str] = []
        self.jobs_lost = False

    def _object(self, generation: int, status: TrainingRunStatus | None = None, ask: str | None = None) -> Any:
        spec, recovery = spec_of(self.wish)
        notes = {"tinker-operator.dev/reconcile-at": ask} if ask else {}
        run = training_run(spec, recovery=recovery, generation=generation, status=status, annotations=notes)
        return run.model_copy(update={"metadata": run.metadata.model_copy(update={"uid": f"uid-{self.lives}"})})

    @initialize(
        mode=st.sampled_from(CHOICES["mode"]), level=st.sampled_from(CHOICES["validation"]), hooks=st.booleans()
    )
    def the_object_is_applied(self, mode: str, level: str, hooks: bool) -> None:
        self.wish |= {"mode": mode, "validation": level, "hooks": hooks}
        self.game.run = self.before = self._object(1)
        self.poll_twice_and_reconcile()

    def current(self) -> str:
        """Returns the run that the object follows."""
        return self.game.run.status.training_run_id or FIRST

    # The operator.

    @rule()
    def poll(self) -> None:
        self.game.look()

    @rule()
    def reconcile(self) -> None:
        self._checked_round()

    @rule()
    def reconcile_while_there_is_something_to_do_at_once(self) -> None:
        for _ in range(60):
            if not self._checked_round():
                return
        raise AssertionError(f"it goes on for ever: {self.game.run.status}")

    @rule()
    def poll_twice_and_reconcile(self) -> None:
        self.game.look()
        self.game.look()
        self.reconcile_while_there_is_something_to_do_at_once()

    @rule()
    def crash_before_the_report(self) -> None:
        self.game.act(self._checked_plan(self.game))

    @rule()
    def a_stale_leader_acts_and_its_report_is_refused(self) -> None:
        stale = replace(self.game, run=self.before, statuses=[])
        plan = self._checked_plan(stale)
        if not any(isinstance(action, SetFinalizer) for action in plan.plan.actions):
            stale.act(plan)

    @rule(rounds=st.integers(1, 6))
    def the_run_is_seen_lost_and_so_many_rounds_follow(self, rounds: int) -> None:
        self.the_service_flags_the_run()
        self.game.look()
        self.game.look()
        for _ in range(rounds):
            self._checked_round()

    # The service and the cluster.

    @rule()
    def the_service_flags_the_run(self) -> None:
        if self.current() in self.world.runs:
            self.world.corrupt(self.current())

    @rule()
    def a_flag_is_withdrawn(self) -> None:
        if self.current() in self.world.runs:
            self.world.runs[self.current()] = replace(self.world.runs[self.current()], corrupted=False)

    @rule()
    def the_run_vanishes(self) -> None:
        self.world.runs.pop(self.current(), None)

    @rule()
    def the_loop_saves(self) -> None:
        run_id = self.current()
        if run_id in self.world.live():
            self.saved += 10
            metadata = {"loss": str(self.saved % 7)} if self.saved % 3 else {}
            listed = (*self.world.checkpoints[run_id], checkpoint(self.saved, run_id, metadata=metadata))
            self.world.checkpoints[run_id] = listed
            tells = listed[-1] if self.saved % 4 else None
            self.world.runs[run_id] = replace(self.world.runs[run_id], last_checkpoint=tells)

    @rule(schedule=st.sampled_from((None, Schedule(save_every=10), Schedule(strategy=ScheduleStrategy.LAST))))
    def a_policy_says_when_to_save(self, schedule: Schedule | None) -> None:
        self.game.schedule = Deciding("keep", schedule) if schedule else None

    @rule(index=st.integers(0, 5), how=st.sampled_from(["unloadable", "unsound", "deleted", "expired", "empty"]))
    def a_checkpoint_breaks(self, index: int, how: str) -> None:
        listed = self.world.checkpoints.get(self.current(), ())
        for one in listed[index : index + 1]:
            match how:
                case "unloadable":
                    self.world.unloadable.add(one.path)
                case "unsound":
                    self.world.unsound.add(one.path)
                case "deleted":
                    self.world.checkpoints[one.run_id] = tuple(left for left in listed if left != one)
                case _:
                    change = {"size_bytes": 0} if how == "empty" else {"expires_at": self.game.now}
                    kept = tuple(replace(left, **change) if left == one else left for left in listed)
                    self.world.checkpoints[one.run_id] = kept

    @rule(failures=st.integers(1, 3))
    def the_back_end_fails(self, failures: int) -> None:
        self.world.backend_failures = failures

    @rule(times=st.integers(1, 3))
    def a_load_takes_its_time(self, times: int) -> None:
        self.world.slow = times

    @rule()
    def the_service_goes_silent(self) -> None:
        self.world.down = UNREACHABLE

    @rule()
    def the_service_answers_again(self) -> None:
        self.world.down = None

    @rule(down=st.booleans())
    def the_receiver_of_hooks(self, down: bool) -> None:
        self.world.hooks_down = down

    @rule(seconds=st.sampled_from([1, 5, 60, 3600, 90000, -3600, -90000]))
    def time_passes_or_a_clock_is_put_back(self, seconds: int) -> None:
        self.game.now += timedelta(seconds=seconds)

    @rule(phase=st.sampled_from([JobPhase.FAILED, JobPhase.SUCCEEDED]), reason=st.sampled_from(["", NO_RETRY]))
    def the_job_ends(self, phase: JobPhase, reason: str) -> None:
        self.world.job_is(phase, self.game.now, reason=reason)

    @rule()
    def somebody_deletes_the_job(self) -> None:
        self.jobs_lost |= bool(self.world.jobs)
        self.world.jobs = {}

    @rule(hang=st.booleans())
    def pods_hang_or_end(self, hang: bool) -> None:
        self.world.pods_hang = hang
        if not hang:
            self.world.pods_end()

    # Training loops.

    @precondition(lambda self: self.world.hand_over is not None)
    @rule()
    def a_loop_reads_the_hand_over(self) -> None:
        self.read.append(self.world.hand_over or "")

    @precondition(lambda self: self.read)
    @rule(index=st.integers(0, 9))
    def a_loop_resumes_from_what_it_read_once(self, index: int) -> None:
        self.world.resumes(self.read.pop(index % len(self.read)), self.game.now)

    @precondition(lambda self: self.world.hand_over is not None)
    @rule()
    def a_loop_resumes(self) -> None:
        self.world.resumes(self.world.hand_over or "", self.game.now)

    # The user.

    @rule(data=st.data(), name=st.sampled_from(sorted(CHOICES)))
    def the_user_edits(self, data: st.DataObject, name: str) -> None:
        value = data.draw(st.sampled_from(CHOICES[name]))
        if name == "run" and not self._may_change_run():
            return
        self.wish[name] = value
        self._written(self._object(self.game.run.metadata.generation + 1, self.game.run.status))

    def _may_change_run(self) -> bool:
        """The rules of the API server: a run that was created stays, and one that is being created too."""
        status = self.game.run.status
        created = self.wish["run"] == "create" and status.training_run_id is not None
        busy = status.creation is not None and status.creation.refused_generation is None
        return not created and not busy

    @rule(value=st.sampled_from(["one", "two"]))
    def the_user_asks_again(self, value: str) -> None:
        self._written(self._object(self.game.run.metadata.generation, self.game.run.status, value))

    def _written(self, run: Any) -> None:
        kept = run.metadata.model_copy(update={"finalizers": self.game.run.metadata.finalizers})
        annotations = run.metadata.annotations or self.game.run.metadata.annotations
        kept = kept.model_copy(update={"annotations": annotations})
        self.before, self.game.run = self.game.run, run.model_copy(update={"metadata": kept})

    @rule()
    def the_object_is_deleted_and_applied_again(self) -> None:
        self._farewell()
        self.lives += 1
        self.jobs_lost |= bool(self.world.jobs)
        self.world.jobs, self.world.hand_over, self.read = {}, None, []
        self.game.run = self.before = self._object(1)
        self.game.statuses.clear()
        self.game.look()

    def _farewell(self) -> None:
        """Whatever the object may delete, nobody else needs it."""
        views = {run_id: self.game.inventory.view(run_id) for run_id in followed_runs(self.game.run)}
        seen = FarewellSeen(CLUSTER, views, References())

        def plan() -> Any:
            return plan_farewell(self.game.run, seen, self.game.now)

        while isinstance(farewell := decided(plan), Unanswered):
            question = farewell.question
            seen = replace(seen, answers={**seen.answers, question: self.world.answer(question)})
        for action in farewell.actions:
            assert self.wish["deletionPolicy"] == "Delete"
            assert action.run_id in followed_runs(self.game.run)

    # What is checked in each round.

    def _checked_round(self) -> bool:
        """Tells whether there is more to do at once."""
        plan = self._checked_plan(self.game)
        performed = self.game.act(plan)
        spec, generation, before = self.game.run.spec, self.game.run.metadata.generation, self.game.run
        changed = self.game.report(plan, performed)
        self.before = before if changed else self.before
        assert (self.game.run.spec, self.game.run.metadata.generation) == (spec, generation)
        return requeue(plan.plan, performed).after == AT_ONCE

    def _checked_plan(self, game: Playing) -> RunPlan:
        plan = game.decide()
        again = game.decide()
        assert again == plan, "the same facts, another decision"
        run, flight = game.run, game.run.status.recovery.in_flight
        if run.spec.suspend or run.spec.management_policy == "ObserveOnly":
            assert all(isinstance(action, SetFinalizer) for action in plan.plan.actions)
        for action in plan.plan.actions:
            match action:
                case RestoreRun(checkpoint=path, session_id=session) if flight is not None:
                    assert flight.checkpoint == path, "nothing is restored that was not journalled before"
                    proof = flight.validation is not None and flight.validation.session_id == session
                    assert proof or proven(run.spec, self.world, path, apart=False)
                    self._lost(game, flight.cause, flight.from_training_run_id)
                case WriteHandOver(states=states) if flight is not None:
                    assert states.attempt == flight.attempt
                    assert states.training_run_id == states.previous_training_run_id
                    assert proven(run.spec, self.world, states.checkpoint or "", apart=True)
                    self._lost(game, flight.cause, flight.from_training_run_id)
                case CreateTrainerJob(attempt=attempt):
                    assert run.spec.recovery.mode == "Relaunch"
                    assert run.status.hand_over is not None
                    assert run.status.hand_over.attempt == attempt
                case RestoreRun():
                    raise AssertionError("a restore that no attempt asked for")
                case _:
                    pass
        return plan

    def _lost(self, game: Playing, cause: Cause, run_id: str) -> None:
        """Only what the newest look shows lost is restored."""
        found = game.inventory.runs.get(run_id)
        assert game.inventory.fault is None
        match cause:
            case Cause.CORRUPTED:
                assert found is not None
                assert found.corrupted
            case Cause.MISSING:
                assert found is None
            case Cause.TRAINER_FAILED:
                assert game.run.status.trainer is not None

    @invariant()
    def at_most_one_successor_of_the_operator_s_is_live(self) -> None:
        own = set(self.world.sessions.values())
        live = [one for one in self.world.live() if one.partition(":")[0] in own]
        origins = {self.world.runs[one].metadata.get("tinker-operator.dev/origin") for one in live}
        assert len(live) <= len(origins) or self.lives > 1

    @invariant()
    def two_jobs_never_have_pods_at_once(self) -> None:
        assert self.world.most_jobs <= 1

    @invariant()
    def attempts_stay_within_the_budget(self) -> None:
        recovery = self.game.run.status.recovery
        assert len(recovery.attempt_times) <= 20
        if recovery.budget_generation == self.game.run.metadata.generation:
            assert len(recovery.attempt_times) <= self.wish["maxAttempts"]
        assert len(recovery.history) <= 10

    @invariant()
    def counters_only_grow(self) -> None:
        counters: tuple[Callable[[TrainingRunStatus], int], ...] = (
            lambda one: one.recoveries,
            lambda one: one.failed_attempts,
            lambda one: one.recovery.attempt,
            lambda one: one.hooks.delivered if one.hooks else 0,
            lambda one: one.hooks.given_up if one.hooks else 0,
        )
        for earlier, later in itertools.pairwise(self.game.statuses[-2:]):
            assert all(counter(earlier) <= counter(later) for counter in counters)
            assert later.last_handled_reconcile_at or not earlier.last_handled_reconcile_at

    @invariant()
    def every_status_is_legal_and_small(self) -> None:
        for status in self.game.statuses[-1:]:
            generation = status.observed_generation
            assert illegalities(generation, status.observed_generation, status.conditions) == []
            text = status.model_dump_json()
            assert len(text) < MOST_BYTES
            assert TrainingRunStatus.model_validate_json(text) == status

    def teardown(self) -> None:
        """When the trouble is over, the run is back or waits for a person or a loop, and at rest nothing is written."""
        world = self.world
        world.down, world.backend_failures, world.slow, world.pods_hang, world.hooks_down = None, 0, 0, False, False
        world.unloadable, world.unsound = set(), set()
        world.pods_end()
        self.wish |= {
            "enabled": True,
            "suspend": False,
            "managementPolicy": "Full",
            "maxAttempts": 20,
            "onMissing": "Recover",
            "strategy": "latest",
            "retryOn": CHOICES["retryOn"][0],
        }
        self._written(self._object(self.game.run.metadata.generation + 1, self.game.run.status, "at last"))
        status = self.game.settle(rounds=150)
        while status.recovery.next_attempt_time is not None:
            status = self.game.settle(seconds=61, rounds=150)
        ready = find_condition(status.conditions, ConditionType.READY)
        assert ready is not None
        self._explained(status, ready.reason)
        assert self.game.settle().model_dump_json() == status.model_dump_json()

    def _explained(self, status: TrainingRunStatus, reason: str) -> None:
        """Each way of waiting needs its own excuse."""
        view = self.world.runs.get(status.training_run_id or "")
        if reason == Reason.DISCOVERING or self.wish["run"] == "typo":
            assert reason == {"discover": Reason.DISCOVERING, "typo": Reason.RUN_NOT_FOUND}[self.wish["run"]]
            return
        assert reason in AT_REST, (reason, status)
        match reason:
            case Reason.LIVE | Reason.COMPLETED:
                assert view is not None
                assert not view.corrupted
            case Reason.AWAITING_LOOP:
                assert self.wish["mode"] != "Recreate"
            case Reason.RECOVERY_EXHAUSTED:
                results = {record.result for record in status.recovery.history[-1:]}
                assert results <= {RecoveryResult.NO_USABLE_CHECKPOINT, RecoveryResult.TRAINER_GAVE_UP}
            case Reason.TRAINER_GONE:
                assert self.wish["mode"] == "Relaunch"
                assert self.jobs_lost
            case Reason.TRAINER_FAILED:
                assert {job.reason for job in self.world.jobs.values()} == {NO_RETRY}
            case _:
                assert view is None
        corrupted = find_condition(status.conditions, ConditionType.CORRUPTED)
        assert corrupted is not None
        assert (corrupted.status is ConditionStatus.TRUE) is (view is not None and view.corrupted)


RecoveryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRecoveryMachine = pytest.mark.pure(RecoveryMachine.TestCase)
