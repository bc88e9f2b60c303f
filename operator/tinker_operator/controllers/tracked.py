"""What the poller, the session keeper and the metrics need of each TrainingRun: they walk over all of them.

A parsed TrainingRun takes some 17 kB, this takes a few hundred bytes, so ten thousand are kept in memory all the time.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import TrainerPhase
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import TRAINING_RUNS, account_of, parsed
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.identity import followed, origin_of
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Store

UNKNOWN = "Unknown"
"""State of a run that has no condition yet."""


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
        state: Reason of its condition Ready, as the printer column shows it.
        corrupted: Whether it is told to be corrupted.
        training: Whether somebody should be training.
        newest: When its newest checkpoint was saved, in seconds since 1970; None if none is known.
    """

    uid: str
    account: Account
    poll_seconds: int
    followed: str | None
    is_bound: bool
    discovers: bool
    sessions: frozenset[str]
    state: str
    corrupted: bool
    training: bool
    newest: float | None


TrackedRuns: TypeAlias = tuple[tuple[ObjectKey, Tracked], ...]
"""TrainingRuns with what is kept in mind of each."""


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
        sys.intern(state_of(run)),
        _is_corrupted(run),
        is_training(run),
        _newest(run),
    )


def state_of(run: TrainingRun) -> str:
    """Returns the state that the printer column shows."""
    ready = find_condition(run.status.conditions, ConditionType.READY)
    return str(ready.reason) if ready is not None else UNKNOWN


def is_training(run: TrainingRun) -> bool:
    """Whether somebody should be training: what is over, held by its user or on its way out saves nothing more."""
    trainer = run.status.trainer
    ended = state_of(run) == Reason.COMPLETED or (trainer is not None and trainer.phase is TrainerPhase.SUCCEEDED)
    return not (ended or run.spec.suspend or run.metadata.deletion_timestamp is not None)


def _is_corrupted(run: TrainingRun) -> bool:
    found = find_condition(run.status.conditions, ConditionType.CORRUPTED)
    return found is not None and found.status is ConditionStatus.TRUE


def _newest(run: TrainingRun) -> float | None:
    last = run.status.last_checkpoint
    return last.time.timestamp() if last is not None and last.time is not None else None


def all_tracked(store: Store) -> TrackedRuns:
    """Returns every TrainingRun that parses."""
    return store.gathered(TRAINING_RUNS.kind, _every_one)


def tracked_by_account(store: Store) -> Mapping[Account, TrackedRuns]:
    """Returns every TrainingRun that parses, by whose key it uses."""
    return store.gathered(TRAINING_RUNS.kind, _by_account)


def _every_one(store: Store) -> TrackedRuns:
    every = ((key, store.derived(key, tracked)) for key in store.by_kind(TRAINING_RUNS.kind))
    return tuple((key, run) for key, run in every if run is not None)


def _by_account(store: Store) -> Mapping[Account, TrackedRuns]:
    users = defaultdict[Account, list[tuple[ObjectKey, Tracked]]](list)
    for key, run in all_tracked(store):
        users[run.account].append((key, run))
    return {account: tuple(runs) for account, runs in users.items()}
