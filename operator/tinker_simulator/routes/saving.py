"""Saving what a run has learned: to train on from, to sample from, or for other programs. All are futures."""

from collections.abc import Callable

from aiohttp import web

from tinker_simulator import naming
from tinker_simulator.answers import ApiError
from tinker_simulator.exports import check_recipients
from tinker_simulator.records import Kind, Operation, RunRecord
from tinker_simulator.requests import SaveWeights, SaveWeightsExternal, SaveWeightsForSampler, parsed
from tinker_simulator.routes.submission import Submission, content_of
from tinker_simulator.routes.training import check_ttl
from tinker_simulator.simulation import OWNER, Simulation

_SAVES: dict[Kind, tuple[Operation, Callable[[bytes], SaveWeights | SaveWeightsForSampler | SaveWeightsExternal]]] = {
    Kind.WEIGHTS: (Operation.SAVE_WEIGHTS, SaveWeights.model_validate_json),
    Kind.SAMPLER_WEIGHTS: (Operation.SAVE_WEIGHTS_FOR_SAMPLER, SaveWeightsForSampler.model_validate_json),
    Kind.EXTERNAL_WEIGHTS: (Operation.SAVE_WEIGHTS_EXTERNAL, SaveWeightsExternal.model_validate_json),
}


class SavingRoutes:
    """Everything that stores a checkpoint."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._submission = Submission(simulation)

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.post("/api/v1/save_weights", self.save_weights),
            web.post("/api/v1/save_weights_for_sampler", self.save_weights_for_sampler),
            web.post("/api/v1/save_weights_external", self.save_weights_external),
        ]

    async def save_weights(self, request: web.Request) -> web.Response:
        """Store a checkpoint for training; 409 when the name is taken and `overwrite` was not said."""
        asked = await parsed(request, SaveWeights)

        def check(run: RunRecord) -> None:
            self._check_name(run, Kind.WEIGHTS, asked.path, overwrite=asked.overwrite)
            check_ttl(asked.ttl_seconds)

        numbered = (asked.model_id, asked.seq_id)
        return self._submission.to_model(
            request[OWNER], Operation.SAVE_WEIGHTS, numbered, content_of(asked), check=check
        )

    async def save_weights_for_sampler(self, request: web.Request) -> web.Response:
        """Store a checkpoint for sampling: named, or for one sampling session alone, which is opened by this.

        Whether the session's weights were asked for as a snapshot or as ones that may move on makes no difference
        here: the latter may stay behind for as long as they like.
        """
        asked = await parsed(request, SaveWeightsForSampler)

        def check(run: RunRecord) -> None:
            check_ttl(asked.ttl_seconds)
            if asked.path is not None:
                self._check_name(run, Kind.SAMPLER_WEIGHTS, asked.path)
            elif asked.sampling_session_seq_id is None:
                raise ApiError(400, "Neither path nor sampling_session_seq_id is given. Give one of them.")
            else:
                self._check_sampler(run, asked.sampling_session_seq_id)

        numbered = (asked.model_id, asked.seq_id)
        return self._submission.to_model(
            request[OWNER], Operation.SAVE_WEIGHTS_FOR_SAMPLER, numbered, content_of(asked), check=check
        )

    async def save_weights_external(self, request: web.Request) -> web.Response:
        """Store the adapter as files that other programs read."""
        asked = await parsed(request, SaveWeightsExternal)

        def check(run: RunRecord) -> None:
            self._check_name(run, Kind.EXTERNAL_WEIGHTS, asked.path)
            check_ttl(asked.ttl_seconds)
            check_recipients(asked.age_encryption_recipients)

        numbered = (asked.model_id, asked.seq_id)
        return self._submission.to_model(
            request[OWNER], Operation.SAVE_WEIGHTS_EXTERNAL, numbered, content_of(asked), check=check
        )

    def _check_name(self, run: RunRecord, kind: Kind, name: str, *, overwrite: bool = False) -> None:
        naming.checked_name(name)
        store = self._simulation.store
        taken = store.checkpoints.get(run.run_id, kind, name, self._simulation.clock()) is not None
        if not overwrite and (taken or self._is_being_saved(run, kind, name)):
            raise ApiError(409, "Checkpoint with the same name already exists")

    def _is_being_saved(self, run: RunRecord, kind: Kind, name: str) -> bool:
        operation, read = _SAVES[kind]
        pending = self._simulation.store.futures.pending_of(run.run_id, operation)
        return any(read(save.request).path == name for save in pending)

    def _check_sampler(self, run: RunRecord, number: int) -> None:
        sampler_id = naming.sampler_id(run.session_id, number)
        if self._simulation.store.samplers.get(run.owner, sampler_id) is not None:
            raise ApiError(400, f"Sampling session {sampler_id} exists already. Send the next number.")
