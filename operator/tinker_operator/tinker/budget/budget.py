"""The budget of one connection: room for calls at once, a pace, the service's own wishes, and the breaker.

The transport asks for a place around each call and lets each attempt be judged. What is held back was never sent, and
says so by an error of its own: nobody may take it for an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Final, Protocol, TypeVar

from aiolimiter import AsyncLimiter

from tinker_operator.tinker.budget.breaker import Breaker
from tinker_operator.tinker.budget.lanes import Lane, current_lane
from tinker_operator.tinker.budget.terms import BudgetTerms, BudgetWatch, Outcome
from tinker_operator.tinker.errors import (
    ClientClosed,
    HeldBack,
    NoAnswer,
    RateLimited,
    ServerFault,
    ServiceTimeout,
    ServiceUnreachable,
    StatusError,
    TinkerError,
    UntrustedAnswer,
)
from tinker_operator.tinker.retry import Timekeeper

T = TypeVar("T")
BURST_SECONDS: Final = 2.0
"""So long a pause can be made up for at once."""
BULK_SHARE: Final = 0.75
"""Part of the pace that bulk may take; the rest is always left for what is urgent."""
LONGEST_PAUSE: Final = 60.0
"""Seconds that a service can silence a connection for: it may mean an hour, but sessions have to be kept alive."""
_SPREAD: Final = 0.5
"""Seconds over which calls return that waited for the same moment."""
_PATIENCE: Final = 10.0
"""Seconds that a reservation waits for a pause to be over."""
_PASSING: Final = frozenset({Lane.LOOK, Lane.BEAT})


class Spending(Protocol):
    """What the transport asks."""

    def place(self) -> AbstractAsyncContextManager[None]:
        """Room for one call with its repetitions."""

    def reserved(self) -> AbstractAsyncContextManager[None]:
        """Room for calls that must not wait from here on; see `Budget.reserved`."""

    async def attempt(self, seconds: float, send: Callable[[float], Awaitable[T]], *, patient: bool) -> T:
        """Send once, if the budget lets it; see `Budget.attempt`."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """What is kept of an error: not itself, for its traceback holds the frames of the call, and they hold a key."""

    reason: str
    remedy: str

    @classmethod
    def of(cls, error: TinkerError) -> "_Cause":
        return cls(error.reason, error.remedy)


@dataclass(frozen=True, slots=True)
class _Pause:
    """Until when nothing is sent, and what asked for that."""

    until: float
    asked_by: _Cause


class NoBudget:
    """Lets everything out at once."""

    def place(self) -> AbstractAsyncContextManager[None]:
        """Give room."""
        return nullcontext()

    def reserved(self) -> AbstractAsyncContextManager[None]:
        """Give room."""
        return nullcontext()

    async def attempt(self, seconds: float, send: Callable[[float], Awaitable[T]], *, patient: bool) -> T:  # noqa: ARG002 - as the other
        """Send."""
        return await send(seconds)


class Budget:
    """The budget of one connection.

    Args:
        terms: How much.
        keeper: Time and chance.
        watch: Told of what is spent; None for nobody.
    """

    def __init__(self, terms: BudgetTerms, keeper: Timekeeper, watch: BudgetWatch | None = None) -> None:
        self.breaker: Final = Breaker(terms.breaker)
        self._keeper = keeper
        self._watch = watch
        self._room = {lane: asyncio.Semaphore(terms.room[lane]) for lane in Lane}
        burst = terms.calls_per_second * BURST_SECONDS
        self._pace = AsyncLimiter(max(1.0, burst), max(1.0, burst) / terms.calls_per_second)
        bulk = max(1.0, burst * BULK_SHARE)
        self._bulk_pace = AsyncLimiter(bulk, bulk / (terms.calls_per_second * BULK_SHARE))
        self._next_of = {lane: asyncio.Lock() for lane in Lane}
        self._failure = _Cause.of(ServiceUnreachable(""))
        self._pauses = {lane: _Pause(-inf, self._failure) for lane in Lane}

    @asynccontextmanager
    async def reserved(self) -> AsyncIterator[None]:
        """Wait now for what calls within would wait for: none of them waits any more, it goes out or is held back.

        For what is judged right before its call: between the two nobody may have time to change what was judged.

        Raises:
            HeldBack: The service asked for a pause that is too long to wait for.
        """
        async with self.place():
            await self._when_asked_to_come_back(_PATIENCE)
            token = _RESERVED.set(self)
            try:
                yield
            finally:
                _RESERVED.reset(token)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for room in the lane and for the pace; repetitions of the call keep the place and are not paced."""
        if _RESERVED.get() is self:
            yield
            return
        lane, began = current_lane(), self._keeper.monotonic()
        async with self._room[lane]:
            if lane is Lane.BULK:
                await self._bulk_pace.acquire()
            if lane is not Lane.BEAT:
                async with self._next_of[lane]:  # the lanes take turns, however many wait in each
                    await self._pace.acquire()
            if self._watch is not None:
                self._watch.waited(lane, self._keeper.monotonic() - began)
            yield

    async def attempt(self, seconds: float, send: Callable[[float], Awaitable[T]], *, patient: bool) -> T:
        """Send once, and learn from what comes back.

        Args:
            seconds: The longest that it may take.
            send: Sends; is told how many of these seconds are left.
            patient: Whether the service may hold the call open, so that a time-out says nothing.

        Raises:
            HeldBack: It was not sent.
            TinkerError: What `send` raises.
        """
        left = await self._when_asked_to_come_back(seconds)
        probe = self._begun()
        try:
            answer = await send(left)
        except TinkerError as error:
            self._learn(error, probe=probe, patient=patient)
            raise
        except BaseException:
            self.breaker.abandoned(probe=probe)
            raise
        self.breaker.answered()
        self._tell(Outcome.ANSWERED)
        return answer

    async def _when_asked_to_come_back(self, seconds: float) -> float:
        """Wait as long as the service asked for; give what is left of the time."""
        lane, until = current_lane(), self._keeper.monotonic() + seconds
        while (wait := (pause := self._pauses[lane]).until - self._keeper.monotonic()) > 0:
            if pause.until >= until or _RESERVED.get() is self:
                told = "The service asked for a pause of all calls, so this one was not sent"
                raise self._held_back(told, pause.asked_by, wait)
            await self._keeper.sleep(wait + self._keeper.uniform(0.0, min(_SPREAD, until - pause.until)))
        return until - self._keeper.monotonic()

    def _begun(self) -> bool:
        now = self._keeper.monotonic()
        probe = self.breaker.begun(now, passes=current_lane() in _PASSING)
        if probe is None:
            told = "The service failed at many calls in a row, so this one was not sent"
            raise self._held_back(told, self._failure, self.breaker.next_try(now))
        return probe

    def _held_back(self, told: str, cause: "_Cause", next_try: float) -> HeldBack:
        self._tell(Outcome.HELD_BACK)
        return HeldBack(told, cause.remedy, because=cause.reason, next_try=next_try)

    def _learn(self, error: TinkerError, *, probe: bool, patient: bool) -> None:
        now = self._keeper.monotonic()
        if asks_all_to_wait(error):
            pause = min(LONGEST_PAUSE, getattr(error, "retry_after", None) or 0.0)
            self._heed(_Pause(now + pause, _Cause.of(error)))
        if is_failure(error, patient=patient):
            self._failure = _Cause.of(error)
            self.breaker.failed(now, probe=probe)
        elif isinstance(error, StatusError):
            self.breaker.answered()
        else:
            self.breaker.abandoned(probe=probe)
        unusable = isinstance(error, NoAnswer | UntrustedAnswer | ServerFault)
        self._tell(Outcome.FAILED if unusable else Outcome.ANSWERED)

    def _heed(self, asked: _Pause) -> None:
        """Have every lane wait; beats only if a beat was asked to: a crowd of others is asked again and again."""
        for lane, kept in self._pauses.items():
            if asked.until > kept.until and (lane is not Lane.BEAT or current_lane() is Lane.BEAT):
                self._pauses[lane] = asked

    def _tell(self, outcome: Outcome) -> None:
        if self._watch is not None:
            self._watch.ended(current_lane(), outcome)


_RESERVED: Final[ContextVar[Budget | None]] = ContextVar("reserved", default=None)
"""The budget that keeps a place for this task."""


def is_failure(error: TinkerError, *, patient: bool) -> bool:
    """Say whether an attempt shows that the service fails: no answer at all, or a 5xx.

    Args:
        error: What the attempt raised.
        patient: Whether the service may hold the call open.
    """
    if isinstance(error, ClientClosed) or (patient and isinstance(error, ServiceTimeout)):
        return False
    return isinstance(error, ServiceUnreachable | ServiceTimeout | ServerFault)


def asks_all_to_wait(error: TinkerError) -> bool:
    """Say whether a refusal speaks for more than its own call: 429, and 503 with a time."""
    unavailable = isinstance(error, ServerFault) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
    return (isinstance(error, RateLimited) or unavailable) and bool(getattr(error, "retry_after", None))
