"""Background validation of a CheckpointPolicy: which checkpoint is proven next, and what is remembered of it.

The policy controller plans it after retention, performs its errands and writes its section of status with everything
else. Only what stays is proven, each content once for each level: first the newest checkpoint of every run, since that
is what a recovery takes, then the newest of all. Trouble of the service is never a verdict.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.api.validation_spec import CheckpointValidation
from tinker_operator.api.validation_status import (
    FINDINGS_LIMIT,
    CheckpointProof,
    PolicyValidationStatus,
)
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_concern import Errand, Returned, seconds_until, waits
from tinker_operator.core.policy_findings import bounded, by_listing, pruned, staying, with_findings
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.policy_proof import (
    EXPENSIVE,
    is_finishing,
    is_held,
    next_errand,
    reviewed,
)
from tinker_operator.core.policy_seen import PolicySeen
from tinker_operator.core.policy_validation_outcomes import after_errand
from tinker_operator.core.policy_verdicts import Identity, identity, stands
from tinker_operator.core.world import (
    ReadWeights,
)

READS_PER_PASS = 10
"""Checkpoints whose metadata is read in one pass."""
MORE_SECONDS = 5.0
"""Pause between two such passes, and while the service is at work on a load."""


@dataclass(frozen=True, slots=True)
class ValidationPlan:
    """What to do now.

    Attributes:
        section: The section of status before anything comes of the errands; None to have none.
        errands: What to do, in order; the first that fails ends the pass.
        staying: What is to have a verdict, in the order that it is proven in; None when nothing can be seen.
        level: The level of that verdict; None when no more are wanted.
        runs: The TrainingRuns of the namespace by name.
        present: The checkpoints of complete views.
    """

    section: PolicyValidationStatus | None = None
    errands: tuple[Errand, ...] = ()
    staying: tuple[Judged, ...] | None = None
    level: ValidationLevel | None = None
    runs: Mapping[str, TrainingRun] = field(default_factory=dict)
    present: frozenset[Identity] = frozenset()


def plan_validation(
    policy: CheckpointPolicy, seen: PolicySeen, plan: PolicyPlan, cluster_id: str, now: datetime
) -> ValidationPlan:
    """Returns what to prove now.

    Args:
        policy: The policy, with the verdicts that stand.
        seen: What was observed.
        plan: What retention makes of it.
        cluster_id: First part of the mark that a run carries which a checkpoint is proven in.
        now: The time.
    """
    asked, known = policy.spec.validation, policy.status.validation or PolicyValidationStatus()
    if asked is None and known.in_flight is None:
        return ValidationPlan()
    present = frozenset(identity(one.checkpoint) for one in plan.judged)
    base = ValidationPlan(
        section=pruned(known, present, plan.gaps),
        staying=None if plan.blind else staying(plan.judged, now),
        level=asked.level if asked is not None else None,
        runs={one.run.metadata.name: one.run for one in seen.governed},
        present=present,
    )
    if known.in_flight is not None:
        return _going_on(policy, base, known.in_flight, plan.gaps, cluster_id=cluster_id, now=now)
    return base if policy.spec.suspend else _begun(policy, base, now)


def next_validation(plan: ValidationPlan, returned: Iterable[Returned], now: datetime) -> PolicyValidationStatus | None:
    """Returns the section of status after the errands; None when there is to be none.

    Args:
        plan: The plan of this pass.
        returned: What came of its errands, in order.
        now: When.
    """
    section = plan.section
    for one in returned:
        section = section and after_errand(section, one, plan.runs, now)
    if section is None:
        return None
    left = len(_todo(section, plan)) if plan.staying is not None else section.unvalidated
    verdicts = bounded(section.verdicts, plan.staying)
    counts = dict(sorted(Counter(str(it.verdict) for it in verdicts).items()))
    done = left == 0 and section.in_flight is None and plan.staying is not None
    update: dict[str, object] = {"counts": counts, "unvalidated": left, "verdicts": verdicts}
    return section.model_copy(update=update | ({"setback": None} if done else {}))


def validation_wake(
    policy: CheckpointPolicy, plan: ValidationPlan, after: PolicyValidationStatus | None, now: datetime
) -> float | None:
    """Returns the seconds until the next step of validation; None when there is none to wait for.

    Args:
        policy: The policy, with the status before this pass.
        plan: The plan of this pass.
        after: What `next_validation` returned.
        now: The time.
    """
    if after is None:
        return None
    before, proof = policy.status.validation, after.in_flight
    if proof is not None and (before is None or before.in_flight != proof):
        return AT_ONCE
    if after.setback is not None and waits(after.setback, now):
        return seconds_until(after.setback.retry_time, now)
    if proof is not None:
        return MORE_SECONDS
    if policy.spec.suspend or policy.spec.validation is None or not _todo(after, plan):
        return None
    return seconds_until(_next_proof(policy.spec.validation, after, now), now) or MORE_SECONDS


def _todo(section: PolicyValidationStatus, plan: ValidationPlan) -> list[Judged]:
    """What the service failed on last comes after the others, so that it does not hold them up."""
    if plan.level is None:
        return []
    settled = {identity(it) for it in section.verdicts if stands(it, plan.level)}
    doubtful = section.setback.path if section.setback is not None else None
    left = [one for one in plan.staying or () if identity(one.checkpoint) not in settled]
    last = next((place for place, one in enumerate(left) if one.checkpoint.path == doubtful), -1)
    return [*left[last + 1 :], *left[: last + 1]]


def _going_on(
    policy: CheckpointPolicy,
    plan: ValidationPlan,
    journal: CheckpointProof,
    incomplete: Container[str],
    *,
    cluster_id: str,
    now: datetime,
) -> ValidationPlan:
    section = plan.section or PolicyValidationStatus()
    proof = reviewed(policy, journal, plan.runs, plan.present, incomplete, now=now)
    going = replace(plan, section=section.model_copy(update={"in_flight": proof}))
    if proof is None or is_held(proof, incomplete, now) or (waits(section.setback, now) and not is_finishing(proof)):
        return going
    return replace(going, errands=(next_errand(policy, proof, plan.runs[proof.training_run], cluster_id),))


def _begun(policy: CheckpointPolicy, plan: ValidationPlan, now: datetime) -> ValidationPlan:
    """Judges what the listing tells, then reads the metadata of some, or journals the proof of one."""
    asked, section = policy.spec.validation, plan.section
    if asked is None or section is None:
        return plan
    judged = (by_listing(one, asked.level, now) for one in _todo(section, plan)[:FINDINGS_LIMIT])
    section = with_findings(section, *(it for it in judged if it is not None))
    plan = replace(plan, section=section)
    todo = _todo(section, plan)[:FINDINGS_LIMIT]
    if not todo or waits(section.setback, now):
        return plan
    if asked.level not in EXPENSIVE:
        return replace(plan, errands=tuple(_reading(one) for one in todo[:READS_PER_PASS]))
    if _next_proof(asked, section, now) > now:
        return plan
    return replace(plan, section=_journalled(section, todo[0], asked.level, now))


def _next_proof(asked: CheckpointValidation, section: PolicyValidationStatus, now: datetime) -> datetime:
    if asked.level not in EXPENSIVE or section.last_proof_time is None:
        return now
    return section.last_proof_time + timedelta(seconds=asked.interval_seconds)


def _journalled(
    section: PolicyValidationStatus, one: Judged, level: ValidationLevel, now: datetime
) -> PolicyValidationStatus:
    it, number = one.checkpoint, section.proofs + 1
    proof = CheckpointProof(
        number=number,
        path=it.path,
        time=it.time,
        size_bytes=it.size_bytes,
        training_run=one.training_run,
        level=level,
        started_at=now,
    )
    return section.model_copy(update={"in_flight": proof, "proofs": number, "last_proof_time": now})


def _reading(one: Judged) -> Errand:
    it = one.checkpoint
    return Errand(one.training_run, ReadWeights(it.path, it.run_id, it.time, it.size_bytes))
