"""A plan: what to do now, and when to look again.

The same value drives the operator and a dry run; printing it is the dry run.
"""

from dataclasses import dataclass

from tinker_operator.core.world import Action

AT_ONCE = 0.0
"""wake_after of a plan whose next step only waits for this one to be in status."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes:
        actions: In this order; the first that fails ends the round, the rest is planned anew.
        wake_after: Seconds until the object must be looked at even if nothing changes; None for never.
        retry: True when an answer was missing: look again with a growing back-off.
    """

    actions: tuple[Action, ...] = ()
    wake_after: float | None = None
    retry: bool = False
