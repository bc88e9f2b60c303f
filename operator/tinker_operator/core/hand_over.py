"""The hand-over: what a training loop that starts now has to know.

It is derived from status and the newest observation, so writing it again is harmless, and a loop that was not
running when its run was recovered finds the same words as one that was.
"""

import json

from tinker_operator.api.meta import CHECKPOINT_KEY
from tinker_operator.api.run_status import HandOverStatus, RecoveryResult, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.identity import ownership

DOCUMENT_VERSION = 1


def hand_over_name(run: TrainingRun) -> str:
    """Returns the name of the hand-over ConfigMap."""
    return f"{run.metadata.name}-handover"


def desired_hand_over(run: TrainingRun, status: TrainingRunStatus) -> HandOverStatus:
    """Returns what the hand-over should say.

    Args:
        run: The object.
        status: The status that is going to be written; its run is bound and not corrupted.
    """
    recovered = [record for record in status.recovery.history if record.result is RecoveryResult.RECOVERED]
    origin = recovered[-1] if recovered and recovered[-1].attempt == status.attempt else None
    return HandOverStatus(
        config_map=hand_over_name(run),
        attempt=status.attempt,
        training_run_id=status.training_run_id or "",
        previous_training_run_id=origin.from_training_run_id if origin else None,
        successor_training_run_id=origin.to_training_run_id if origin else None,
        checkpoint=status.last_checkpoint.path if status.last_checkpoint else status.recovery.restored_from,
        restore_optimizer=run.spec.recovery.restore_optimizer,
    )


def hand_over_document(run: TrainingRun, states: HandOverStatus, cluster_id: str) -> str:
    """Returns the hand-over as the JSON document that the trainer library reads; the same facts give the same text."""
    source = {CHECKPOINT_KEY: states.checkpoint} if states.checkpoint else {}
    document = {
        "version": DOCUMENT_VERSION,
        "trainingRun": {"namespace": run.metadata.namespace, "name": run.metadata.name},
        "attempt": states.attempt,
        "trainingRunId": states.training_run_id,
        "previousTrainingRunId": states.previous_training_run_id,
        "successorTrainingRunId": states.successor_training_run_id,
        "checkpoint": states.checkpoint,
        "restoreOptimizer": states.restore_optimizer,
        "userMetadata": {**ownership(run, cluster_id, states.attempt), **source},
    }
    return json.dumps(document, indent=2, sort_keys=True)
