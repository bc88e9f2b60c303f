"""Mode Recreate: the operator makes the successor in a session of its own.

A run's id is `<session>:train:<number>`, and the service knows a load by both: after a crash it is sent again under the
same number, and gives the same run or goes on with the same work. That a run of this id is listed proves nothing yet:
it exists before its weights have loaded.
"""

from collections.abc import Iterable

from tinker_operator.api.meta import ATTEMPT_KEY, CHECKPOINT_KEY, ORIGIN_KEY, RESUMED_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_status import InFlightRecovery
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.decision import Decision, recovering_message, step
from tinker_operator.core.identity import origin_of, owner_of, ownership, session_key
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import ConfirmRun, ObservedRun, OpenSession, RestoreRun


def recreate(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision:
    """Decides about an attempt whose checkpoint is chosen, and as far proven as it has to be before it is loaded.

    Args:
        run: The object.
        flight: The attempt's journal, from status.
        seen: What was observed.
    """
    status, message = run.status, recovering_message(run.status)
    if flight.session_id is None:
        opening = OpenSession(recovery_session_key(run, flight), ownership(run, seen.cluster_id, flight.attempt))
        return step(status, Reason.RECOVERING, message, opening)
    if flight.pending_since is not None:
        # That the run is listed meanwhile does not prove that it loaded: the result is asked for under its number.
        return step(status, Reason.RECOVERING, message, _restore(run, flight, seen))
    successor = _successor(run, flight, seen)
    if successor is not None:
        return step(status, Reason.RECOVERING, message, ConfirmRun(successor))
    return step(status, Reason.RECOVERING, message, _restore(run, flight, seen))


def recovery_session_key(run: TrainingRun, flight: InFlightRecovery) -> str:
    """Returns the idempotency key of the session that the successor is made in."""
    return session_key(run, f"recovery/{flight.attempt}")


def _restore(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> RestoreRun:
    lost = seen.inventory.runs.get(flight.from_training_run_id)
    checkpoint = flight.checkpoint or ""
    metadata = {**(lost.metadata if lost else {}), **ownership(run, seen.cluster_id, flight.attempt)}
    metadata.pop(RESUMED_KEY, None)
    return RestoreRun(
        session_id=flight.session_id or "",
        model_seq_id=flight.model_seq_id,
        checkpoint=checkpoint,
        restore_optimizer=run.spec.recovery.restore_optimizer,
        metadata={**metadata, CHECKPOINT_KEY: checkpoint},
    )


def _successor(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> str | None:
    """Finds the successor by owner key, for services whose run ids do not follow from the session.

    Where they do, the load is sent again: the service knows it by its number, and only its result proves the run.
    """
    known = f"{flight.session_id}:train:{flight.model_seq_id}"
    kin: Iterable[ObservedRun] = seen.inventory.owned.get(owner_of(run, seen.cluster_id), ())
    made = [
        one.run_id
        for one in kin
        if one.metadata.get(ATTEMPT_KEY) == str(flight.attempt)
        and one.metadata.get(CHECKPOINT_KEY) == flight.checkpoint
        and one.metadata.get(ORIGIN_KEY) == origin_of(run)
        and RESUMED_KEY not in one.metadata
        and one.run_id != known
    ]
    return max(made, default=None)
