"""Faults that an administrator has ordered: which requests they meet, and how often.

They live in memory: a restarted simulator is a sound one (its corrupted runs and broken checkpoints stay as they are).
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tinker_simulator.behaviour import Behaviour
from tinker_simulator.records import FailureCategory

_LISTINGS = r"^GET .*/(training_runs|checkpoints|sessions)$"

Monotonic = Callable[[], float]


class FaultKind(StrEnum):
    """What happens to a request, a load, an operation or a step that a rule meets."""

    HTTP = "http"
    LATENCY = "latency"
    DROP = "drop"
    GARBAGE = "garbage"
    HALF_BODY = "half-body"
    HALF_PAGE = "half-page"
    LOAD_FAILURE = "load-failure"
    FAIL = "fail"
    SLOW = "slow"
    LOSE_RESULT = "lose-result"
    CORRUPT = "corrupt"


class Subject(StrEnum):
    """What a kind of fault meets."""

    REQUEST = "request"
    LOAD = "load"
    OPERATION = "operation"
    STEP = "step"


_SUBJECTS = {
    FaultKind.LOAD_FAILURE: Subject.LOAD,
    FaultKind.FAIL: Subject.OPERATION,
    FaultKind.SLOW: Subject.OPERATION,
    FaultKind.LOSE_RESULT: Subject.OPERATION,
    FaultKind.CORRUPT: Subject.STEP,
}
_DELAYS = frozenset({FaultKind.LATENCY, FaultKind.SLOW})


class Breakage(StrEnum):
    """What happens to the content of a checkpoint."""

    TRUNCATE = "truncate"
    NAN = "nan"
    RANK = "rank"
    REMOVE = "remove"


class FaultRule(BaseModel):
    """One ordered fault.

    Attributes:
        kind: What happens.
        route: Regular expression searched for in `METHOD /path`; for `load-failure`, in the checkpoint's path; for
            `fail`, `slow` and `lose-result`, in `OPERATION REQUEST_ID`; for `corrupt`, in the run's id.
            Default: everything; for `half-page`, every listing.
        every: Meet each so-manieth of the requests that the route fits: 50 is 2 % of them.
        count: Meet this many requests, then no more; without it and without `seconds`, until cleared.
        seconds: Meet requests for this long, then no more.
        status: For `http`: the status to answer with, in place of doing what was asked.
        retry_after: For `http`: seconds for the Retry-After header.
        delay: For `latency`: seconds to wait before the request is looked at; for `slow`, before the operation begins.
        when: For `drop`: `before` the request is acted on, `after` it was, or `midway` through sending the answer.
            For `lose-result`: whether the operation is left undone, or done and only its result lost.
        category: For `fail`: whose fault it is.
        message: For `fail`: what the client is told.
        step: For `corrupt`: the optimizer step that a run does not survive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    route: str = ".*"
    every: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[float, Field(ge=0)] | None = None
    delay: Annotated[float, Field(gt=0, le=600)] | None = None
    when: Literal["before", "after", "midway"] = "before"
    category: FailureCategory = FailureCategory.SERVER
    message: str = "A failure was ordered for this operation."
    step: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _listings_alone(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("kind") == FaultKind.HALF_PAGE:
            return {"route": _LISTINGS, **given}
        return given

    @field_validator("route")
    @classmethod
    def _compiles(cls, route: str) -> str:
        try:
            re.compile(route)
        except re.error as wrong:
            raise ValueError(f"not a regular expression: {wrong}") from wrong
        return route

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.count is not None and self.seconds is not None:
            raise ValueError("give count or seconds, not both")
        if self.kind is FaultKind.HTTP and self.status is None:
            raise ValueError("an http fault needs a status")
        if self.kind in _DELAYS and self.delay is None:
            raise ValueError(f"a {self.kind} fault needs a delay")
        if self.kind is FaultKind.CORRUPT and self.step is None:
            raise ValueError("a corrupt fault needs a step")
        return self

    @property
    def subject(self) -> Subject:
        """What it meets."""
        return _SUBJECTS.get(self.kind, Subject.REQUEST)


@dataclass(slots=True)
class _Ordered:
    rule: FaultRule
    left: int | None
    until: float | None
    seen: int = 0

    def fits(self, text: str) -> bool:
        """Whether this one is met. Counts it."""
        if not re.search(self.rule.route, text):
            return False
        self.seen += 1
        return self.seen % self.rule.every == 0


class FaultBook:
    """The faults in force, and how the service behaves besides.

    Args:
        monotonic: Seconds on a clock that never steps.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._ordered: list[_Ordered] = []
        self._cleared = asyncio.Event()
        self.behaviour = Behaviour()

    def order(self, rule: FaultRule) -> None:
        """Put a fault in force."""
        until = None if rule.seconds is None else self._monotonic() + rule.seconds
        self._ordered.append(_Ordered(rule, rule.count, until))

    def behave(self, behaviour: Behaviour) -> None:
        """Answer like this from now on."""
        self.behaviour = behaviour

    def clear(self) -> None:
        """End every fault, also of those whom one holds up at the moment, and behave as in the beginning."""
        self._ordered.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()
        self.behaviour = Behaviour()

    async def held_up(self, seconds: float) -> None:
        """Wait so long, or until every fault ends."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)

    def in_force(self) -> tuple[FaultRule, ...]:
        """The rules that can still meet a request."""
        self._forget_spent()
        return tuple(ordered.rule for ordered in self._ordered)

    def met_by(self, method_and_path: str) -> tuple[FaultRule, ...]:
        """What happens to this request: any delays, then at most one other fault. Counts each as used."""
        return self._met(Subject.REQUEST, method_and_path)

    def met_by_operation(self, operation: str, request_id: str) -> tuple[FaultRule, ...]:
        """What happens to this operation: any delays, then at most one other fault. Counts each as used."""
        return self._met(Subject.OPERATION, f"{operation} {request_id}")

    def fails_load(self, tinker_path: str) -> bool:
        """Whether this load of a checkpoint has to fail. Counts as used."""
        return bool(self._met(Subject.LOAD, tinker_path))

    def corrupts(self, run_id: str, step: int) -> bool:
        """Whether a run does not survive this optimizer step. Counts as used."""
        reached = [one for one in self._matching(Subject.STEP, run_id) if step >= (one.rule.step or 0)]
        return bool([self._use(ordered) for ordered in reached[:1]])

    def _met(self, subject: Subject, text: str) -> tuple[FaultRule, ...]:
        matching = self._matching(subject, text)
        delays = [ordered for ordered in matching if ordered.rule.kind in _DELAYS]
        others = [ordered for ordered in matching if ordered.rule.kind not in _DELAYS]
        return tuple(self._use(ordered) for ordered in (*delays, *others[:1]))

    def _matching(self, subject: Subject, text: str) -> list[_Ordered]:
        self._forget_spent()
        return [ordered for ordered in self._ordered if ordered.rule.subject is subject and ordered.fits(text)]

    def _use(self, ordered: _Ordered) -> FaultRule:
        if ordered.left is not None:
            ordered.left -= 1
        return ordered.rule

    def _forget_spent(self) -> None:
        now = self._monotonic()
        self._ordered = [
            ordered for ordered in self._ordered if ordered.left != 0 and (ordered.until is None or now < ordered.until)
        ]
