"""Small worlds for decisions about TrainingRuns: objects with sensible defaults, and a service that keeps its word.

`FakeService` is the Tinker service as the decisions see it: sessions, runs and checkpoints, and actions performed on
them with the deduplication that the real one promises. It is not a double of our own code: it shares none of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tinker_operator.api.meta import RESUMED_KEY, VALIDATES_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.farewell import FINALIZER
from tinker_operator.core.inventory import Inventory, failed_inventory, next_inventory
from tinker_operator.core.run_plan import RunPlan, plan_run
from tinker_operator.core.run_status import next_run_status
from tinker_operator.core.schedule import Deciding
from tinker_operator.core.seen import RunSeen, Unanswered, decided
from tinker_operator.core.world import (
    Absent,
    Action,
    Answer,
    BackendFailed,
    CallHook,
    CheckpointsOf,
    ConfirmRun,
    CreateRun,
    CreateTrainerJob,
    DeleteTrainerJob,
    Done,
    Fault,
    FinishSession,
    HandOverSeen,
    HookFailed,
    InspectExport,
    JobPhase,
    JobSeen,
    JobsSeen,
    LoadRefused,
    ObservedCheckpoint,
    ObservedRun,
    OpenSession,
    Outcome,
    Performed,
    Question,
    ReadHandOver,
    RestoreRun,
    RunById,
    RunMade,
    SessionLost,
    SessionOpened,
    SetFinalizer,
    TrainerJobs,
    Unsound,
    WeightsOf,
    WeightsSeen,
    WriteHandOver,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER = "test"
MODEL, RANK = "Qwen/Qwen3-8B", 8
FIRST = "s0:train:0"
UNREACHABLE = Fault(Reason.SERVICE_UNREACHABLE, "No connection to the service. Check the network.")
SPEC: Mapping[str, Any] = {"run": {"trainingRunId": FIRST}, "recovery": {"enabled": True}}


def training_run(
    spec: Mapping[str, Any] | None = None,
    *,
    recovery: Mapping[str, Any] | None = None,
    generation: int = 1,
    status: TrainingRunStatus | None = None,
    annotations: Mapping[str, str] | None = None,
) -> TrainingRun:
    """Returns a TrainingRun that adopts `FIRST` with recovery enabled, changed as asked."""
    merged = {**SPEC, **(spec or {})}
    merged["recovery"] = {**merged.get("recovery", {}), **(recovery or {})}
    metadata = {
        "name": "sft",
        "namespace": "team",
        "uid": "uid-1",
        "generation": generation,
        "annotations": annotations or {},
    }
    run = TrainingRun.model_validate({"metadata": metadata, "spec": merged})
    return run.model_copy(update={"status": status}) if status else run


def path_of(step: int, run_id: str = FIRST) -> str:
    """Returns the path of a checkpoint."""
    return f"tinker://{run_id}/weights/step-{step}"


def checkpoint(step: int, run_id: str = FIRST, **changes: Any) -> ObservedCheckpoint:
    """Returns a training checkpoint saved `step` minutes after the start."""
    made = ObservedCheckpoint(
        path=path_of(step, run_id), run_id=run_id, time=START + timedelta(minutes=step), size_bytes=100
    )
    return replace(made, **changes)


@dataclass
class FakeService:
    """A Tinker service: runs by id, checkpoints by run, sessions, and the faults that a test switches on."""

    runs: dict[str, ObservedRun] = field(default_factory=dict)
    checkpoints: dict[str, tuple[ObservedCheckpoint, ...]] = field(default_factory=dict)
    weights: dict[str, WeightsSeen] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    unloadable: set[str] = field(default_factory=set)
    backend_failures: int = 0
    hand_over: str | None = None
    outcomes: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    down: Fault | None = None
    unsound: set[str] = field(default_factory=set)
    jobs: dict[str, JobSeen] = field(default_factory=dict)
    jobs_made: int = 0
    pods_hang: bool = False
    loops: int = 0
    hook_calls: list[CallHook] = field(default_factory=list)
    hooks_down: bool = False

    def add_run(self, run_id: str = FIRST, *steps: int, **changes: Any) -> None:
        """Puts a run with checkpoints there."""
        listed = tuple(checkpoint(step, run_id) for step in steps)
        made = ObservedRun(run_id, MODEL, lora_rank=RANK, last_checkpoint=listed[-1] if listed else None)
        self.runs[run_id] = replace(made, **changes)
        self.checkpoints[run_id] = listed

    def corrupt(self, run_id: str = FIRST) -> None:
        """Flags a run, for good."""
        self.runs[run_id] = replace(self.runs[run_id], corrupted=True)

    def live(self) -> list[str]:
        """Returns the runs that training could go on in: not corrupted, not of a finished session, not for a proof."""
        return [
            run_id
            for run_id, run in self.runs.items()
            if not run.corrupted
            and run_id.partition(":train:")[0] not in self.finished
            and VALIDATES_KEY not in run.metadata
        ]

    def loop_resumes(self) -> str:
        """A training loop reads the hand-over and makes a run of its own from what it says; returns its id."""
        told = json.loads(self.hand_over or "")
        self.loops += 1
        metadata = {**told["userMetadata"], RESUMED_KEY: f"2026-01-01T{self.loops:06d}"}
        run_id = f"loop{self.loops}:train:0"
        self.add_run(run_id, metadata=metadata)
        return run_id

    def job_ends(self, phase: JobPhase, **changes: Any) -> None:
        """The newest Job ends."""
        name = max(self.jobs, key=lambda one: self.jobs[one].attempt)
        self.jobs[name] = replace(self.jobs[name], phase=phase, finished_at=START, **changes)

    def pods_end(self) -> None:
        """The pods of Jobs that are being deleted end at last."""
        self.jobs = {name: job for name, job in self.jobs.items() if job.phase is not JobPhase.DELETING}

    def look(self, previous: Inventory, watched: list[str], now: datetime) -> Inventory:
        """Returns the next snapshot."""
        if self.down is not None:
            return failed_inventory(previous, self.down, now=now)
        return next_inventory(previous, self.runs.values(), watched=watched, now=now)

    def answer(self, question: Question) -> Answer:
        """Answers as the service would."""
        match question:
            case ReadHandOver():
                return HandOverSeen(self.hand_over)
            case TrainerJobs():
                return JobsSeen(tuple(self.jobs.values()))
            case _ if self.down is not None:
                return self.down
            case CheckpointsOf(run_id=run_id):
                return self.checkpoints[run_id] if run_id in self.runs else Absent()
            case WeightsOf(path=path):
                return self.weights.get(path, WeightsSeen(MODEL, is_lora=True, lora_rank=RANK))
            case RunById(run_id=run_id):
                return self.runs.get(run_id) or Absent()

    def perform(self, action: Action) -> Outcome:
        """Does what is asked, once for each deduplication key."""
        match action:
            case WriteHandOver(document=document):
                self.hand_over = document
                return Done()
            case CreateTrainerJob() | DeleteTrainerJob() | CallHook() | SetFinalizer():
                return self._in_the_cluster(action)
            case _ if self.down is not None:
                return self.down
            case OpenSession(key=key):
                return SessionOpened(self.sessions.setdefault(key, f"s{len(self.sessions) + 1}"))
            case FinishSession(session_id=session_id):
                self.finished.add(session_id)
                return Done()
            case RestoreRun() | CreateRun():
                return self._make(action)
            case InspectExport(checkpoint=path):
                return Unsound("A tensor holds NaN.") if path in self.unsound else Done()
            case ConfirmRun(run_id=run_id):
                return RunMade(run_id, MODEL, RANK) if run_id in self.runs else BackendFailed("It does not answer.")
            case _:
                raise AssertionError(action)

    def _in_the_cluster(self, action: CreateTrainerJob | DeleteTrainerJob | CallHook | SetFinalizer) -> Outcome:
        match action:
            case CreateTrainerJob(name=name, attempt=attempt):
                self.jobs_made += name not in self.jobs
                job = JobSeen(name, f"uid-{self.jobs_made}", attempt, JobPhase.RUNNING)
                self.jobs.setdefault(name, job)
            case DeleteTrainerJob(name=name, uid=uid):
                job = self.jobs.pop(name)
                assert job.uid == uid
                if self.pods_hang:
                    self.jobs[name] = replace(job, phase=JobPhase.DELETING)
            case CallHook() if self.hooks_down:
                return HookFailed("The webhook at hooks.example answered 503.")
            case CallHook():
                self.hook_calls.append(action)
            case SetFinalizer():
                pass
        return Done()

    def _make(self, action: RestoreRun | CreateRun) -> Outcome:
        if action.session_id in self.finished:
            return SessionLost("The session is finished.")
        key = (action.session_id, action.model_seq_id)
        if key not in self.outcomes:
            self.outcomes[key] = self._first(action)
        return self.outcomes[key]

    def _first(self, action: RestoreRun | CreateRun) -> Outcome:
        """The answer to a request that was not seen before; a repetition gets the same again, a failure too."""
        if self.backend_failures:
            self.backend_failures -= 1
            return BackendFailed("The service failed.")
        if isinstance(action, RestoreRun) and action.checkpoint in self.unloadable:
            return LoadRefused("The checkpoint is truncated.")
        run_id = f"{action.session_id}:train:{action.model_seq_id}"
        self.add_run(run_id, metadata=action.metadata)
        return RunMade(run_id, MODEL, RANK)


@dataclass
class Playing:
    """One TrainingRun, one service and a clock, driven round by round as the shell does it.

    Attributes:
        run: The object as the API server has it.
        service: The service.
        inventory: The newest snapshot.
        now: The time.
        statuses: Every status that was written.
        claimed_by: An older object on the same run.
        schedule: The schedule of a policy that holds.
        schedule_unread: Whether a policy that cannot be read may decide instead.
    """

    run: TrainingRun
    service: FakeService
    inventory: Inventory = field(default_factory=Inventory)
    now: datetime = START + timedelta(hours=2)
    statuses: list[TrainingRunStatus] = field(default_factory=list)
    claimed_by: str | None = None
    schedule: Deciding | None = None
    schedule_unread: bool = False

    def look(self) -> None:
        """Polls the service."""
        ids = [self.run.status.training_run_id, self.run.spec.run.training_run_id]
        self.inventory = self.service.look(self.inventory, [one for one in ids if one], self.now)

    def decide(self) -> RunPlan:
        """Decides, answering the questions of the decision."""
        seen = RunSeen(
            CLUSTER, self.inventory, self.claimed_by, schedule=self.schedule, schedule_unread=self.schedule_unread
        )
        while isinstance(plan := decided(partial(plan_run, self.run, seen, self.now)), Unanswered):
            seen = seen.learned(plan.question, self.service.answer(plan.question))
        return plan

    def act(self, plan: RunPlan) -> tuple[Performed, ...]:
        """Performs the plan's actions up to the first that meets trouble."""
        performed: list[Performed] = []
        for action in plan.plan.actions:
            performed.append(Performed(action, self.service.perform(action)))
            if isinstance(action, SetFinalizer):
                finalizers = (FINALIZER,) if action.present else ()
                metadata = self.run.metadata.model_copy(update={"finalizers": finalizers})
                self.run = self.run.model_copy(update={"metadata": metadata})
            if isinstance(performed[-1].outcome, Fault):
                break
        return tuple(performed)

    def report(self, plan: RunPlan, performed: tuple[Performed, ...]) -> bool:
        """Writes the status; tells whether it differs from the one before."""
        before = self.run.status
        status = next_run_status(self.run, plan, performed, self.now)
        self.run = self.run.model_copy(update={"status": status})
        self.statuses.append(status)
        return status != before

    def round(self) -> bool:
        """One reconcile; tells whether anything was done or written."""
        plan = self.decide()
        performed = self.act(plan)
        return self.report(plan, performed) or bool(performed)

    def settle(self, seconds: float = 0.0, rounds: int = 60) -> TrainingRunStatus:
        """Polls and reconciles until nothing moves any more, after so many seconds; fails if that never happens."""
        self.now += timedelta(seconds=seconds)
        for _ in range(rounds):
            self.look()
            moved = self.round()
            self.look()
            if not moved and not self.round():
                return self.run.status
        raise AssertionError(f"not at rest after {rounds} rounds: {self.run.status}")


def playing(run: TrainingRun | None = None, *steps: int) -> Playing:
    """Returns an adopted run with checkpoints at these steps, observed and at rest."""
    service = FakeService()
    service.add_run(FIRST, *(steps or (10, 20, 30)))
    game = Playing(run or training_run(), service)
    game.settle()
    return game
