"""The parts of one simulator, put together: what the routes work with."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tinker_simulator.answers import ApiError, missing
from tinker_simulator.clock import MovableClock
from tinker_simulator.credentials import Credentials
from tinker_simulator.execution.executor import Executor
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.faults import FaultBook
from tinker_simulator.ledger import Ledger
from tinker_simulator.naming import parsed_path
from tinker_simulator.records import CheckpointRecord, RunRecord, SessionRecord
from tinker_simulator.settings import Settings
from tinker_simulator.signing import Links
from tinker_simulator.storage.store import Store

OWNER = web.RequestKey("owner", str)


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything a route needs.

    Attributes:
        settings: How to answer.
        store: Records.
        bench: What operations work with.
        executor: Where operations go.
        faults: What an administrator has ordered.
        ledger: What was asked.
        clock: The time, which an administrator can move.
        credentials: Who is let in.
        links: Downloads without a key.
        new_id: Makes session ids.
    """

    settings: Settings
    store: Store
    bench: Workbench
    executor: Executor
    faults: FaultBook
    ledger: Ledger
    clock: MovableClock
    credentials: Credentials
    links: Links
    new_id: Callable[[], str]

    def live_session(self, owner: str, session_id: str) -> SessionRecord:
        """The owner's session, if it can still be used.

        Raises:
            ApiError: 404, there is none; 410, it was finished.
        """
        session = self.store.sessions.get(owner, session_id)
        if session is None:
            raise missing("Session", session_id)
        if session.finished_reason is not None:
            raise ApiError(410, f"Session {session_id} is finished. Create a new one.")
        return session

    def own_run(self, owner: str | None, run_id: str) -> RunRecord:
        """The run of that id, if it is the owner's (None: whoever owns it).

        Raises:
            ApiError: 404, there is none.
        """
        run = self.store.runs.get(owner, run_id)
        if run is None:
            raise missing("Training run", run_id)
        return run

    def own_checkpoint(self, owner: str, run_id: str, kind: str, name: str) -> CheckpointRecord:
        """The owner's checkpoint.

        Raises:
            ApiError: 404, there is none.
        """
        checkpoint = self.store.checkpoints.get(run_id, kind, name, self.clock())
        if checkpoint is None or checkpoint.owner != owner:
            raise missing("Checkpoint", f"tinker://{run_id}/{kind}/{name}")
        return checkpoint

    def readable_checkpoint(self, owner: str, path: str, token: str | None = None) -> CheckpointRecord:
        """The checkpoint at a path, if it is the owner's, or public, or belongs to the holder of the access token.

        Raises:
            ApiError: 400, the path does not parse; 403, the token is none; 404, there is no such checkpoint.
        """
        address = parsed_path(path)
        checkpoint = self.store.checkpoints.get(address.run_id, address.kind, address.name, self.clock())
        readers = {owner} if token is None else {owner, self._holder_of(token)}
        if checkpoint is None or not (checkpoint.public or checkpoint.owner in readers):
            raise missing("Checkpoint", path)
        return checkpoint

    def _holder_of(self, token: str) -> str:
        try:
            return self.credentials.owner_of(token)
        except ApiError as unknown:
            raise ApiError(403, "The weights access token is not valid. Give a credential of the owner.") from unknown
