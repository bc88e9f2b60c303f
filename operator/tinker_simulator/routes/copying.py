"""Copies of checkpoints: under a new run that holds nothing else, sharing the content of what was copied."""

from dataclasses import replace
from datetime import timedelta

from aiohttp import web

from tinker_simulator import naming
from tinker_simulator.answers import ApiError
from tinker_simulator.records import CheckpointRecord, CopyRecord, Kind, RunRecord, SessionRecord
from tinker_simulator.requests import parsed
from tinker_simulator.rest_requests import CopyWeights
from tinker_simulator.routes.training import check_ttl
from tinker_simulator.simulation import OWNER, Simulation

TOKEN_HEADER = "X-Tinker-Weights-Access-Token"  # noqa: S105 (the name of a header)


class CopyRoutes:
    """`copy_weights`, in both of its forms."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._store = simulation.store

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.post("/api/v1/copy_weights", self.copy)]

    async def copy(self, request: web.Request) -> web.Response:
        """Copy a checkpoint; a request that is sent again gets the copy that it made the first time."""
        asked = await parsed(request, CopyWeights)
        owner, key = request[OWNER], request.headers.get("X-Idempotency-Key")
        _check_destination(asked)
        earlier = self._earlier(owner, asked, key)
        if earlier is None:
            source = self._source(owner, asked, request.headers.get(TOKEN_HEADER))
            check_ttl(asked.ttl_seconds)
            earlier = self._copied(source, self._session(owner, asked), asked, key)
        return web.json_response({"tinker_path": earlier.tinker_path})

    def _earlier(self, owner: str, asked: CopyWeights, key: str | None) -> CopyRecord | None:
        if asked.session_id is None:
            return self._store.copies.asked_with(owner, key) if key else None
        self._simulation.live_session(owner, asked.session_id)
        run_id = naming.model_id(asked.session_id, asked.model_seq_id or 0)
        copy = self._store.copies.in_run(run_id)
        if copy is None and self._is_taken(owner, run_id):
            raise ApiError(400, f"Model {run_id} exists already. Give a model_seq_id that is free.")
        return copy

    def _is_taken(self, owner: str, run_id: str) -> bool:
        submitted = self._store.futures.get(owner, naming.request_id(run_id, 0))
        return submitted is not None or self._store.runs.named(run_id) is not None

    def _source(self, owner: str, asked: CopyWeights, header: str | None) -> CheckpointRecord:
        given = asked.weights_access_token
        token = header if given is None else given.get_secret_value()
        source = self._simulation.readable_checkpoint(owner, asked.source_path, token)
        if source.kind is Kind.EXTERNAL_WEIGHTS:
            raise ApiError(400, f"Path is invalid: {asked.source_path} cannot be copied. Give weights of a run.")
        return source

    def _session(self, owner: str, asked: CopyWeights) -> SessionRecord:
        if asked.session_id is not None:
            return self._simulation.live_session(owner, asked.session_id)
        return SessionRecord(
            session_id=self._simulation.new_id(),
            owner=owner,
            created_at=self._simulation.clock(),
            project_id=asked.destination_project_id or "",
            # Nobody will ever finish it: it is over when it is made.
            finished_reason="success",
        )

    def _copied(
        self, source: CheckpointRecord, session: SessionRecord, asked: CopyWeights, key: str | None
    ) -> CopyRecord:
        owner, now = session.owner, self._simulation.clock()
        number = asked.model_seq_id or 0
        run_id = naming.model_id(session.session_id, number)
        run = RunRecord(run_id, session.session_id, number, owner, source.config, now, now)
        expires_at = None if asked.ttl_seconds is None else now + timedelta(seconds=asked.ttl_seconds)
        checkpoint = replace(source, run_id=run_id, owner=owner, created_at=now, public=False, expires_at=expires_at)
        copy = CopyRecord(run_id, owner, checkpoint.tinker_path, key if asked.session_id is None else None)
        with self._store.database.transaction():
            if asked.session_id is None:
                self._store.sessions.add(session)
            self._store.runs.add(run)
            self._store.checkpoints.put(checkpoint)
            self._store.copies.add(copy)
        return copy


def _check_destination(asked: CopyWeights) -> None:
    by_session = asked.session_id is not None or asked.model_seq_id is not None
    whole = asked.session_id is not None and asked.model_seq_id is not None
    if by_session is bool(asked.destination_project_id) or by_session is not whole:
        raise ApiError(400, "Give destination_project_id, or both session_id and model_seq_id.")
