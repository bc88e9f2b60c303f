"""Any history of faults, crashes and edits: what must never happen, checked after every step.

The machine plays one TrainingRun against the fake service. A crash is a round whose actions were performed and whose
status was lost, the worst that SIGKILL can do between a call and its report.
"""

import itertools
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.builders import FIRST, UNREACHABLE, FakeService, Playing, checkpoint, training_run
from tests.core.legality import illegalities

from tinker_operator.api.meta import RESUMED_KEY
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import RecoveryResult
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.world import RestoreRun


class RecoveryMachine(RuleBasedStateMachine):
    """One TrainingRun through an arbitrary history."""

    def __init__(self) -> None:
        super().__init__()
        service = FakeService()
        service.add_run(FIRST, 10, 20, 30)
        self.game = Playing(training_run(), service)
        self.saved = 30
        self.resumes = 0

    def current(self) -> str:
        """Returns the run that the object follows."""
        return self.game.run.status.training_run_id or FIRST

    @rule()
    def poll(self) -> None:
        self.game.look()

    @rule()
    def reconcile(self) -> None:
        self._checked_round(lost=False)

    @rule()
    def crash_before_the_report(self) -> None:
        self._checked_round(lost=True)

    @rule()
    def the_service_flags_the_run(self) -> None:
        if self.current() in self.game.service.runs:
            self.game.service.corrupt(self.current())

    @rule()
    def a_flag_is_withdrawn(self) -> None:
        service = self.game.service
        if self.current() in service.runs:
            service.runs[self.current()] = replace(service.runs[self.current()], corrupted=False)

    @rule()
    def the_loop_saves(self) -> None:
        service, run_id = self.game.service, self.current()
        if run_id in service.live():
            self.saved += 10
            service.checkpoints[run_id] += (checkpoint(self.saved, run_id),)
            service.runs[run_id] = replace(service.runs[run_id], last_checkpoint=service.checkpoints[run_id][-1])

    @rule(index=st.integers(0, 5))
    def a_checkpoint_breaks(self, index: int) -> None:
        paths = [one.path for one in self.game.service.checkpoints.get(self.current(), ())]
        self.game.service.unloadable |= set(paths[index : index + 1])

    @rule(failures=st.integers(1, 3))
    def the_back_end_fails(self, failures: int) -> None:
        self.game.service.backend_failures = failures

    @rule()
    def the_service_goes_silent(self) -> None:
        self.game.service.down = UNREACHABLE

    @rule()
    def the_service_answers_again(self) -> None:
        self.game.service.down = None

    @rule(seconds=st.sampled_from([1, 5, 60, 3600, 90000]))
    def time_passes(self, seconds: int) -> None:
        self.game.now += timedelta(seconds=seconds)

    @rule(change=st.sampled_from(["suspend", "enabled", "maxAttempts"]), value=st.booleans())
    def the_user_edits(self, change: str, value: bool) -> None:
        run = self.game.run
        recovery = {"enabled": value if change == "enabled" else True, "maxAttempts": 2 if value else 3}
        spec = {"suspend": value and change == "suspend"}
        generation = run.metadata.generation + 1
        self.game.run = training_run(spec, recovery=recovery, generation=generation, status=run.status)

    @precondition(lambda self: self.game.service.hand_over is not None)
    @rule()
    def the_loop_resumes(self) -> None:
        told = json.loads(self.game.service.hand_over or "")
        lost = self.game.service.runs.get(told["trainingRunId"])
        if lost is None or lost.run_id in self.game.service.live():
            return
        self.resumes += 1
        metadata = {**told["userMetadata"], RESUMED_KEY: f"2026-01-01T{self.resumes:06d}"}
        self.game.service.add_run(f"loop{self.resumes}:train:0", metadata=metadata)

    def _checked_round(self, *, lost: bool) -> None:
        plan = self.game.decide()
        for action in plan.plan.actions:
            if isinstance(action, RestoreRun):
                flight = self.game.run.status.recovery.in_flight
                assert flight is not None, "nothing is restored that was not journalled before"
                assert flight.checkpoint == action.checkpoint
                assert self.game.inventory.runs[flight.from_training_run_id].corrupted
        performed = self.game.act(plan)
        if not lost:
            self.game.report(plan, performed)

    @invariant()
    def at_most_one_successor_of_the_operator_s_is_live(self) -> None:
        own = set(self.game.service.sessions.values())
        assert len([one for one in self.game.service.live() if one.partition(":")[0] in own]) <= 1

    @invariant()
    def attempts_stay_within_the_budget(self) -> None:
        recovery = self.game.run.status.recovery
        assert len(recovery.attempt_times) <= 3
        assert len(recovery.history) <= 10

    @invariant()
    def counters_only_grow(self) -> None:
        written = self.game.statuses[-2:]
        for before, after in itertools.pairwise(written):
            assert before.recoveries <= after.recoveries
            assert before.recovery.attempt <= after.recovery.attempt

    @invariant()
    def every_status_is_legal(self) -> None:
        for status in self.game.statuses[-1:]:
            generation = status.observed_generation
            assert illegalities(generation, status.observed_generation, status.conditions) == []

    def teardown(self) -> None:
        """When the trouble is over, a corrupted run is either back or waits for a person, with the reason told."""
        service = self.game.service
        service.down, service.backend_failures, service.unloadable = None, 0, set()
        self.game.run = training_run(generation=99, status=self.game.run.status)
        status = self.game.settle()
        while status.recovery.next_attempt_time is not None:
            status = self.game.settle(seconds=61)
        ready = find_condition(status.conditions, ConditionType.READY)
        assert ready is not None
        assert ready.reason == Reason.LIVE, ready
        successes = [one for one in status.recovery.history if one.result is RecoveryResult.RECOVERED]
        assert len(successes) <= status.recoveries


RecoveryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRecoveryMachine = pytest.mark.pure(RecoveryMachine.TestCase)
