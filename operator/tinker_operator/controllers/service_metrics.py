"""What is spent at the services, as metrics: attempts, waits for a place, and connections that hold calls back.

No label tells a connection: two of one URL differ by their keys alone.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tinker_operator.tinker.budget import Lane, Outcome

WAIT_BUCKETS = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60)
"""Seconds."""


class ServiceMetrics:
    """Figures of all budgets together; each budget tells it what is spent.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._calls = Counter(
            "tinker_operator_service_calls_total", "Calls to the service, by lane and outcome.", ("lane", "outcome"),
            registry=registry,
        )  # fmt: skip
        self._wait = Histogram(
            "tinker_operator_service_wait_seconds", "How long calls wait for the budget.", ("lane",),
            registry=registry, buckets=WAIT_BUCKETS,
        )  # fmt: skip

    def waited(self, lane: Lane, seconds: float) -> None:
        """A call got its place after so long."""
        self._wait.labels(lane.value).observe(seconds)

    def ended(self, lane: Lane, outcome: Outcome) -> None:
        """An attempt is over."""
        self._calls.labels(lane.value, outcome.value).inc()

    def show_held_back(self, held_back: Callable[[], int]) -> None:
        """Shows how many connections hold calls back.

        Args:
            held_back: Asked at each scrape.
        """
        gauge = Gauge(
            "tinker_operator_service_held_back_connections",
            "Connections that hold calls back because their service fails.",
            registry=self._registry,
        )
        gauge.set_function(lambda: float(held_back()))
