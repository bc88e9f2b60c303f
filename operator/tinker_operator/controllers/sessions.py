"""Keeps the operator's own sessions alive, and ends those whose object is gone.

A session that stops beating may be ended by the service, and its run with it. Which sessions are wanted is read from
status at every beat, so a restarted operator goes on where the last one stopped.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import structlog

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import (
    CHECKPOINT_POLICIES,
    TRAINING_RUNS,
    account_of,
    checkpoint_policies,
    parsed,
)
from tinker_operator.controllers.services import Service, Services
from tinker_operator.controllers.tracked import TrackedRuns, all_tracked
from tinker_operator.engine.elector import LeadershipLost
from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Change, Store
from tinker_operator.tinker.budget import Lane, asked_in
from tinker_operator.tinker.errors import TinkerError

BEAT_SECONDS = 10.0
"""Pause between heartbeats; what the official client beats with."""
SOON_SECONDS = 1.0
"""Pause while a connection is still to be made."""
Holder = tuple[frozenset[str], Account]
"""The uids of the objects that a session is held for, and whose key it belongs to."""
log = structlog.get_logger(__name__)


def _held(store: Store, owns: Callable[[ObjectKey], bool]) -> dict[str, Holder]:
    """Returns the sessions that are wanted: those of TrainingRuns, and those that a policy proves a checkpoint in.

    A proof belongs to its policy and to the TrainingRun whose checkpoint it is, and ends with either.
    """
    held: dict[str, Holder] = {}
    for policy in checkpoint_policies(store):
        if owns(ObjectKey(CHECKPOINT_POLICIES.kind, policy.metadata.namespace, policy.metadata.name)):
            held |= _proving(policy, store)
    for key, run in store.gathered(TRAINING_RUNS.kind, _holding):
        if owns(key):
            held |= {session: (frozenset({run.uid}), run.account) for session in run.sessions}
    return held


def _holding(store: Store) -> TrackedRuns:
    return tuple((key, run) for key, run in all_tracked(store) if run.sessions)


def _gathered(
    store: Store, of_runs: Callable[[Store], frozenset[str]], of_policies: Callable[[Store], frozenset[str]]
) -> frozenset[str]:
    return store.gathered(TRAINING_RUNS.kind, of_runs) | store.gathered(CHECKPOINT_POLICIES.kind, of_policies)


def _uids(kind: str, store: Store) -> frozenset[str]:
    return frozenset(obj["metadata"]["uid"] for obj in store.by_kind(kind).values())


_RUN_UIDS = partial(_uids, TRAINING_RUNS.kind)
_POLICY_UIDS = partial(_uids, CHECKPOINT_POLICIES.kind)


def _unread_runs(store: Store) -> frozenset[str]:
    return _RUN_UIDS(store) - {run.uid for _, run in all_tracked(store)}


def _unread_policies(store: Store) -> frozenset[str]:
    return _POLICY_UIDS(store) - {policy.metadata.uid for policy in checkpoint_policies(store)}


def _proving(policy: CheckpointPolicy, store: Store) -> dict[str, Holder]:
    proof = policy.status.validation.in_flight if policy.status.validation is not None else None
    if proof is None or proof.session_id is None:
        return {}
    key = ObjectKey(TRAINING_RUNS.kind, policy.metadata.namespace, proof.training_run)
    run = parsed(TrainingRun, store.get(key))
    return {proof.session_id: (frozenset({policy.metadata.uid, run.metadata.uid}), account_of(run))} if run else {}


class SessionKeeper:
    """Beats for every session that a TrainingRun or a proof holds.

    Args:
        store: Tells which sessions are held.
        services: Connections to beat on.
        beat_seconds: Pause between heartbeats.
        owns: Whether an object's sessions are kept here; all are, unless another shard does it.
    """

    def __init__(
        self,
        store: Store,
        services: Services,
        *,
        beat_seconds: float = BEAT_SECONDS,
        owns: Callable[[ObjectKey], bool] = lambda _key: True,
    ) -> None:
        self._owns = owns
        self._beat_seconds = beat_seconds
        self._store = store
        self._services = services
        self._orphans: dict[str, Account] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}
        store.listen(self._on_change)

    async def run(self) -> None:
        """Beats until cancelled."""
        try:
            await self._keep()
        finally:
            for call in self._calls.values():
                call.cancel()

    async def _keep(self) -> None:
        before: Mapping[str, Holder] | None = None
        while True:
            held = _held(self._store, self._owns)
            # By uid, not by what parses: an object of a newer schema is not a deleted one, and its session goes on.
            living = _gathered(self._store, _RUN_UIDS, _POLICY_UIDS)
            unread = _gathered(self._store, _unread_runs, _unread_policies)
            known = held if before is None else before
            held |= {session: kept for session, kept in known.items() if kept[0] & unread and kept[0] <= living}
            self._orphans |= {session: account for session, (uids, account) in known.items() if not uids <= living}
            unconnected = any(self._services.of(account) is None for _, account in held.values())
            for session, (_, account) in held.items():
                if session in known:  # the others were opened since the last beat, which is as good as a beat
                    self._begin(session, self._beat, account)
            for session, account in tuple(self._orphans.items()):
                self._begin(session, self._finish, account)
            before = held
            # An operator that was restarted looks first: until then it has no connection to beat on.
            await asyncio.sleep(min(SOON_SECONDS, self._beat_seconds) if unconnected else self._beat_seconds)

    def _begin(self, session: str, call: Callable[[str, Account], Coroutine[Any, Any, None]], account: Account) -> None:
        """Calls beside all others: one service that hangs must not make the sessions of the rest miss their beats."""
        if session not in self._calls:
            self._calls[session] = asyncio.create_task(call(session, account), name="beat")
            self._calls[session].add_done_callback(lambda _: self._calls.pop(session))

    def _on_change(self, change: Change) -> None:
        """A proof is short: its policy may be deleted before a beat has seen its session."""
        if change.key.kind == CHECKPOINT_POLICIES.kind and change.after is None and self._owns(change.key):
            policy = parsed(CheckpointPolicy, change.before)
            held = _proving(policy, self._store) if policy is not None else {}
            self._orphans |= {session: account for session, (_, account) in held.items()}

    async def _beat(self, session: str, account: Account) -> None:
        service = self._services.of(account)
        if not isinstance(service, Service):
            return
        try:
            with asked_in(Lane.BEAT):
                await service.client.heartbeat(session)
        except TinkerError as error:
            log.debug("heartbeat_missed", session=session, error=error.reason)
        except LeadershipLost:
            return  # the elector ends this replica
        except Exception as error:  # noqa: BLE001 - one session's trouble must not end the beat of all others
            log.warning("heartbeat_failed", session=session, **described(error))

    async def _finish(self, session: str, account: Account) -> None:
        """Ends a session whose object was deleted; tried at each beat until it is done or the key is gone."""
        service = self._services.of(account)
        if isinstance(service, Service):
            try:
                await service.client.finish_session(session, "success", "its object was deleted")
            except TinkerError as error:
                if error.transient:
                    return
            except LeadershipLost:
                return  # as above
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("finish_failed", session=session, **described(error))
        del self._orphans[session]
