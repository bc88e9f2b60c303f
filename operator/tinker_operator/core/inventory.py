"""What is known of all runs behind one connection: an immutable snapshot, shared by every object that uses it.

The poller replaces it once per interval. Agreement is counted here: recovery needs the service to say the same
twice in a row, and one listing without a run does not prove that the run is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import TypeVar

from tinker_operator.api.meta import GROUP, OWNER_KEY
from tinker_operator.core.world import Absent, Fault, ObservedRun, RunView

K = TypeVar("K")
CONFIRMED = 2
"""Observations in a row that must agree before corruption or absence is believed."""


_SAID = attrgetter(*(one.name for one in fields(ObservedRun) if one.name != "agreeing"))
"""Everything that the service says of a run."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything the service said at the last look.

    Attributes:
        runs: Every run of the newest complete listing, by id.
        owned: The same runs by owner key, for those that carry one.
        tagged: The same runs by each entry of their metadata, the operator's own entries aside.
        missing: Watched ids that are not in the listing, with the number of complete listings in a row without them.
        observed_at: When the newest complete listing was had; None if there never was one.
        fault: Why looks fail: two in a row did, or one that leaves nothing to doubt; None otherwise.
        doubt: Why the newest look failed, while the one before it succeeded: it is told of when the next one fails too.
        failing_since: When the first of the looks in a row that failed was had; None when the newest succeeded.
    """

    runs: Mapping[str, ObservedRun] = field(default_factory=dict)
    owned: Mapping[str, tuple[ObservedRun, ...]] = field(default_factory=dict)
    tagged: Mapping[tuple[str, str], tuple[ObservedRun, ...]] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    observed_at: datetime | None = None
    fault: Fault | None = None
    doubt: Fault | None = None
    failing_since: datetime | None = None

    @property
    def is_current(self) -> bool:
        """Whether the newest look succeeded."""
        return self.fault is None and self.doubt is None and self.observed_at is not None

    def strict_view(self, run_id: str) -> RunView:
        """Returns what is known of this run by the newest look alone: for what cannot be taken back."""
        return self.doubt or self.view(run_id)

    def view(self, run_id: str) -> RunView:
        """Returns what is known of this run; while looks fail that is a Fault, whatever an older one said."""
        if self.fault is not None:
            return self.fault
        if self.observed_at is None:
            return None
        return self.runs.get(run_id) or Absent(self.missing.get(run_id, 1))

    def knows(self, run_id: str | None) -> bool:
        """Tells whether the newest look could speak of this run at all; a run made since then is news to it."""
        if self.fault is not None or run_id is None:
            return self.fault is not None or self.observed_at is not None
        return run_id in self.runs or run_id in self.missing


def next_inventory(
    previous: Inventory, listing: Iterable[ObservedRun], *, watched: Iterable[str], now: datetime
) -> Inventory:
    """Returns the snapshot after a complete listing, with agreement counted on.

    Args:
        previous: The snapshot until now.
        listing: Every run that the service has; a partial listing is a fault, not an argument.
        watched: Ids whose absence matters.
        now: When the listing was had.
    """
    runs = {run.run_id: _agreed(previous.runs.get(run.run_id), run) for run in listing}
    missing = {run_id: previous.missing.get(run_id, 0) + 1 for run_id in watched if run_id not in runs}
    seen = runs.values()
    return Inventory(runs=runs, owned=_by_owner(seen), tagged=_by_tag(seen), missing=missing, observed_at=now)


def amended_inventory(previous: Inventory, shown: Iterable[ObservedRun]) -> Inventory:
    """Returns the snapshot with runs that were made after its listing; of those that it has, nothing is believed anew.

    One answer about one run says that it is there, never that another is gone, so agreement is not counted on.

    Args:
        previous: The snapshot until now.
        shown: What the service said of each run, asked for by its id.
    """
    made = {run.run_id: run for run in shown if run.run_id not in previous.runs}
    missing = {run_id: looks for run_id, looks in previous.missing.items() if run_id not in made}
    owned, tagged = _joined(previous.owned, _by_owner(made.values())), _joined(previous.tagged, _by_tag(made.values()))
    return replace(previous, runs={**previous.runs, **made}, owned=owned, tagged=tagged, missing=missing)


def failed_inventory(previous: Inventory, fault: Fault, *, now: datetime) -> Inventory:
    """Returns the snapshot after a look that failed: what was known stays, for when the trouble is over.

    The words of a lasting trouble may differ from look to look; the first ones stand, so that nothing flaps. One failed
    look after one that succeeded is a doubt: ten thousand objects must not be written twice for a passing trouble.

    Args:
        previous: The snapshot until now.
        fault: Why the look failed.
        now: When it failed.
    """
    known, since = previous.fault, previous.failing_since or now
    if known is not None and (known.reason, known.needs_user) == (fault.reason, fault.needs_user):
        return previous
    if previous.is_current and not fault.needs_user:
        return replace(previous, doubt=fault, failing_since=since)
    return replace(previous, fault=fault, doubt=None, failing_since=since)


def unconfirmed(inventory: Inventory, watched: Iterable[str]) -> bool:
    """Tells whether a watched run is corrupted or missing by one observation only, so that a second is due soon.

    A run that was made after the newest look is neither: who follows it asks for it.
    """
    if inventory.fault is not None or inventory.observed_at is None:
        return False
    runs, missing = inventory.runs.items(), inventory.missing.items()
    doubted = {run_id for run_id, run in runs if run.corrupted and run.agreeing < CONFIRMED}
    doubted |= {run_id for run_id, looks in missing if looks < CONFIRMED}
    return bool(doubted) and not doubted.isdisjoint(watched)


def _agreed(before: ObservedRun | None, run: ObservedRun) -> ObservedRun:
    """The observation with its agreement; when nothing is new the former one itself, which costs nothing to compare."""
    if before is None or before.corrupted != run.corrupted:
        return run
    if before.agreeing == CONFIRMED and _SAID(before) == _SAID(run):
        return before
    return replace(run, agreeing=min(before.agreeing + 1, CONFIRMED))


def _by_owner(runs: Iterable[ObservedRun]) -> Mapping[str, tuple[ObservedRun, ...]]:
    owned: dict[str, list[ObservedRun]] = {}
    for run in runs:
        if owner := run.metadata.get(OWNER_KEY):
            owned.setdefault(owner, []).append(run)
    return {owner: tuple(members) for owner, members in owned.items()}


def _joined(
    known: Mapping[K, tuple[ObservedRun, ...]], made: Mapping[K, tuple[ObservedRun, ...]]
) -> Mapping[K, tuple[ObservedRun, ...]]:
    return {**known, **{key: known.get(key, ()) + members for key, members in made.items()}}


def _by_tag(runs: Iterable[ObservedRun]) -> Mapping[tuple[str, str], tuple[ObservedRun, ...]]:
    tagged: dict[tuple[str, str], list[ObservedRun]] = {}
    for run in runs:
        for key, value in run.metadata.items():
            if not key.startswith(f"{GROUP}/"):
                tagged.setdefault((key, value), []).append(run)
    return {tag: tuple(members) for tag, members in tagged.items()}
