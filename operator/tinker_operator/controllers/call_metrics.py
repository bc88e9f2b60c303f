"""Requests to the Tinker service, as Prometheus scrapes them: how many of each route, what came of them, how long.

The composition root hands it to the connections. A route is counted without what it names, so there are no more series
than routes times statuses.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from tinker_operator.engine.keys import Monotonic
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.faults import Answer

REQUEST_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds; the longest is how long an attempt may take."""
CANCELLED: Final = "Cancelled"
"""What came of a request that nobody waited for any more."""


class CallMetrics:
    """A watch of requests that counts them.

    Args:
        registry: Where the figures are shown.
        monotonic: Clock, in seconds.
    """

    def __init__(self, registry: CollectorRegistry, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        of = ("method", "route")
        self._requests = Counter(
            "tinker_operator_service_requests_total",
            "Requests to the service, by route and status; without an answer, by the reason.",
            (*of, "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "tinker_operator_service_request_duration_seconds",
            "How long requests to the service take.",
            of,
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )

    @contextmanager
    def __call__(self, call: Call) -> Iterator[Callable[[Answer | TinkerError], None]]:
        """Counts one request, when it is over."""
        of, began, codes = (call.method, call.template), self._monotonic(), [CANCELLED]
        try:
            yield lambda outcome: codes.append(code_of(outcome))
        finally:
            self._requests.labels(*of, codes[-1]).inc()
            self._seconds.labels(*of).observe(self._monotonic() - began)


def code_of(outcome: Answer | TinkerError) -> str:
    """Returns the status of an answer, or the reason why there is none."""
    return str(outcome.status) if isinstance(outcome, Answer) else outcome.reason
