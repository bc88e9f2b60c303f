"""What `kubectl tinker checkpoints` tells: every checkpoint of a TrainingRun, with all that is known of it.

The service lists them; verdicts and fates are those that the operator has written into the status of policies.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pydantic import Field

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.recovery_status import Verdict
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.policy_seen import governs
from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint


class ToldCheckpoint(ApiModel):
    """A checkpoint, as the service lists it, and what is known of it."""

    path: str = Field(description="Path at the service.")
    training_run_id: str = Field(description="The run that it belongs to.")
    type: CheckpointKind = Field(description="training, sampler, external or unknown.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")
    public: bool = Field(description="Whether everybody may read it.")
    expires_at: datetime | None = Field(default=None, description="When the service deletes it by itself.")
    metadata: dict[str, str] = Field(description="What the training loop wrote beside it.")
    verdict: Verdict | None = Field(default=None, description="What spec.validation of a policy found.")
    because: tuple[KeepReason, ...] = Field(
        default=(), description="Why it stays, as far as status.kept of the policies has it."
    )
    deleted_not_before: datetime | None = Field(
        default=None, description="When its grace period ends, if a policy deletes it then."
    )


class CheckpointsReport(ApiModel):
    """The checkpoints of a TrainingRun."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "CheckpointsReport"
    namespace: str = Field(description="Namespace.")
    name: str = Field(description="Name.")
    observed_at: datetime = Field(description="When the service was asked.")
    missing_runs: tuple[str, ...] = Field(default=(), description="Runs of the lineage that the service lacks.")
    checkpoints: tuple[ToldCheckpoint, ...] = Field(description="Newest first.")


def checkpoints_report(
    run: TrainingRun,
    checkpoints: Iterable[ObservedCheckpoint],
    policies: Iterable[CheckpointPolicy],
    now: datetime,
    *,
    missing_runs: Iterable[str] = (),
) -> CheckpointsReport:
    """Returns the report.

    Args:
        run: The TrainingRun.
        checkpoints: Those of its lineage, in any order.
        policies: All of its namespace.
        now: When the service was asked.
        missing_runs: Runs that the service lacks.
    """
    governing = [policy for policy in policies if governs(policy, run)]
    ends, verdicts, reasons = _grace_ends(governing), _verdicts(governing), _reasons(governing)
    told = (
        ToldCheckpoint(
            path=it.path,
            training_run_id=it.run_id,
            type=it.kind,
            time=it.time,
            size_bytes=it.size_bytes,
            public=it.public,
            expires_at=it.expires_at,
            metadata=dict(it.metadata),
            verdict=verdicts.get((it.path, it.time, it.size_bytes)),
            because=reasons.get((it.path, it.time), ()),
            deleted_not_before=ends.get((it.path, it.time, it.size_bytes)),
        )
        for it in checkpoints
    )
    return CheckpointsReport(
        namespace=run.metadata.namespace,
        name=run.metadata.name,
        observed_at=now,
        missing_runs=tuple(missing_runs),
        checkpoints=tuple(sorted(told, key=_age, reverse=True)),
    )


def _age(one: ToldCheckpoint) -> tuple[bool, float, str]:
    """Those without a time come last."""
    return one.time is not None, one.time.timestamp() if one.time is not None else 0.0, one.path


Identity = tuple[str, datetime | None, int | None]


def _verdicts(policies: Iterable[CheckpointPolicy]) -> Mapping[Identity, Verdict]:
    known = (policy.status.validation for policy in policies)
    found = (it for section in known if section is not None for it in section.verdicts)
    return {(it.path, it.time, it.size_bytes): it.verdict for it in found}


def _reasons(policies: Iterable[CheckpointPolicy]) -> Mapping[tuple[str, datetime | None], tuple[KeepReason, ...]]:
    reasons: dict[tuple[str, datetime | None], tuple[KeepReason, ...]] = {}
    for policy in policies:
        for it in policy.status.kept:
            before = reasons.get((it.path, it.time), ())
            reasons[it.path, it.time] = tuple(dict.fromkeys((*before, *it.because)))
    return reasons


def _grace_ends(policies: Iterable[CheckpointPolicy]) -> Mapping[Identity, datetime]:
    ends: dict[Identity, datetime] = {}
    for policy in policies:
        retention = policy.spec.retention
        if retention.action is RetentionAction.DELETE and not policy.spec.suspend:
            grace = timedelta(seconds=retention.grace_period_seconds)
            for it in policy.status.marked:
                ends[it.path, it.time, it.size_bytes] = it.due_since + grace
    return ends
