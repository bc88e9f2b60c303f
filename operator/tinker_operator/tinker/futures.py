"""Waits for work that the service does in the background; used by every call that makes or loads a model.

A future is asked for until it has a result, in the service's three ways of saying "not yet": 408, `try_again`, and
`complete_metadata`. A fault of the moment is waited out, for the result stays readable. Between two polls there is
always a pause, unless the service held the poll open itself: the official client asks without one when the service
answers 5xx, and so keeps it down.
"""

from dataclasses import dataclass
from typing import Final

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import PROTOBUF, Call
from tinker_operator.tinker.errors import (
    BadRequest,
    FutureCategory,
    FutureFailed,
    FuturePending,
    InvalidResponse,
    RequestTimeout,
    TinkerError,
)
from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.models import FutureAnswer
from tinker_operator.tinker.retry import may_repeat
from tinker_operator.tinker.transport import Transport

FORGIVEN_REFUSALS: Final = 3
"""A proxy's hiccup shows as 400 while polling; the official client forgives as many."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_SHORTEST_POLL: Final = 1.0
_STEEPEST: Final = 32


@dataclass(slots=True)
class _Tally:
    """What the polls of one future came to so far."""

    pending: int = 0
    faults: int = 0
    refusals: int = 0
    metadata: int = 0

    def next_pause(self) -> float:
        """Count a "not yet" and say how long from one poll to the next: quick work is noticed at once."""
        self.pending += 1
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.pending - 1, _STEEPEST))


class Futures:
    """The futures of one service."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def result(self, request_id: str, deadline: float, *, protobuf: bool = False) -> Answer:
        """Poll until the work is done.

        Args:
            request_id: As the submission answered it.
            deadline: On the transport's monotonic clock, in seconds; at least one poll is made.
            protobuf: Whether the result is a protobuf message.

        Raises:
            FutureFailed: The service failed at the work.
            FuturePending: The deadline came first; polling the same id later continues.
            TinkerError: A poll was refused for good, or its answer is no answer to a poll.
        """
        keeper, tally = self._transport.keeper, _Tally()
        while True:
            began = keeper.monotonic()
            seconds = min(self._transport.timeouts.poll, max(deadline - began, _SHORTEST_POLL))
            outcome = await self._poll(calls.retrieve_future(request_id, seconds, protobuf=protobuf), request_id, tally)
            if isinstance(outcome, Answer):
                return outcome
            now = keeper.monotonic()
            pause = max(0.0, outcome - (now - began))
            if now + pause >= deadline:
                raise FuturePending(f"The service is still at work on request {request_id}", request_id=request_id)
            await keeper.sleep(pause)

    async def _poll(self, call: Call, request_id: str, tally: _Tally) -> Answer | float:
        """Ask once: the result, or how many seconds lie between this poll and the next."""
        try:
            answer = await self._transport.send(call)
        except RequestTimeout:
            return tally.next_pause()
        except TinkerError as error:
            return self._pause_after(error, tally)
        return self._judge(answer, request_id, tally)

    def _pause_after(self, error: TinkerError, tally: _Tally) -> float:
        """Say how long to wait out a fault of the moment; raise any other."""
        tally.refusals += isinstance(error, BadRequest)
        forgiven = isinstance(error, BadRequest) and tally.refusals <= FORGIVEN_REFUSALS
        if not (forgiven or may_repeat(error)):
            raise error
        tally.faults += 1
        wait = self._transport.retry.wait_seconds(tally.faults, error, self._transport.keeper.uniform)
        return max(wait, _FIRST_PAUSE)

    def _judge(self, answer: Answer, request_id: str, tally: _Tally) -> Answer | float:
        """Tell a result from a failure and from a "not yet" that came as 200; a message is always a result."""
        if answer.headers.get("content-type", "").startswith(PROTOBUF):
            return answer
        said = self._transport.read(answer, FutureAnswer)
        if said.error is not None or said.type == "request_failed":
            raise self._failure(said, request_id)
        if said.type == "try_again":
            return tally.next_pause()
        if said.status != "complete_metadata":
            return answer
        tally.metadata += 1
        if tally.metadata > 1:
            raise InvalidResponse(f"The service announced the result of request {request_id} twice and did not give it")
        return _FIRST_PAUSE

    def _failure(self, said: FutureAnswer, request_id: str) -> FutureFailed:
        named = said.category.lower() if isinstance(said.category, str) else ""
        category = FutureCategory(named) if named in set(FutureCategory) else FutureCategory.UNKNOWN
        text = self._transport.clean(str(said.error or "no cause given"))
        return FutureFailed(f"The service could not do the work: {text}", category=category, request_id=request_id)
