"""What the poller and the session keeper need of each TrainingRun, and no more: they walk over all of them.

A parsed TrainingRun takes some 17 kB, this takes a few hundred bytes, so ten thousand are kept in memory all the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import TRAINING_RUNS, account_of, parsed
from tinker_operator.core.identity import followed, origin_of
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Store


@dataclass(frozen=True, slots=True)
class Tracked:
    """A TrainingRun that parses, as far as it has to be kept in mind.

    Attributes:
        uid: Its uid.
        account: Whose key it uses.
        poll_seconds: How often it wants to be looked at.
        followed: Id of the run that it follows; None while there is none.
        is_bound: Whether status tells of what spec names.
        discovers: Whether a newer run may be found by its metadata.
        sessions: Sessions that it needs alive.
    """

    uid: str
    account: Account
    poll_seconds: int
    followed: str | None
    is_bound: bool
    discovers: bool
    sessions: frozenset[str]


def held_sessions(run: TrainingRun) -> frozenset[str]:
    """Returns the sessions that this object needs alive: its run's, its creation's, its recovery's and the proof's."""
    status, flight = run.status, run.status.recovery.in_flight
    ids = (
        status.session.session_id if status.session else None,
        status.creation.session_id if status.creation else None,
        flight.session_id if flight else None,
        flight.validation.session_id if flight and flight.validation else None,
    )
    return frozenset(session_id for session_id in ids if session_id is not None)


def tracked(obj: KubeObject | None) -> Tracked | None:
    """Returns what is kept in mind of an object; None when it does not parse."""
    run = parsed(TrainingRun, obj)
    if run is None:
        return None
    return Tracked(
        run.metadata.uid,
        account_of(run),
        run.spec.poll_interval_seconds,
        followed(run),
        run.status.origin == origin_of(run),
        run.spec.run.discover is not None,
        held_sessions(run),
    )


def all_tracked(store: Store) -> Iterator[tuple[ObjectKey, Tracked]]:
    """Yields every TrainingRun that parses."""
    for key in tuple(store.by_kind(TRAINING_RUNS.kind)):
        if (one := store.derived(key, tracked)) is not None:
            yield key, one
