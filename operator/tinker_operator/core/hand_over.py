"""The hand-over: what a training loop that starts now has to know.

It is derived from status and the newest observation, so writing it again is harmless, and a loop that was not
running when its run was recovered finds the same words as one that was.
"""

import json

from tinker_operator.api.meta import CHECKPOINT_KEY, OWNER_KEY, RESUMED_KEY
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import RecoveryResult
from tinker_operator.api.run_status import HandOverStatus, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.identity import ownership
from tinker_operator.core.schedule_unread import Words
from tinker_operator.core.world import ObservedRun

DOCUMENT_VERSION = 1


def hand_over_name(run: TrainingRun) -> str:
    """Returns the name of the hand-over ConfigMap."""
    return f"{run.metadata.name}-handover"


def desired_hand_over(
    run: TrainingRun, status: TrainingRunStatus, view: ObservedRun, words: Words | None = None
) -> HandOverStatus:
    """Returns what the hand-over should say.

    Args:
        run: The object.
        status: The status that is going to be written; its run is bound and not corrupted.
        view: That run.
        words: What it says of saves.
    """
    previous, successor = _way_here(status)
    if successor is None and status.attempt > 0 and OWNER_KEY in view.metadata and RESUMED_KEY not in view.metadata:
        # No loop made it: one that waits has to know that nobody has taken it, though the history is lost.
        successor = view.run_id
    return HandOverStatus(
        config_map=hand_over_name(run),
        attempt=status.attempt,
        mode=run.spec.recovery.mode,
        training_run_id=status.training_run_id or "",
        previous_training_run_id=previous,
        successor_training_run_id=successor,
        checkpoint=status.last_checkpoint.path if status.last_checkpoint else status.recovery.restored_from,
        restore_optimizer=run.spec.recovery.restore_optimizer,
        schedule_policy=words.policy if words else None,
    )


def _way_here(status: TrainingRunStatus) -> tuple[str | None, str | None]:
    """Returns the run that was lost and the one that the operator restored, by the history or what was told before."""
    recovered = (one for one in reversed(status.recovery.history) if one.result is RecoveryResult.RECOVERED)
    origin = next((one for one in recovered if one.attempt == status.attempt), None)
    if origin is not None:
        made = origin.to_training_run_id if origin.mode is RecoveryMode.RECREATE else None
        return origin.from_training_run_id, made
    told = status.hand_over
    if told is None or told.attempt != status.attempt:
        return None, None
    return told.previous_training_run_id, told.successor_training_run_id


def hand_over_document(run: TrainingRun, states: HandOverStatus, cluster_id: str, words: Words | None = None) -> str:
    """Returns the hand-over as the JSON document that the trainer library reads; the same facts give the same text."""
    source = {CHECKPOINT_KEY: states.checkpoint} if states.checkpoint else {}
    document: dict[str, object] = {
        "version": DOCUMENT_VERSION,
        "trainingRun": {"namespace": run.metadata.namespace, "name": run.metadata.name},
        "attempt": states.attempt,
        "mode": str(states.mode),
        "trainingRunId": states.training_run_id,
        "previousTrainingRunId": states.previous_training_run_id,
        "successorTrainingRunId": states.successor_training_run_id,
        "checkpoint": states.checkpoint,
        "restoreOptimizer": states.restore_optimizer,
        "userMetadata": {**ownership(run, cluster_id, states.attempt), **source},
    }
    if words is not None:
        document["schedule"] = words.schedule
    return json.dumps(document, indent=2, sort_keys=True)
