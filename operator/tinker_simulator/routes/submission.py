"""How any operation is submitted: once per id, stored before it is answered, refused where it cannot be done.

Used by the routes for training and for sampling.
"""

from collections.abc import Callable

from aiohttp import web

from tinker_simulator import naming
from tinker_simulator.answers import ApiError, missing
from tinker_simulator.records import FutureRecord, Operation, RunRecord
from tinker_simulator.simulation import Simulation

Check = Callable[[RunRecord], None]


def accepted(future: FutureRecord) -> web.Response:
    """The answer to a submitted operation: where to poll."""
    answer = {"request_id": future.request_id}
    if future.model_id is not None:
        answer["model_id"] = future.model_id
    return web.json_response(answer)


class Submission:
    """Takes operations in."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def repeated(self, owner: str, request_id: str) -> web.Response | None:
        """The answer that an earlier try of the same request got, if there was one."""
        future = self._simulation.store.futures.get(owner, request_id)
        return None if future is None else accepted(future)

    def to_model(
        self, owner: str, operation: Operation, numbered: tuple[str, int], request: bytes, *, check: Check
    ) -> web.Response:
        """Submit an operation on a run.

        Args:
            owner: Who asks.
            operation: What to do.
            numbered: The model's id, and the operation's number.
            request: The body, as the operation will read it.
            check: Raises `ApiError` when the run, which can be trained, cannot do this.

        Raises:
            ApiError: 404, 410 or 400, the run cannot be trained; what `check` raises. The number counts as used up.
        """
        model_id, seq_id = numbered
        request_id = naming.request_id(model_id, seq_id)
        if answer := self.repeated(owner, request_id):
            return answer
        try:
            run = self._trainable(owner, model_id)
            check(run)
        except ApiError:
            self._simulation.executor.refuse(model_id, seq_id)
            raise
        return self.begin(FutureRecord(request_id, owner, operation, model_id, seq_id, request))

    def begin(self, future: FutureRecord) -> web.Response:
        """Store an operation that nothing speaks against, and queue it."""
        store = self._simulation.store
        with store.database.transaction():
            store.futures.add(future)
            if future.model_id is not None:
                store.runs.touch(future.model_id, self._simulation.clock())
        self._simulation.executor.submit(future)
        return accepted(future)

    def _trainable(self, owner: str, model_id: str) -> RunRecord:
        run = self._simulation.store.runs.get(owner, model_id)
        if run is None:
            raise missing("Model", model_id)
        self._simulation.live_session(owner, run.session_id)
        if run.corrupted:
            raise ApiError(400, f"Model {model_id} is in a corrupted state. Create a new one from its last checkpoint.")
        return run
