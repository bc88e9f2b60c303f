"""How any operation is submitted: once per id, stored before it is answered, refused where it cannot be done.

Used by the routes for training, for saving and for sampling.
"""

from collections.abc import Callable

from aiohttp import web

from tinker_simulator import naming
from tinker_simulator.answers import ApiError, missing
from tinker_simulator.records import FutureRecord, Operation, RunRecord
from tinker_simulator.requests import Body
from tinker_simulator.simulation import Simulation

Check = Callable[[RunRecord], None]


def accepted(future: FutureRecord) -> web.Response:
    """The answer to a submitted operation: where to poll."""
    answer = {"request_id": future.request_id}
    if future.model_id is not None:
        answer["model_id"] = future.model_id
    return web.json_response(answer)


def content_of(asked: Body) -> bytes:
    """A request as its operation will read it."""
    return asked.model_dump_json().encode()


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
            ApiError: 400, the number is none or was another operation's; 404, 410 or 400, the run cannot be trained;
                what `check` raises. The number counts as used up.
        """
        model_id, seq_id = numbered
        request_id = naming.request_id(model_id, seq_id)
        if answer := self._numbered_before(owner, operation, seq_id, request_id):
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

    def _numbered_before(self, owner: str, operation: Operation, seq_id: int, request_id: str) -> web.Response | None:
        if seq_id < 1:
            raise ApiError(400, f"seq_id {seq_id} is not one of an operation on a model. Count from 1.")
        future = self._simulation.store.futures.get(owner, request_id)
        if future is not None and future.operation is not operation:
            raise ApiError(400, f"seq_id {seq_id} was a {future.operation} already. Send the next number.")
        return None if future is None else accepted(future)

    def _trainable(self, owner: str, model_id: str) -> RunRecord:
        run = self._simulation.store.runs.get(owner, model_id)
        if run is None:
            raise missing("Model", model_id)
        self._simulation.live_session(owner, run.session_id)
        if self._simulation.store.copies.in_run(model_id) is not None:
            raise ApiError(400, f"Model {model_id} holds copied weights. Load them into a new one to train.")
        if run.corrupted and self._simulation.faults.behaviour.corrupted == "refuse":
            raise ApiError(400, f"Model {model_id} is in a corrupted state. Create a new one from its last checkpoint.")
        return run
