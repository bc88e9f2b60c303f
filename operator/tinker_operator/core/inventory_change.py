"""What is new from one snapshot of a service to the next, and whom it concerns: the poller wakes nobody else.

It is found once for each look. Whoever follows one of ten thousand runs then looks an id up, and compares nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter

from tinker_operator.core.inventory import CONFIRMED, Inventory
from tinker_operator.core.world import Absent, ObservedRun, RunView

_UNDECISIVE = {"agreeing", "last_request_time", "last_sampler_checkpoint"}
_DECIDES = attrgetter(*(one.name for one in fields(ObservedRun) if one.name not in _UNDECISIVE))
"""What of a run can alter a decision: the last request moves all the time."""


@dataclass(frozen=True, slots=True)
class InventoryChange:
    """The step from one snapshot to the next.

    Attributes:
        everybody: Whether every object is concerned: nothing was known before, or looks fail otherwise than they did.
        runs: Ids of runs of which something decisive is said that was not said before.
        owners: Owner keys that stand at other runs than before.
    """

    everybody: bool
    runs: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()

    def concerns(self, run_id: str | None, owner: str) -> bool:
        """Tells whether it matters to an object.

        Args:
            run_id: Run that it follows; None while there is none.
            owner: Its owner key.
        """
        return self.everybody or run_id in self.runs or owner in self.owners


def change_between(previous: Inventory, current: Inventory) -> InventoryChange:
    """Returns what is new.

    Args:
        previous: What was decided on last.
        current: What is known now.
    """
    if previous.fault != current.fault or previous.observed_at is None or current.observed_at is None:
        return InventoryChange(everybody=previous is not current)
    moved = (run_id for run_id in _touched(previous, current) if _moved(previous.view(run_id), current.view(run_id)))
    return InventoryChange(everybody=False, runs=frozenset(moved), owners=frozenset(_owners(previous, current)))


def _touched(previous: Inventory, current: Inventory) -> Iterator[str]:
    """Ids of which another observation is kept than before: of a run of which nothing is new it is the very same."""
    before, after = previous.runs, current.runs
    yield from (run_id for run_id, run in after.items() if before.get(run_id) is not run)
    yield from (run_id for run_id in before if run_id not in after)
    yield from previous.missing.keys() | current.missing.keys()


def _owners(previous: Inventory, current: Inventory) -> Iterator[str]:
    for owner in previous.owned.keys() | current.owned.keys():
        if _ids(previous.owned.get(owner, ())) != _ids(current.owned.get(owner, ())):
            yield owner


def _ids(runs: Iterable[ObservedRun]) -> set[str]:
    return {run.run_id for run in runs}


def _moved(before: RunView, now: RunView) -> bool:
    return _essence(before) != _essence(now)


def _essence(view: RunView) -> object:
    """What decides: not the last request, nor a sampler's checkpoint, nor agreement past the point of proof."""
    match view:
        case ObservedRun():
            return _DECIDES(view), view.agreeing if view.corrupted else CONFIRMED
        case Absent():
            return min(view.agreeing, CONFIRMED)
        case _:
            return view
