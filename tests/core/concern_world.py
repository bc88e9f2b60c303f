"""A service and a policy's passes over it, for the tests of background validation and publishing.

The service is a fake with contents: it loads, describes, publishes, counts what is asked of it, and dies on demand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.core.legality import illegalities
from tests.core.strategies_policy import NOW, checkpoint, policy, training_run

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.api.validation_spec import CheckpointValidation
from tinker_operator.core.conditions import next_conditions
from tinker_operator.core.policy import PolicyPlan, next_policy_status, plan_policy
from tinker_operator.core.policy_concern import Returned, soonest
from tinker_operator.core.policy_concern_findings import publishing_finding, validation_finding
from tinker_operator.core.policy_publishing import next_publishing, plan_publishing, publishing_wake
from tinker_operator.core.policy_references import followed_runs, references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.policy_telling import policy_events
from tinker_operator.core.policy_validation import next_validation, plan_validation, validation_wake
from tinker_operator.core.policy_verdicts import with_proofs
from tinker_operator.core.telemetry import Told
from tinker_operator.core.world import (
    Action,
    Answer,
    CheckpointMissing,
    CheckpointsOf,
    Done,
    Fault,
    FinishSession,
    InspectExport,
    LoadRefused,
    ObservedCheckpoint,
    ObservedRun,
    OpenSession,
    Outcome,
    PreconditionFailed,
    PublishCheckpoint,
    ReadWeights,
    RestoreRun,
    RunMade,
    SessionOpened,
    UnpublishCheckpoint,
    Unsound,
    WeightsRead,
    WeightsSeen,
)

DOWN = Fault(Reason.SERVER_FAULT, "The service answers with 500. Wait.")
REFUSED = Fault(Reason.FORBIDDEN, "The key may not do this. Use one that may.", needs_user=True)
BASE, RANK = "base", 8


class Killed(Exception):
    """The operator died right after the service had done what it was asked."""


@dataclass
class Service:
    """What the service has, by path, and what was asked of it.

    Attributes:
        listed: The checkpoints as it lists them.
        broken: Paths that do not load.
        unsound: Paths that load, and whose export is no good.
        missing: Paths that it lists and does not have.
        rank: LoRA rank of all its weights.
        down: What it answers to everything, while it is in trouble.
        sessions: Sessions by key, and whether each is still open.
        asked: The actions, in order.
        dies_after: Type of the action after which the operator dies, once.
    """

    listed: dict[str, ObservedCheckpoint]
    broken: set[str] = field(default_factory=set)
    unsound: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    rank: int = RANK
    down: Fault | None = None
    sessions: dict[str, bool] = field(default_factory=dict)
    asked: list[Action] = field(default_factory=list)
    dies_after: type | None = None

    def perform(self, action: Action) -> Outcome:
        self.asked.append(action)
        outcome = self.down or self._done(action)
        if self.dies_after is not None and isinstance(action, self.dies_after):
            self.dies_after = None
            raise Killed
        return outcome

    def _done(self, action: Action) -> Outcome:
        match action:
            case OpenSession(key=key):
                self.sessions.setdefault(key, True)
                return SessionOpened(key)
            case RestoreRun(session_id=session, checkpoint=path):
                return LoadRefused("It is cut short.") if path in self.broken else self._made(session)
            case InspectExport(checkpoint=path):
                return Unsound("A tensor holds NaN.") if path in self.unsound else Done()
            case FinishSession(session_id=session):
                self.sessions[session] = False
                return Done()
            case ReadWeights(path=path):
                return CheckpointMissing() if path in self.missing else self._weights()
            case PublishCheckpoint() | UnpublishCheckpoint():
                return self._shown(action)
            case _:
                raise AssertionError(action)

    def _made(self, session: str) -> Outcome:
        assert self.sessions[session], "a load in a finished session"
        return RunMade(f"{session}:train:0", BASE, self.rank)

    def _weights(self) -> Outcome:
        return WeightsRead(WeightsSeen(BASE, is_lora=True, lora_rank=self.rank))

    def _shown(self, action: PublishCheckpoint | UnpublishCheckpoint) -> Outcome:
        it = self.listed.get(action.path)
        wanted = isinstance(action, PublishCheckpoint)
        if it is None or (it.time, it.size_bytes) != (action.expected_time, action.expected_size):
            return PreconditionFailed("another one")
        if it.public is wanted:
            return PreconditionFailed("already so")
        self.listed[action.path] = replace(it, public=wanted)
        return Done()

    def public(self) -> set[str]:
        return {path for path, it in self.listed.items() if it.public}

    def count(self, kind: type) -> int:
        return sum(isinstance(action, kind) for action in self.asked)


def service(*checkpoints: ObservedCheckpoint, **facts: Any) -> Service:
    return Service({it.path: it for it in checkpoints}, **facts)


def proving(level: ValidationLevel, **spec: Any) -> CheckpointPolicy:
    """A policy that proves at this level, once a minute where that costs a load."""
    return asking(validation=CheckpointValidation(level=level, interval_seconds=60), **spec)


def asking(asked: CheckpointPolicy | None = None, **spec: Any) -> CheckpointPolicy:
    """The policy with these fields of its spec."""
    asked = asked or policy(keep_last=100, uid="p1", created=NOW)
    return asked.model_copy(update={"spec": asked.spec.model_copy(update=spec)})


@dataclass
class Game:
    """Passes of one policy over a service, each as the controller makes it; status is what survives a death."""

    policy: CheckpointPolicy
    service: Service
    run: TrainingRun = field(
        default_factory=lambda: training_run(status={"base_model": BASE, "lora_rank": RANK}, poll_seconds=30)
    )
    others: tuple[CheckpointPolicy, ...] = ()
    now: datetime = NOW
    blind: bool = False
    events: list[Told] = field(default_factory=list)
    writes: int = 0
    wake: float | None = None

    def seen(self) -> PolicySeen:
        ids = followed_runs(self.run)
        here = tuple(self.service.listed.values())
        answers: Mapping[Any, Answer] = {
            CheckpointsOf(it): DOWN if self.blind else tuple(one for one in here if one.run_id == it) for it in ids
        }
        views = {it: ObservedRun(it, BASE) for it in ids}
        policies = (self.policy, *self.others)
        return PolicySeen(
            (Governed(self.run, views, answers),), policies, with_proofs(references([self.run]), policies)
        )

    def look(self) -> bool:
        """One pass; tells whether status was written. A death loses what the pass would have written."""
        seen = self.seen()
        plan = plan_policy(self.policy, seen, self.now)
        try:
            return self._pass(seen, plan)
        except Killed:
            return False

    def _pass(self, seen: PolicySeen, plan: PolicyPlan) -> bool:
        asked = self.policy
        publishing = plan_publishing(asked, seen, plan, self.now)
        published = self._run(publishing.errands)
        validation = plan_validation(asked, seen, plan, "cluster", self.now)
        proven = self._run(validation.errands)
        section, shown = next_validation(validation, proven, self.now), next_publishing(publishing, published, self.now)
        status = next_policy_status(asked, seen, plan, (), self.now)
        found = (validation_finding(asked, section), publishing_finding(asked, publishing, shown))
        findings = [it for it in found if it is not None]
        generation = asked.metadata.generation
        conditions = next_conditions(asked.status.conditions, findings, generation=generation, now=self.now)
        conditions = (*status.conditions, *conditions)
        status = status.model_copy(update={"conditions": conditions, "validation": section, "publishing": shown})
        assert illegalities(generation, status.observed_generation, status.conditions) == []
        self.events += policy_events(asked.status, status)
        self.wake = soonest(
            validation_wake(asked, validation, section, self.now),
            publishing_wake(publishing, shown, published, self.now),
        )
        changed = status != asked.status
        self.writes += changed
        self.policy = asked.model_copy(update={"status": status})
        return changed

    def _run(self, errands: Iterable[Any]) -> tuple[Returned, ...]:
        returned: list[Returned] = []
        for errand in errands:
            returned.append(Returned(errand, self.service.perform(errand.action)))
            if isinstance(returned[-1].outcome, Fault):
                break
        return tuple(returned)

    def rest(self, passes: int = 60, seconds: float = 30) -> "Game":
        """Looks until nothing changes and nothing is waited for, an interval apart at most."""
        quiet = 0
        for _ in range(passes):
            quiet = 0 if self.look() else quiet + 1
            pause = seconds if self.wake is None else min(self.wake, seconds)
            self.now += timedelta(seconds=pause)
            if quiet > 3:
                return self
        raise AssertionError("it never rests")

    def verdicts(self) -> dict[str, str]:
        section = self.policy.status.validation
        return {it.path: str(it.verdict) for it in section.verdicts} if section is not None else {}

    def condition(self, kind: str) -> tuple[str, str]:
        return next((str(it.status), it.reason) for it in self.policy.status.conditions if it.type == kind)

    def resaved(self, path: str, **facts: Any) -> None:
        """Saves a checkpoint again under its name."""
        self.service.listed[path] = replace(self.service.listed[path], **facts)


OLD, NEW = checkpoint("old", 2), checkpoint("new", 1)
