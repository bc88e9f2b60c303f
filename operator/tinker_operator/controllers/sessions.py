"""Keeps the operator's own sessions alive, and ends those whose object is gone.

A session that stops beating may be ended by the service, and its run with it. Which sessions are wanted is read from
status at every beat, so a restarted operator goes on where the last one stopped.
"""

import asyncio
from collections.abc import Mapping

import structlog

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import TRAINING_RUNS, account_of, training_runs
from tinker_operator.controllers.services import Service, Services
from tinker_operator.engine.faults import described
from tinker_operator.engine.store import Store
from tinker_operator.tinker.errors import TinkerError

BEAT_SECONDS = 10.0
"""Pause between heartbeats; what the official client beats with."""
SOON_SECONDS = 1.0
"""Pause while a connection is still to be made."""
log = structlog.get_logger(__name__)


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


class SessionKeeper:
    """Beats for every session that a TrainingRun holds.

    Args:
        store: Tells which sessions are held.
        services: Connections to beat on.
        beat_seconds: Pause between heartbeats.
    """

    def __init__(self, store: Store, services: Services, *, beat_seconds: float = BEAT_SECONDS) -> None:
        self._beat_seconds = beat_seconds
        self._store = store
        self._services = services
        self._orphans: dict[str, Account] = {}

    async def run(self) -> None:
        """Beats until cancelled."""
        before: Mapping[str, tuple[str, Account]] = {}
        while True:
            runs = tuple(training_runs(self._store))
            held = {session: (run.metadata.uid, account_of(run)) for run in runs for session in held_sessions(run)}
            # By uid, not by what parses: an object of a newer schema is not a deleted one, and its session goes on.
            living = {obj["metadata"]["uid"] for obj in self._store.by_kind(TRAINING_RUNS.kind).values()}
            unread = living - {run.metadata.uid for run in runs}
            held |= {session: kept for session, kept in before.items() if kept[0] in unread}
            self._orphans |= {session: account for session, (uid, account) in before.items() if uid not in living}
            unconnected = any(self._services.of(account) is None for _, account in held.values())
            await asyncio.gather(
                *(self._beat(session, account) for session, (_, account) in held.items()),
                *(self._finish(session, account) for session, account in tuple(self._orphans.items())),
            )
            before = held
            # An operator that was restarted looks first: until then it has no connection to beat on.
            await asyncio.sleep(min(SOON_SECONDS, self._beat_seconds) if unconnected else self._beat_seconds)

    async def _beat(self, session: str, account: Account) -> None:
        service = self._services.of(account)
        if not isinstance(service, Service):
            return
        try:
            await service.client.heartbeat(session)
        except TinkerError as error:
            log.debug("heartbeat_missed", session=session, error=error.reason)
        except Exception as error:  # noqa: BLE001 - one session's trouble must not end the beat of all others
            log.warning("heartbeat_failed", session=session, **described(error))

    async def _finish(self, session: str, account: Account) -> None:
        """Ends a session whose TrainingRun was deleted; tried at each beat until it is done or the key is gone."""
        service = self._services.of(account)
        if isinstance(service, Service):
            try:
                await service.client.finish_session(session, "success", "its TrainingRun was deleted")
            except TinkerError as error:
                if error.transient:
                    return
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("finish_failed", session=session, **described(error))
        del self._orphans[session]
