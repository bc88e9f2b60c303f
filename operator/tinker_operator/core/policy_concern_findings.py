"""What the conditions Validated and Published say. Each is there only where the spec asks for its concern.

Ready does not depend on them: a policy that found a bad checkpoint has done what it is for.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.publish_spec import Publish
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import Verdict
from tinker_operator.api.validation_status import CheckpointFinding, PolicyValidationStatus, PublishingStatus
from tinker_operator.core.conditions import Finding, find_condition, findings_of
from tinker_operator.core.policy_concern import cause_of, listed_names
from tinker_operator.core.policy_publishing import PublishingPlan
from tinker_operator.core.policy_standing import clipped

_EARLIEST = datetime.min.replace(tzinfo=UTC)
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def validation_finding(policy: CheckpointPolicy, section: PolicyValidationStatus | None) -> Finding | None:
    """Returns Validated: whether the newest checkpoint of each run, of those that were looked at, is good.

    Args:
        policy: The policy.
        section: What is known; None where nothing is asked for.
    """
    if policy.spec.validation is None or section is None:
        return None
    newest = _newest_of_runs(section.verdicts)
    bad = [it for it in newest if it.verdict is not Verdict.GOOD]
    if bad:
        return Finding(ConditionType.VALIDATED, FALSE, Reason.CHECKPOINT_INVALID, clipped(_invalid(bad)))
    if section.setback is not None:
        message = f"{section.setback.message} This says nothing about any checkpoint; it is tried again."
        return Finding(ConditionType.VALIDATED, UNKNOWN, cause_of(section.setback), message)
    if not newest:
        message = "No checkpoint that stays has been proven yet."
        return Finding(ConditionType.VALIDATED, UNKNOWN, Reason.VALIDATING, message)
    message = f"The newest checkpoint of each run that was proven is good, at level {policy.spec.validation.level}."
    return Finding(ConditionType.VALIDATED, TRUE, Reason.VALIDATED, message)


def publishing_finding(
    policy: CheckpointPolicy, plan: PublishingPlan, section: PublishingStatus | None
) -> Finding | None:
    """Returns Published: whether what is asked for is public, and nothing else that this policy published.

    Args:
        policy: The policy.
        plan: The plan of this pass.
        section: What this policy has public after it.
    """
    asked = policy.spec.publish
    if asked is Publish.NONE and section is None:
        return None
    status, reason, message = _published(policy, plan, section or PublishingStatus())
    return Finding(ConditionType.PUBLISHED, status, reason, clipped(message))


def _published(
    policy: CheckpointPolicy, plan: PublishingPlan, section: PublishingStatus
) -> tuple[ConditionStatus, Reason, str]:
    asked = policy.spec.publish
    if policy.spec.suspend:
        return FALSE, Reason.SUSPENDED, "spec.suspend is true, so nothing is published and nothing taken back."
    if section.setback is not None:
        return FALSE, cause_of(section.setback), f"{section.setback.message} It is tried again."
    if asked is Publish.NONE:
        names = listed_names(it.training_run for it in section.checkpoints)
        message = f"What this policy published is taken back; some of it is public still. TrainingRuns: {names}."
        return FALSE, Reason.PUBLISHING, message
    if plan.left_to:
        message = (
            f"An older policy publishes checkpoints of the same runs: {', '.join(plan.left_to)}. Keep one of them."
        )
        return FALSE, Reason.PUBLISH_CONFLICT, message
    if plan.errands or plan.fresh:
        message = f"The {asked} checkpoint is being made public, and the one before it taken back."
        return FALSE, Reason.PUBLISHING, message
    if plan.without:
        message = (
            f"TrainingRuns without a checkpoint that can be published: {listed_names(plan.without)}. {_why(policy)}"
        )
        return FALSE, Reason.NOTHING_TO_PUBLISH, message
    if plan.unseen is not None:
        before = told_before(policy, ConditionType.PUBLISHED)
        told = (before.status, before.reason, before.message) if before is not None else None
        return told or (ConditionStatus.UNKNOWN, plan.unseen.reason, plan.unseen.message)
    return TRUE, Reason.PUBLISHED, f"The {asked} checkpoint of each governed run is public."


def told_before(policy: CheckpointPolicy, kind: ConditionType) -> Finding | None:
    """Returns what stands in status of this generation: while checkpoints cannot be seen there is no other news."""
    condition = find_condition(policy.status.conditions, kind)
    if condition is None or condition.observed_generation != policy.metadata.generation:
        return None
    return next(iter(findings_of((condition,))), None)


def _why(policy: CheckpointPolicy) -> str:
    proven = " and was found good" if policy.spec.validation is not None else ""
    metric = " and carries the metric" if policy.spec.publish is Publish.BEST else ""
    return f"It takes one that stays, is neither empty nor expired{metric}{proven}."


def _newest_of_runs(verdicts: Iterable[CheckpointFinding]) -> list[CheckpointFinding]:
    newest: dict[str, CheckpointFinding] = {}
    for it in sorted(verdicts, key=lambda it: (it.time or _EARLIEST, it.path), reverse=True):
        newest.setdefault(it.training_run, it)
    return [newest[name] for name in sorted(newest)]


def _invalid(bad: list[CheckpointFinding]) -> str:
    told = " ".join(f"TrainingRun {it.training_run}: {it.path} is {it.verdict}. {it.message}" for it in bad[:5])
    more = " There are more." if len(bad) > 5 else ""  # noqa: PLR2004 - as many as are named
    return f"{told}{more} A recovery would go back to an older checkpoint: save a new one."
