"""What the operator does next with an object, told from its status alone: what is written there comes true."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_status import ExportState
from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import InFlightRecovery
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.run_status import TrainerPhase
from tinker_operator.api.training_run import TrainingRun


class Next(ApiModel):
    """Something that happens next."""

    what: str = Field(description="What, in a few words.")
    not_before: datetime | None = Field(default=None, description="When, at the earliest; absent: it is under way.")


def next_of_run(run: TrainingRun) -> tuple[Next, ...]:
    """Returns what happens next with a TrainingRun; nothing while it is at rest or suspended."""
    return tuple(_of_run(run))


def _of_run(run: TrainingRun) -> Iterator[Next]:
    if run.metadata.deletion_timestamp is not None:
        yield Next(what="is deleted")
        return
    if run.spec.suspend:
        return
    status, recovery = run.status, run.status.recovery
    if recovery.in_flight is not None:
        yield Next(what=_step_of(recovery.in_flight))
    elif recovery.next_attempt_time is not None:
        yield Next(what=f"attempt {recovery.attempt + 1}", not_before=recovery.next_attempt_time)
    if status.creation is not None and status.creation.refused_generation is None and status.training_run_id is None:
        yield Next(what="the run is made")
    if status.trainer is not None and status.trainer.phase is TrainerPhase.LAUNCHING and recovery.in_flight is None:
        yield Next(what="the trainer Job starts")
    for hook in status.hooks.pending if status.hooks is not None else ():
        yield Next(what=f"hook {hook.hook}", not_before=hook.next_try_time)


def _step_of(flight: InFlightRecovery) -> str:
    told = f"attempt {flight.attempt}: "
    if flight.failure is not None:
        return f"{told}ends as {flight.failure}"
    if flight.checkpoint is None:
        return f"{told}a checkpoint is chosen"
    name = flight.checkpoint.rpartition("/")[2]
    if flight.validation is not None and flight.validation.proven != flight.checkpoint:
        return f"{told}{name} is proven"
    if flight.handed_over and flight.mode is not RecoveryMode.RECREATE:
        return f"{told}the loop resumes from {name}"
    return f"{told}{name} is restored"


def next_of_policy(policy: CheckpointPolicy) -> tuple[Next, ...]:
    """Returns what happens next by a CheckpointPolicy; nothing while it is at rest or suspended."""
    return tuple(_of_policy(policy))


def _of_policy(policy: CheckpointPolicy) -> Iterator[Next]:
    if policy.metadata.deletion_timestamp is not None:
        yield Next(what="is deleted")
        return
    if policy.spec.suspend:
        return
    status = policy.status
    if policy.spec.retention.action is RetentionAction.DELETE:
        yield from _deletions(policy)
    if status.validation is not None and status.validation.in_flight is not None:
        yield Next(what=f"{_name(status.validation.in_flight.path)} is proven")
    for one in status.publishing.checkpoints if status.publishing is not None else ():
        if not one.public:
            yield Next(what=f"{_name(one.path)} becomes public")
    for it in status.exports:
        if it.state in {ExportState.PENDING, ExportState.RUNNING}:
            yield Next(what=f"{_name(it.path)} is exported")
        elif it.state is ExportState.FAILED and it.next_attempt_time is not None:
            yield Next(what=f"export of {_name(it.path)}", not_before=it.next_attempt_time)


def _deletions(policy: CheckpointPolicy) -> Iterator[Next]:
    """The first alone: the plan has them all."""
    if policy.status.deleting:
        yield Next(what=f"{_name(policy.status.deleting[0].path)} is deleted")
        return
    marked = {(it.path, it.time): it.due_since for it in policy.status.marked}
    grace = timedelta(seconds=policy.spec.retention.grace_period_seconds)
    for it in policy.status.next_deletions[:1]:
        since = marked.get((it.path, it.time))
        begins = it.not_before or (since + grace if since is not None else None)
        yield Next(what=f"{_name(it.path)} is deleted", not_before=begins)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
