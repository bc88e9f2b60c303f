"""What `kubectl tinker history` tells: the runs of a TrainingRun, and how each came from the one before.

It is a function of status alone: the lineage has the order of the runs, the history the attempts with their verdicts.
"""

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import (
    CandidateVerdict,
    Cause,
    InFlightRecovery,
    RecoveryRecord,
    RecoveryResult,
)
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.policy_references import followed_runs


class ToldAttempt(ApiModel):
    """One attempt to restore a run."""

    attempt: int = Field(description="Number of the attempt.")
    cause: Cause = Field(description="Why the run had to be recovered.")
    mode: RecoveryMode = Field(description="Who made the successor.")
    started_at: datetime = Field(description="When the attempt began.")
    completed_at: datetime | None = Field(default=None, description="When it ended; absent while it is under way.")
    result: RecoveryResult | None = Field(default=None, description="How it ended; absent while it is under way.")
    message: str = Field(default="", description="What there is to say about it.")
    checkpoint: str | None = Field(default=None, description="Checkpoint that was restored, or is being restored.")
    to_training_run_id: str | None = Field(default=None, description="The successor, if there is one.")
    candidates: tuple[CandidateVerdict, ...] = Field(default=(), description="Every candidate, best first.")


class ToldRun(ApiModel):
    """One run of the lineage."""

    training_run_id: str = Field(description="Its id at the service.")
    current: bool = Field(description="Whether it is the one that is followed now.")
    attempts: tuple[ToldAttempt, ...] = Field(default=(), description="Attempts to restore it, oldest first.")


class HistoryReport(ApiModel):
    """The runs of a TrainingRun."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "HistoryReport"
    namespace: str = Field(description="Namespace.")
    name: str = Field(description="Name.")
    origin: str | None = Field(default=None, description="What spec.run named: a run id, create, or what was found.")
    recoveries: int = Field(description="Recoveries that succeeded; more than are remembered, perhaps.")
    failed_attempts: int = Field(description="Attempts that failed, likewise.")
    next_attempt_time: datetime | None = Field(default=None, description="Earliest start of the next attempt.")
    runs: tuple[ToldRun, ...] = Field(description="Oldest first; those that a record alone remembers too.")


def history_report(run: TrainingRun) -> HistoryReport:
    """Returns the report.

    Args:
        run: The TrainingRun.
    """
    status, recovery = run.status, run.status.recovery
    attempts = [(one.from_training_run_id, _ended(one)) for one in recovery.history]
    if recovery.in_flight is not None:
        attempts.append((recovery.in_flight.from_training_run_id, _under_way(recovery.in_flight)))
    return HistoryReport(
        namespace=run.metadata.namespace,
        name=run.metadata.name,
        origin=status.origin,
        recoveries=status.recoveries,
        failed_attempts=status.failed_attempts,
        next_attempt_time=recovery.next_attempt_time,
        runs=tuple(
            ToldRun(
                training_run_id=run_id,
                current=run_id == status.training_run_id,
                attempts=tuple(attempt for lost, attempt in attempts if lost == run_id),
            )
            for run_id in _in_order(followed_runs(run), (lost for lost, _ in attempts))
        ),
    )


def _in_order(lineage: tuple[str, ...], lost: Iterable[str]) -> tuple[str, ...]:
    """Runs that fell out of the lineage are older than those in it."""
    return tuple(dict.fromkeys((*(one for one in lost if one not in lineage), *lineage)))


def _ended(one: RecoveryRecord) -> ToldAttempt:
    return ToldAttempt.model_validate(one.model_dump(include=set(ToldAttempt.model_fields)))


def _under_way(one: InFlightRecovery) -> ToldAttempt:
    known = one.model_dump(include=set(ToldAttempt.model_fields))
    return ToldAttempt.model_validate({**known, "result": one.failure, "message": one.failure_message})
