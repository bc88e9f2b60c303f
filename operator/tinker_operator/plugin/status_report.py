"""What `kubectl tinker status` tells, in a form that programs can rely on: fields are only ever added.

It is a function of the objects alone, and of the curves that were read: it decides nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import Field

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VERSION, ApiModel, Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.run_status import CheckpointSummary
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.policy_references import run_key
from tinker_operator.plugin.curves import Curve, RunKey
from tinker_operator.plugin.status_next import Next, next_of_policy, next_of_run

NEW = "New"
"""State of an object that the operator has not seen yet."""


class Standing(ApiModel):
    """How an object stands, as its conditions say."""

    namespace: str = Field(description="Namespace.")
    name: str = Field(description="Name.")
    ready: bool = Field(description="Whether Ready is True, for the object as it is.")
    stalled: bool = Field(description="Whether a person must change something.")
    state: str = Field(description="Reason of Ready; New if the operator has not seen the object yet.")
    message: str = Field(description="Message of Stalled, else of Ready.")
    synced: bool | None = Field(default=None, description="Whether the last look at the service was whole.")
    suspended: bool = Field(description="spec.suspend.")


class RunLine(Standing):
    """One TrainingRun."""

    training_run_id: str | None = Field(default=None, description="The run that is current at the service.")
    base_model: str | None = Field(default=None, description="Base model of the run.")
    recoveries: int = Field(description="Recoveries that succeeded.")
    failed_attempts: int = Field(description="Attempts that failed.")
    last_checkpoint: CheckpointSummary | None = Field(default=None, description="Newest training checkpoint.")
    next: tuple[Next, ...] = Field(default=(), description="What the operator does next.")
    curve: Curve | None = Field(default=None, description="How its metric went; absent with --cluster-only.")


class PolicyLine(Standing):
    """One CheckpointPolicy."""

    action: RetentionAction = Field(description="Report or Delete.")
    training_runs: int = Field(description="TrainingRuns that the selector matches.")
    kept_count: int = Field(description="Checkpoints that stay.")
    kept_bytes: int = Field(description="Their bytes, as far as sizes are known.")
    due_count: int = Field(description="Checkpoints that nothing keeps.")
    due_bytes: int = Field(description="Their bytes, likewise.")
    deleted_total: int = Field(description="Checkpoints that this policy has deleted.")
    next: tuple[Next, ...] = Field(default=(), description="What the operator does next.")


class StatusReport(ApiModel):
    """How TrainingRuns and CheckpointPolicies stand."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "StatusReport"
    observed_at: datetime = Field(description="When they were read.")
    namespace: str | None = Field(default=None, description="Namespace that was read; absent for all.")
    training_runs: tuple[RunLine, ...] = Field(description="By namespace and name.")
    policies: tuple[PolicyLine, ...] = Field(description="By namespace and name.")
    unreadable: tuple[str, ...] = Field(default=(), description="Objects that do not parse.")


def status_report(
    runs: Iterable[TrainingRun],
    policies: Iterable[CheckpointPolicy],
    curves: Mapping[RunKey, Curve],
    *,
    namespace: str | None,
    now: datetime,
    unreadable: Iterable[str] = (),
) -> StatusReport:
    """Returns the report.

    Args:
        runs: TrainingRuns, in order.
        policies: CheckpointPolicies, in order.
        curves: How their metrics went, by namespace and name, as far as they were read.
        namespace: What was read; None for all.
        now: When.
        unreadable: Objects that do not parse.
    """
    return StatusReport(
        observed_at=now,
        namespace=namespace,
        training_runs=tuple(_run_line(it, curves.get(run_key(it))) for it in runs),
        policies=tuple(map(_policy_line, policies)),
        unreadable=tuple(sorted(unreadable)),
    )


def _standing(one: TrainingRun | CheckpointPolicy) -> dict[str, object]:
    conditions = one.status.conditions
    ready, stalled = (find_condition(conditions, kind) for kind in (ConditionType.READY, ConditionType.STALLED))
    is_current = one.status.observed_generation == one.metadata.generation
    is_stalled = _is_true(stalled)
    told = stalled if is_stalled else ready
    synced = find_condition(conditions, ConditionType.SYNCED)
    return {
        "namespace": one.metadata.namespace,
        "name": one.metadata.name,
        "ready": is_current and _is_true(ready),
        "stalled": is_stalled,
        "state": ready.reason if ready is not None else NEW,
        "message": told.message if told is not None else "The operator has not seen it yet.",
        "synced": None if synced is None else _is_true(synced),
        "suspended": one.spec.suspend,
    }


def _is_true(condition: Condition | None) -> bool:
    return condition is not None and condition.status is ConditionStatus.TRUE


def _run_line(run: TrainingRun, curve: Curve | None) -> RunLine:
    status = run.status
    facts = {
        "training_run_id": status.training_run_id,
        "base_model": status.base_model,
        "recoveries": status.recoveries,
        "failed_attempts": status.failed_attempts,
        "last_checkpoint": status.last_checkpoint,
        "next": next_of_run(run),
        "curve": curve,
    }
    return RunLine.model_validate({**_standing(run), **facts})


def _policy_line(policy: CheckpointPolicy) -> PolicyLine:
    status = policy.status
    facts = {
        "action": policy.spec.retention.action,
        "training_runs": status.training_runs,
        "kept_count": status.kept_count,
        "kept_bytes": status.kept_bytes,
        "due_count": status.due_count,
        "due_bytes": status.due_bytes,
        "deleted_total": status.deleted_total,
        "next": next_of_policy(policy),
    }
    return PolicyLine.model_validate({**_standing(policy), **facts})
