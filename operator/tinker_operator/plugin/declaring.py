"""What a person declares with one word: the change of an object's spec or annotations that it stands for.

Pure. The operator is not gone around: each command changes what is asked for, and the operator does it as ever. What it
would not do for a spec that was edited by hand, no command here brings it to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import RECONCILE_AT, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_spec import CheckpointStrategy, OnMissing, Recovery
from tinker_operator.api.run_spec import ManagementPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import find_condition
from tinker_operator.plugin.endings import Declined
from tinker_operator.tinker.paths import CheckpointKind, TinkerPath

_LOST = frozenset({Reason.RECOVERY_DISABLED, Reason.RECOVERY_EXHAUSTED, Reason.RUN_NOT_FOUND, Reason.TRAINER_FAILED})
"""Reasons of Stalled under which a run is lost and nothing goes on."""
_HELD = frozenset({Reason.RUN_CLAIMED, Reason.INVALID_SPEC})
"""Reasons of Stalled under which no recovery begins, whatever spec.recovery says."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A change of what an object asks for.

    Attributes:
        fields: What changes: the new value by the path of the field; None removes it.
        remarks: What there is to know about it, a sentence each.
    """

    fields: Mapping[tuple[str, ...], Any]
    remarks: tuple[str, ...] = field(default=())

    @property
    def patch(self) -> dict[str, Any]:
        """The change as a JSON merge patch."""
        patch: dict[str, Any] = {}
        for path, value in self.fields.items():
            place = patch
            for part in path[:-1]:
                place = place.setdefault(part, {})
            place[path[-1]] = value
        return patch


def suspension(one: TrainingRun | CheckpointPolicy, *, suspend: bool) -> Declaration:
    """Returns the change that holds the operator back, or lets it go on; no field where it is so already.

    Args:
        one: The object.
        suspend: Whether it is held back.
    """
    return Declaration({} if one.spec.suspend is suspend else {("spec", "suspend"): suspend})


def fresh_look(now: datetime) -> Declaration:
    """Returns the change that asks for a look at once and for a new budget of attempts.

    Args:
        now: The time, which is a value that the annotation has not had before.
    """
    return Declaration({("metadata", "annotations", RECONCILE_AT): now.isoformat().replace("+00:00", "Z")})


def recovery(run: TrainingRun, checkpoint: TinkerPath | None, now: datetime) -> Declaration:
    """Returns the change that has a lost run restored.

    Args:
        run: The TrainingRun.
        checkpoint: What it is to be restored from; None for what spec.recovery says.
        now: The time.

    Raises:
        Declined: The run is not lost, or the operator would not act.
    """
    _check_acting(run)
    _check_lost(run)
    if checkpoint is not None and checkpoint.kind is not CheckpointKind.WEIGHTS:
        message = f"No training can resume from a checkpoint of kind {checkpoint.kind}"
        raise Declined(f"{message}: give one of kind weights; kubectl tinker checkpoints lists them.")
    fields = _wanted(run, checkpoint)
    flight = run.status.recovery.in_flight
    if flight is not None and not fields:
        raise Declined(
            f"Attempt {flight.attempt} to restore it is under way: kubectl tinker status shows how far it is."
        )
    return Declaration({**fields, **fresh_look(now).fields}, tuple(_remarks(run, checkpoint, fields)))


def _check_acting(run: TrainingRun) -> None:
    name = run.metadata.name
    if run.metadata.deletion_timestamp is not None:
        raise Declined(f"TrainingRun {name} is being deleted: apply another one.")
    if run.spec.suspend:
        raise Declined(f"TrainingRun {name} is suspended, so nothing is done: kubectl tinker resume {name} first.")
    if run.spec.management_policy is ManagementPolicy.OBSERVE_ONLY:
        raise Declined(f"TrainingRun {name} is only watched: set spec.managementPolicy: Full first.")
    stalled = find_condition(run.status.conditions, ConditionType.STALLED)
    if stalled is not None and stalled.reason in _HELD:
        raise Declined(f"TrainingRun {name} cannot be acted on: {stalled.message}")


def _check_lost(run: TrainingRun) -> None:
    """By what the operator confirmed, not by a look of our own: one observation would not do."""
    if _is_lost(run):
        return
    name, corrupted = run.metadata.name, find_condition(run.status.conditions, ConditionType.CORRUPTED)
    if corrupted is None or corrupted.status is ConditionStatus.UNKNOWN:
        raise Declined(
            f"Nobody can tell now whether the run of TrainingRun {name} is lost: wait until its condition Corrupted "
            "is True or False; Synced tells what keeps it from being seen."
        )
    raise Declined(
        f"The run of TrainingRun {name} is healthy, and a healthy run is never replaced: to go back on purpose, apply "
        "a TrainingRun of another name with spec.run.create.from, or load the checkpoint in the training loop."
    )


def _is_lost(run: TrainingRun) -> bool:
    status = run.status
    corrupted, stalled = (
        find_condition(status.conditions, kind) for kind in (ConditionType.CORRUPTED, ConditionType.STALLED)
    )
    return (
        (corrupted is not None and corrupted.status is ConditionStatus.TRUE)
        or status.recovery.in_flight is not None
        or status.recovery.next_attempt_time is not None
        or (stalled is not None and stalled.status is ConditionStatus.TRUE and stalled.reason in _LOST)
    )


def _wanted(run: TrainingRun, checkpoint: TinkerPath | None) -> dict[tuple[str, ...], Any]:
    """The fields of spec that are not as they have to be."""
    now, fields = run.spec.recovery, dict[tuple[str, ...], Any]()
    if not now.enabled:
        fields["spec", "recovery", "enabled"] = True
    if _stalls_for(run, Reason.RUN_NOT_FOUND) and now.on_missing is OnMissing.STALL:
        fields["spec", "recovery", "onMissing"] = str(OnMissing.RECOVER)
    if checkpoint is not None and not _names(now, checkpoint):
        fields["spec", "recovery", "checkpointStrategy"] = str(CheckpointStrategy.SPECIFIC)
        fields["spec", "recovery", "checkpoint"] = str(checkpoint)
        if now.metric is not None:
            fields["spec", "recovery", "metric"] = None
    return fields


def _names(now: Recovery, checkpoint: TinkerPath) -> bool:
    return now.checkpoint_strategy is CheckpointStrategy.SPECIFIC and now.checkpoint == str(checkpoint)


def _stalls_for(run: TrainingRun, reason: Reason) -> bool:
    stalled = find_condition(run.status.conditions, ConditionType.STALLED)
    return stalled is not None and stalled.reason == reason


def _remarks(run: TrainingRun, checkpoint: TinkerPath | None, fields: Mapping[tuple[str, ...], Any]) -> list[str]:
    remarks = []
    if fields:
        remarks.append("The spec changes: where it is kept in Git, change it there too.")
    if checkpoint is not None:
        remarks.append(
            "A later recovery would begin from the same checkpoint: once the run is back, kubectl tinker recover "
            f"{run.metadata.name} --reset has the newest one taken again."
        )
    return remarks


def reset(run: TrainingRun) -> Declaration:
    """Returns the change after which recoveries begin from the newest checkpoint again; no field where they do.

    Args:
        run: The TrainingRun.

    Raises:
        Declined: The run is lost, so that another recovery would begin.
    """
    if _is_lost(run):
        raise Declined(f"The run of TrainingRun {run.metadata.name} is lost: wait until it is back.")
    if run.spec.recovery.checkpoint_strategy is not CheckpointStrategy.SPECIFIC:
        return Declaration({})
    strategy = ("spec", "recovery", "checkpointStrategy")
    return Declaration({strategy: str(CheckpointStrategy.LATEST), ("spec", "recovery", "checkpoint"): None})
