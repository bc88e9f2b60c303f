"""Runs that somebody else makes, known by their metadata: spec.run.discover.

The newest of them is the one used last; the service tells no time of creation. Once an object follows a run, it leaves
it for a newer one only when its own is lost or idle: two runs that train side by side must not be changed back and
forth, and one that a user restarted by hand must not be restored a second time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tinker_operator.api.meta import OWNER_KEY
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.inventory import CONFIRMED, Inventory
from tinker_operator.core.world import Absent, ObservedRun, RunView

IDLE = timedelta(minutes=10)
"""How much longer than another one a run has to be unused before the other one is the newer."""
_NEVER = datetime.min.replace(tzinfo=UTC)


def discovered(run: TrainingRun, inventory: Inventory) -> tuple[ObservedRun, ...]:
    """Returns the runs that carry the metadata asked for and are no TrainingRun's own, the one used last first."""
    wanted = run.spec.run.discover.user_metadata if run.spec.run.discover else {}
    buckets = [inventory.tagged.get(item, ()) for item in wanted.items()]
    smallest = min(buckets, key=len, default=())
    found = (one for one in smallest if _carries(one, wanted) and OWNER_KEY not in one.metadata)
    return tuple(sorted(found, key=lambda one: (used(one), one.run_id), reverse=True))


def newer_than_followed(run: TrainingRun, inventory: Inventory) -> ObservedRun | None:
    """Returns the run that a bound object goes over to, None while it stays with its own."""
    status = run.status
    if run.spec.run.discover is None or status.training_run_id is None:
        return None
    view = inventory.view(status.training_run_id)
    since = _left_for_what_is_used_after(view)
    fresh = (one for one in discovered(run, inventory) if one.run_id not in status.lineage and not one.corrupted)
    newest = next(fresh, None)
    return newest if newest is not None and since is not None and used(newest) > since else None


def used(run: ObservedRun) -> datetime:
    """Returns when the run was last used; one that the service tells no time of comes before all others."""
    return run.last_request_time or _NEVER


def _left_for_what_is_used_after(view: RunView) -> datetime | None:
    match view:
        case ObservedRun() if view.corrupted:
            return used(view) if view.agreeing >= CONFIRMED else None
        case ObservedRun():
            return used(view) + IDLE if view.last_request_time is not None else None
        case Absent():
            return _NEVER if view.agreeing >= CONFIRMED else None
        case _:
            return None


def _carries(run: ObservedRun, wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= run.metadata.items()
