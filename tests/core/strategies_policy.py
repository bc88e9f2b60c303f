"""Builders and hostile worlds for the tests of retention and of CheckpointPolicy.

The builders make the smallest object that a table needs; the strategies draw few names and few times on purpose,
so that collisions (equal times, one path in two listings, two TrainingRuns on one run) happen all the time.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from tinker_operator.api.checkpoint_policy import CheckpointPolicy, CheckpointPolicySpec, RunSelector
from tinker_operator.api.export_spec import Export, ExportPlace, ExportWhat, VolumePlace
from tinker_operator.api.export_status import ExportRecord, ExportState
from tinker_operator.api.meta import Condition, ConditionStatus, ObjectMeta
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_spec import Metric, MetricMode, Recovery, ValidationLevel
from tinker_operator.api.recovery_status import (
    CandidateVerdict,
    InFlightRecovery,
    RecoveryRecord,
    RecoveryResult,
    RecoveryStatus,
    Verdict,
)
from tinker_operator.api.retention_spec import KeepBest, Retention, RetentionAction
from tinker_operator.api.run_spec import CreateRun, Lora, RestoreSource, RunSource, TrainingRunSpec
from tinker_operator.api.run_status import CheckpointSummary, HandOverStatus, TrainingRunStatus
from tinker_operator.api.schedule_spec import Schedule
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.api.validation_spec import CheckpointValidation
from tinker_operator.api.validation_status import CheckpointFinding, CheckpointProof, PolicyValidationStatus
from tinker_operator.core.export_job import shown_target
from tinker_operator.core.export_references import with_exports
from tinker_operator.core.policy_references import followed_runs, references
from tinker_operator.core.policy_seen import Governed, PolicySeen, governs
from tinker_operator.core.policy_verdicts import with_proofs
from tinker_operator.core.world import (
    Absent,
    Answer,
    CheckpointKind,
    CheckpointsOf,
    DeleteCheckpoint,
    Fault,
    ObservedCheckpoint,
    ObservedRun,
    Question,
    RunView,
)

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMESPACE = "lab"
UNREACHABLE = Fault(Reason.SERVICE_UNREACHABLE, "No connection to the service. Check the network.")
WRONG_KEY = Fault(Reason.UNAUTHORIZED, "The service does not accept the key. Put a valid one in it.", needs_user=True)


def path(run_id: str, name: str) -> str:
    return f"tinker://{run_id}/weights/{name}"


def checkpoint(name: str, hours_old: float | None = 1, run_id: str = "r1", **facts: Any) -> ObservedCheckpoint:
    """A training checkpoint of 100 bytes that was saved so many hours before NOW; None for an unknown time."""
    time = None if hours_old is None else NOW - hours_old * HOUR
    plain = ObservedCheckpoint(path(run_id, name), run_id, time=time, size_bytes=100)
    return replace(plain, **facts)


def policy(
    name: str = "keep",
    *,
    keep_last: int | None = 1,
    minimum_good: int = 1,
    action: RetentionAction = RetentionAction.DELETE,
    labels: Mapping[str, str] | None = None,
    suspend: bool = False,
    namespace: str = NAMESPACE,
    generation: int = 1,
    status: CheckpointPolicyStatus | None = None,
    created: datetime | None = None,
    uid: str = "",
    schedule: Schedule | None = None,
    **rules: Any,
) -> CheckpointPolicy:
    return CheckpointPolicy(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=uid, generation=generation, creation_timestamp=created),
        spec=CheckpointPolicySpec(
            selector=RunSelector(match_labels=dict(labels or {})),
            retention=Retention(action=action, keep_last=keep_last, minimum_good=minimum_good, **rules),
            schedule=schedule,
            suspend=suspend,
        ),
        status=status or CheckpointPolicyStatus(),
    )


def training_run(
    name: str = "sft",
    *,
    lineage: Iterable[str] = ("r1",),
    current: str | None = "r1",
    labels: Mapping[str, str] | None = None,
    namespace: str = NAMESPACE,
    poll_seconds: int = 30,
    recovery: Recovery | None = None,
    begun_from: str | None = None,
    status: Mapping[str, object] | None = None,
) -> TrainingRun:
    facts = {"training_run_id": current, "lineage": tuple(lineage), **(status or {})}
    return TrainingRun(
        metadata=ObjectMeta(name=name, namespace=namespace, labels=dict(labels or {})),
        spec=TrainingRunSpec(
            run=RunSource(training_run_id="r1") if begun_from is None else begun(begun_from),
            recovery=recovery or Recovery(),
            poll_interval_seconds=poll_seconds,
        ),
        status=TrainingRunStatus.model_validate(facts),
    )


def begun(checkpoint: str) -> RunSource:
    """A run that the operator makes from this checkpoint."""
    source = RestoreSource(checkpoint=checkpoint)
    return RunSource(create=CreateRun(base_model="m", lora=Lora(rank=8), source=source))


def flagged(status: ConditionStatus = ConditionStatus.TRUE) -> tuple[Condition, ...]:
    """The conditions of a TrainingRun whose run the service flags, or not."""
    return (
        Condition(
            type=ConditionType.CORRUPTED,
            status=status,
            observed_generation=1,
            last_transition_time=NOW,
            reason=Reason.RUN_CORRUPTED,
            message="flagged",
        ),
    )


def proving_policy(checkpoint_path: str) -> CheckpointPolicy:
    """A policy that is at the proof of this checkpoint."""
    level = ValidationLevel.LOAD
    proof = CheckpointProof(number=1, path=checkpoint_path, training_run="sft", level=level, started_at=NOW)
    return policy(status=CheckpointPolicyStatus(validation=PolicyValidationStatus(in_flight=proof)))


def in_flight(run_id: str = "r1", checkpoint_path: str | None = None, *seen: CandidateVerdict) -> RecoveryStatus:
    journal = InFlightRecovery(
        attempt=1,
        from_training_run_id=run_id,
        started_at=NOW,
        session_id="s",
        model_seq_id=0,
        checkpoint=checkpoint_path,
        candidates=seen,
    )
    return RecoveryStatus(in_flight=journal)


def history(*seen: CandidateVerdict) -> tuple[RecoveryRecord, ...]:
    record = RecoveryRecord(
        attempt=1,
        from_training_run_id="r1",
        candidates=seen,
        started_at=NOW,
        completed_at=NOW,
        result=RecoveryResult.RECOVERED,
    )
    return (record,)


def verdict(checkpoint_path: str, judged: Verdict) -> CandidateVerdict:
    return CandidateVerdict(checkpoint=checkpoint_path, verdict=judged)


def hand_over(checkpoint_path: str) -> HandOverStatus:
    return HandOverStatus(config_map="sft-handover", attempt=1, training_run_id="r1", checkpoint=checkpoint_path)


@dataclass(frozen=True)
class World:
    """A service and a cluster: what is listed under each run, and what goes wrong for whom.

    Attributes:
        policies: All policies; the first one is asked about.
        runs: All TrainingRuns.
        listings: What each run lists; a run without an entry is gone.
        views: How the service describes the runs that exist.
        faults: Trouble that one TrainingRun (by name) has with one run: (in the view, in the listing).
    """

    policies: tuple[CheckpointPolicy, ...]
    runs: tuple[TrainingRun, ...]
    listings: Mapping[str, tuple[ObservedCheckpoint, ...]]
    views: Mapping[str, ObservedRun]
    faults: Mapping[tuple[str, str], tuple[Fault | None, Fault | None]]

    @property
    def policy(self) -> CheckpointPolicy:
        return self.policies[0]

    def seen(self, asking: CheckpointPolicy | None = None) -> PolicySeen:
        """What the shell would give the planner for this policy."""
        policy = asking or self.policy
        governed = tuple(self._governed(run) for run in self.runs if governs(policy, run))
        known = with_proofs(references(self.runs), self.policies)
        return PolicySeen(governed, self.policies, with_exports(known, self.policies, governed))

    def without(self, deleted: Iterable[str]) -> "World":
        """The world after these checkpoints were deleted."""
        gone = frozenset(deleted)
        left = {run: tuple(it for it in listing if it.path not in gone) for run, listing in self.listings.items()}
        return replace(self, listings=left)

    def extended(self, kept: Iterable[str]) -> "World":
        """The world after the expiry of these checkpoints was taken away."""
        longer = frozenset(kept)
        listings = {
            run: tuple(replace(it, expires_at=None) if it.path in longer else it for it in listing)
            for run, listing in self.listings.items()
        }
        return replace(self, listings=listings)

    def _governed(self, run: TrainingRun) -> Governed:
        ids = followed_runs(run)
        answers: dict[Question, Answer] = {CheckpointsOf(run_id): self._answer(run, run_id) for run_id in ids}
        return Governed(run, {run_id: self._view(run, run_id) for run_id in ids}, answers)

    def _answer(self, run: TrainingRun, run_id: str) -> Answer:
        _, fault = self.faults.get((run.metadata.name, run_id), (None, None))
        listing: Answer = self.listings.get(run_id, Absent())
        return listing if fault is None else fault

    def _view(self, run: TrainingRun, run_id: str) -> RunView:
        fault, _ = self.faults.get((run.metadata.name, run_id), (None, None))
        return fault or (self.views.get(run_id) if run_id in self.listings else Absent(agreeing=2))


def deleted_paths(actions: Iterable[object]) -> list[str]:
    return [action.path for action in actions if isinstance(action, DeleteCheckpoint)]


RUN_IDS = ("r1", "r2", "r3", "r4")
NAMES = tuple(f"c{number}" for number in range(16))
TIMES = tuple(NOW - hours * HOUR for hours in (0, 1, 1, 2, 3, 5, 8, 13, 21, 500))
ODD_TIMES = (None, NOW + HOUR, NOW + 9000 * HOUR)
PINNED = ("true", "True", " YES ", "1", "no", "false", "", "0")
LOSSES = ("0.1", "0.5", "0.5", "1", "2e3", "-1")
STEPS = ("0", "1", "10", "15", "20", "100")
ODD_NUMBERS = (None, "NaN", "inf", "-Infinity", "", "low", "1e999", "-0", "1e-320", "99999999999999999999")
BEST = tuple(Metric(name="loss", mode=mode) for mode in MetricMode)
OTHER_KINDS = tuple(kind for kind in CheckpointKind if kind is not CheckpointKind.TRAINING)


@dataclass(frozen=True)
class Dice:
    """Chance with a dial: everything unusual happens through `odd`, so that hostility 0 is an ordinary world.

    Attributes:
        chance: Where the numbers come from; the same seed rolls the same world.
        hostility: 0 to 3; how often the unusual happens.
    """

    chance: random.Random
    hostility: int

    def odd(self, scale: float = 1) -> bool:
        return self.chance.random() < 0.035 * self.hostility * scale

    def pick(self, items: Sequence[T]) -> T:
        return items[self.chance.randrange(len(items))]

    def path(self) -> str:
        return path(self.pick(RUN_IDS), self.pick(NAMES))

    def maybe_path(self) -> str | None:
        return self.path() if self.odd(3) else None

    def checkpoint(self, run_id: str) -> ObservedCheckpoint:
        """Mostly ordinary; sometimes listed under a run that its path does not name."""
        home = self.pick(RUN_IDS) if self.odd() else run_id
        return ObservedCheckpoint(
            path(home, self.pick(NAMES)),
            run_id,
            kind=self.pick(OTHER_KINDS) if self.odd() else CheckpointKind.TRAINING,
            time=self.pick(ODD_TIMES if self.odd() else TIMES),
            size_bytes=self.pick((0, None, 10**15)) if self.odd() else 100,
            public=self.odd(0.5),
            expires_at=self.pick((NOW - HOUR, NOW, NOW + HOUR)) if self.odd() else None,
            metadata=({"pinned": self.pick(PINNED)} if self.odd() else {}) | self.numbers(),
        )

    def numbers(self) -> dict[str, str]:
        """Loss and step as a loop writes them; in a hostile world also what is none."""
        said = {
            "loss": self.pick(ODD_NUMBERS if self.odd(3) else LOSSES),
            "step": self.pick(ODD_NUMBERS if self.odd() else STEPS),
        }
        return {key: value for key, value in said.items() if value is not None}

    def listing(self, run_id: str, size: int) -> tuple[ObservedCheckpoint, ...]:
        """Each path once, as a service should; in a hostile world some are told twice, and not the same."""
        found = [self.checkpoint(run_id) for _ in range(size)]
        once = {it.path: it for it in found}.values()
        return tuple(it for it in found if self.odd() or any(it is one for one in once))

    def view(self, run_id: str) -> ObservedRun:
        last = self.checkpoint(run_id) if self.odd(6) else None
        return ObservedRun(run_id, "base", corrupted=self.odd(2), last_checkpoint=last)

    def verdicts(self) -> tuple[CandidateVerdict, ...]:
        """Up to two."""
        return tuple(verdict(self.path(), self.pick(tuple(Verdict))) for _ in range(2) if self.odd(4))

    def recovery(self) -> RecoveryStatus:
        """Remembered attempts, and sometimes one in flight."""
        journal = in_flight(self.pick(RUN_IDS), self.maybe_path(), *self.verdicts()).in_flight
        return RecoveryStatus(
            in_flight=journal if self.odd(2) else None,
            restored_from=self.maybe_path(),
            history=history(*self.verdicts()),
        )

    def training_run(self, name: str) -> TrainingRun:
        """Bound or not, flagged or not, recovering or not, and referring to whatever it likes."""
        lineage = self.chance.sample(RUN_IDS, self.pick((1, 1, 2, 3)))
        unbound = self.odd()
        handed, last = self.maybe_path(), self.maybe_path()
        return training_run(
            name,
            lineage=() if unbound and self.odd(6) else lineage,
            current=None if unbound else self.pick(lineage),
            labels={"team": "bio"} if self.odd(2) else {"team": "math"},
            namespace="elsewhere" if self.odd(2) else NAMESPACE,
            poll_seconds=self.pick((1, 30, 3600)),
            recovery=Recovery(enabled=self.pick((True, False)), checkpoint=self.maybe_path()),
            begun_from=self.maybe_path() if self.odd(8) else None,
            status={
                "recovery": self.recovery(),
                "hand_over": hand_over(handed) if handed else None,
                "last_checkpoint": CheckpointSummary(path=last) if last else None,
                "conditions": flagged(self.pick(tuple(ConditionStatus)) if self.odd(2) else ConditionStatus.FALSE),
            },
        )

    def policy(self, name: str, *, deletes: bool = False) -> CheckpointPolicy:
        """Small numbers mostly, sometimes huge ones."""
        reports = not deletes and self.odd(3)
        rules = self.rules()
        return policy(
            name,
            keep_last=None if rules and self.odd(6) else 10000 if self.odd() else self.pick((1, 1, 2, 3, 5)),
            max_total_bytes=self.pick((1, 100, 250, 600, 2**53)) if self.odd(2) else None,
            max_deletions_per_hour=1_000_000,
            extend_ttl=self.odd(6),
            **rules,
            minimum_good=10000 if self.odd() else self.pick((1, 1, 2, 3)),
            action=RetentionAction.REPORT if reports else RetentionAction.DELETE,
            labels={"team": "chem"} if self.odd() else self.pick(({}, {"team": "math"})),
            suspend=not deletes and self.odd(2),
            generation=self.pick((1, 2, 3)),
        )

    def rules(self) -> dict[str, Any]:
        """Some of the rules beside keepLast."""
        count = 10000 if self.odd() else self.pick((1, 1, 2, 3))
        said: dict[str, Any] = {
            "keep_best": KeepBest(count=count, metric=self.pick(BEST)),
            "keep_every_steps": self.pick((1, 10, 50, 10**12)),
            "keep_within_seconds": self.pick((1, 3600, 3601, 10**5, 315_360_000)),
            "keep_hourly": count,
            "keep_daily": count,
            "keep_weekly": count,
            "keep_names": (self.pick(("c1*", "c?", "none", "c3")),),
        }
        return {name: rule for name, rule in said.items() if self.odd(1.5)}

    def proving(self, asked: CheckpointPolicy, listed: Iterable[ObservedCheckpoint]) -> CheckpointPolicy:
        """Some policies prove checkpoints, have found a third of them good and a third bad, and may be at it."""
        if not self.odd(4):
            return asked
        validation = CheckpointValidation(level=self.pick(tuple(ValidationLevel)))
        found = tuple(self.finding(it) for it in listed if self.pick((True, True, False)))
        proof = CheckpointProof(number=1, path=self.path(), training_run="a", level=validation.level, started_at=NOW)
        section = PolicyValidationStatus(verdicts=found, in_flight=proof if self.odd(8) else None)
        spec = asked.spec.model_copy(update={"validation": validation})
        return asked.model_copy(update={"spec": spec, "status": CheckpointPolicyStatus(validation=section)})

    def exporting(self, asked: CheckpointPolicy, listed: Iterable[ObservedCheckpoint]) -> CheckpointPolicy:
        """A few policies export, and have done so with some checkpoints, or are about to."""
        if not self.odd(1):
            return asked
        place = ExportPlace(persistent_volume_claim=VolumePlace(claim_name="archive"))
        export = Export(what=self.pick(tuple(ExportWhat)), to=place)
        records = tuple(self.export_record(it, shown_target(export)) for it in listed if self.odd(5))
        spec = asked.spec.model_copy(update={"export": export})
        return asked.model_copy(update={"spec": spec, "status": asked.status.model_copy(update={"exports": records})})

    def export_record(self, it: ObservedCheckpoint, target: str) -> ExportRecord:
        """In any state."""
        return ExportRecord(
            path=it.path,
            time=it.time,
            size_bytes=it.size_bytes,
            training_run="a",
            target=target,
            state=self.pick(tuple(ExportState)),
            job="export-1",
        )

    def finding(self, it: ObservedCheckpoint) -> CheckpointFinding:
        """Half of them bad, at any level."""
        return CheckpointFinding(
            path=it.path,
            time=it.time,
            size_bytes=it.size_bytes,
            training_run="a",
            level=self.pick(tuple(ValidationLevel)),
            verdict=self.pick((Verdict.GOOD, Verdict.NOT_LOADABLE)),
        )

    def faults(self) -> dict[tuple[str, str], tuple[Fault | None, Fault | None]]:
        trouble = (None, UNREACHABLE, WRONG_KEY)
        keys = ((name, run_id) for name in TRAINING_RUNS for run_id in RUN_IDS)
        return {key: (self.pick(trouble), self.pick(trouble)) for key in keys if self.odd(0.7)}


TRAINING_RUNS = ("a", "b", "c")
POLICIES = ("keep", "other", "third")
SIZES = ((1, 2, 2, 3, 3, 0), (1, 1, 2, 3), (6, 3, 10, 16, 1, 0), (0, 1, 2, 3))
"""TrainingRuns, policies, checkpoints that each run lists, hostility; the first of each is what failures shrink to."""


@st.composite
def worlds(draw: st.DrawFn, *, faults: bool = True, deletes: bool = False) -> World:
    """Up to three policies over up to three TrainingRuns that share four runs.

    The sizes and the hostility are Hypothesis' to shrink; the details come from one seed, because a world of a
    hundred details drawn one by one comes out nearly empty, and a law over nothing holds.

    Args:
        draw: Hypothesis' own.
        faults: Whether anything may go wrong at the service, lost runs among it.
        deletes: Whether the first policy surely deletes.
    """
    counts = draw(st.tuples(*map(st.sampled_from, SIZES)))
    return world_of(draw(st.integers(0, 2**32 - 1)), *counts, faults=faults, deletes=deletes)


def world_of(
    seed: int, runs: int, policies: int, size: int, hostility: int, *, faults: bool = True, deletes: bool = False
) -> World:
    """The world of this seed; see `worlds`."""
    dice = Dice(random.Random(seed), hostility)  # noqa: S311 - worlds, not secrets
    exist = [run_id for run_id in RUN_IDS if not (faults and dice.odd())]
    world = World(
        tuple(dice.policy(name, deletes=deletes and name == POLICIES[0]) for name in POLICIES[:policies]),
        tuple(dice.training_run(name) for name in TRAINING_RUNS[:runs]),
        {run_id: dice.listing(run_id, size) for run_id in exist},
        {run_id: dice.view(run_id) for run_id in exist},
        dice.faults() if faults else {},
    )
    prover = Dice(random.Random(seed + 1), hostility)  # noqa: S311 - as above
    listed = [it for listing in world.listings.values() for it in listing]
    return replace(
        world, policies=tuple(prover.exporting(prover.proving(it, listed[:20]), listed[:20]) for it in world.policies)
    )
