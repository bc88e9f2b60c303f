"""Faults that an administrator has ordered: which requests they meet, and how often.

They live in memory: a restarted simulator is a sound one (its corrupted runs and broken checkpoints stay as they are).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_LISTINGS = r"^GET .*/(training_runs|checkpoints|sessions)$"

Monotonic = Callable[[], float]


class FaultKind(StrEnum):
    """What happens to a request that a rule meets."""

    HTTP = "http"
    LATENCY = "latency"
    DROP = "drop"
    GARBAGE = "garbage"
    HALF_BODY = "half-body"
    HALF_PAGE = "half-page"
    LOAD_FAILURE = "load-failure"


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
        route: Regular expression searched for in `METHOD /path`; for `load-failure`, in the checkpoint's path.
            Default: everything; for `half-page`, every listing.
        count: Meet this many requests, then no more; without it and without `seconds`, until cleared.
        seconds: Meet requests for this long, then no more.
        status: For `http`: the status to answer with, in place of doing what was asked.
        retry_after: For `http`: seconds for the Retry-After header.
        delay: For `latency`: seconds to wait before the request is looked at.
        when: For `drop`: `before` the request is acted on, `after` it was, or `midway` through sending the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    route: str = ".*"
    count: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[float, Field(ge=0)] | None = None
    delay: Annotated[float, Field(gt=0, le=600)] | None = None
    when: Literal["before", "after", "midway"] = "before"

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
        if self.kind is FaultKind.LATENCY and self.delay is None:
            raise ValueError("a latency fault needs a delay")
        return self


@dataclass(slots=True)
class _Ordered:
    rule: FaultRule
    left: int | None
    until: float | None


class FaultBook:
    """The faults in force.

    Args:
        monotonic: Seconds on a clock that never steps.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._ordered: list[_Ordered] = []

    def order(self, rule: FaultRule) -> None:
        """Put a fault in force."""
        until = None if rule.seconds is None else self._monotonic() + rule.seconds
        self._ordered.append(_Ordered(rule, rule.count, until))

    def clear(self) -> None:
        """End every fault."""
        self._ordered.clear()

    def in_force(self) -> tuple[FaultRule, ...]:
        """The rules that can still meet a request."""
        self._forget_spent()
        return tuple(ordered.rule for ordered in self._ordered)

    def met_by(self, method_and_path: str) -> tuple[FaultRule, ...]:
        """What happens to this request: any delays, then at most one other fault. Counts each as used."""
        matching = self._matching(method_and_path, loads=False)
        delays = [ordered for ordered in matching if ordered.rule.kind is FaultKind.LATENCY]
        others = [ordered for ordered in matching if ordered.rule.kind is not FaultKind.LATENCY]
        return tuple(self._use(ordered) for ordered in (*delays, *others[:1]))

    def fails_load(self, tinker_path: str) -> bool:
        """Whether this load of a checkpoint has to fail. Counts as used."""
        matching = self._matching(tinker_path, loads=True)
        if matching:
            self._use(matching[0])
        return bool(matching)

    def _matching(self, subject: str, *, loads: bool) -> list[_Ordered]:
        self._forget_spent()
        return [
            ordered
            for ordered in self._ordered
            if (ordered.rule.kind is FaultKind.LOAD_FAILURE) is loads and re.search(ordered.rule.route, subject)
        ]

    def _use(self, ordered: _Ordered) -> FaultRule:
        if ordered.left is not None:
            ordered.left -= 1
        return ordered.rule

    def _forget_spent(self) -> None:
        now = self._monotonic()
        self._ordered = [
            ordered for ordered in self._ordered if ordered.left != 0 and (ordered.until is None or now < ordered.until)
        ]
