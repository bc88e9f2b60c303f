"""How a round that could not be finished comes back: by the work queue's growing back-off."""

from tinker_operator.core.run_status import Requeue
from tinker_operator.core.world import Fault
from tinker_operator.engine.workers import PutOff


class HeldUp(PutOff):
    """Something that the round needs could not be had.

    Attributes:
        remedy: Present because the words are ours, and so may be logged.
    """

    remedy = ""


def settled(requeue: Requeue, fault: Fault | None) -> float | None:
    """Returns when to look again, in seconds, or None.

    Raises:
        HeldUp: The round is to be repeated with a growing back-off.
    """
    if requeue.backed_off:
        told = fault.message if fault else "The service failed; the round is repeated."
        raise HeldUp(told, retry_after=fault.retry_after if fault else 0.0)
    return requeue.after
