"""What the operator writes down before it acts has to be there afterwards: kinds that are too old drop it silently.

Both controllers ask here after each write; without this an operator would repeat for ever what it cannot remember.
"""

from collections.abc import Mapping
from typing import Any

from tinker_operator.api.meta import to_wire
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.held_up import HeldUp
from tinker_operator.controllers.objects import TRAINING_RUNS, parsed
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import KubeObject, ObjectKey

_REMEDY = "The CRDs are older than the operator: apply crds/ too."
NOT_KEPT = Fault(
    Reason.KUBERNETES_FAULT,
    f"The API server does not keep all of status, so deletions are held up. {_REMEDY}",
    needs_user=True,
)


async def write_run_status(shell: Shell, key: ObjectKey, obj: KubeObject, status: TrainingRunStatus) -> None:
    """Writes the status of a TrainingRun, and takes it back where its journal is not kept.

    An attempt that counts, and of which nobody knows what it was about, would use the budget up for nothing.

    Args:
        shell: The store and the reporter.
        key: The object.
        obj: The version that was decided on.
        status: The status to write.

    Raises:
        HeldUp: It was taken back; nothing of it was told.
        WriteConflict: The object has moved on.
        ObjectGone: The object was deleted.
    """
    await shell.reporter.write(TRAINING_RUNS, key, obj, to_wire(status))
    if not any(_journal(status)):
        return
    there = shell.store.get(key)
    stored = parsed(TrainingRun, there)
    if there is None or stored is None or there["metadata"]["uid"] != obj["metadata"]["uid"]:
        return  # deleted meanwhile, and perhaps made anew: what is there now is not what was written
    if _journal(stored.status) == _journal(status):
        return
    await shell.reporter.write(TRAINING_RUNS, key, there, _taken_back(obj.get("status") or {}, to_wire(status)))
    raise HeldUp(f"The API server does not keep all of status, so nothing is restored or made. {_REMEDY}")


def _taken_back(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What stood before, but for what is seen: that the run is corrupted holds though nothing is done about it."""
    seen = {one["type"]: one for one in after["conditions"] if one["type"] == ConditionType.CORRUPTED}
    told = before.get("conditions")
    return {**before, "conditions": [seen.get(one["type"], one) for one in told]} if told else dict(before)


def _journal(status: TrainingRunStatus) -> tuple[object, ...]:
    return status.recovery.in_flight, status.creation
