"""What queue and workers do, under the names that users of controller-runtime chart already.

The queue tells this of its keys; `measured` is put around the one function that reconciles. A kind of objects is what
controller-runtime calls a controller, and has there a queue of its own; here all kinds share one, and its figures are
told apart by kind.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tinker_operator.engine.keys import Monotonic, ObjectKey
from tinker_operator.engine.kube_errors import ObjectGone, WriteConflict
from tinker_operator.engine.workers import Reconcile

ROUND_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds; the longest is how long a round may take."""
QUEUE_BUCKETS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000)
"""Seconds; those of client-go."""


class WorkMetrics:
    """Figures of one queue and its workers.

    Args:
        registry: Where they are shown.
        monotonic: Clock, in seconds.
    """

    def __init__(self, registry: CollectorRegistry, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._since: dict[ObjectKey, float] = {}
        by, of = ("controller",), ("name",)
        self._rounds = Counter(
            "controller_runtime_reconcile_total", "Rounds, by result.", (*by, "result"), registry=registry
        )
        self._errors = Counter(
            "controller_runtime_reconcile_errors_total", "Rounds that failed.", by, registry=registry
        )
        self._active = Gauge("controller_runtime_active_workers", "Rounds that run now.", by, registry=registry)
        self._round_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds", "How long rounds take.", by, registry=registry,
            buckets=ROUND_BUCKETS,
        )  # fmt: skip
        self._depth = Gauge("workqueue_depth", "Objects that a worker could take now.", of, registry=registry)
        self._adds = Counter("workqueue_adds_total", "Objects that were put into the queue.", of, registry=registry)
        self._retries = Counter(
            "workqueue_retries_total", "Objects put off because they failed.", of, registry=registry
        )
        self._queue_seconds = Histogram(
            "workqueue_queue_duration_seconds", "How long objects wait for a worker.", of, registry=registry,
            buckets=QUEUE_BUCKETS,
        )  # fmt: skip

    def added(self, key: ObjectKey) -> None:
        """A key begins to wait for a worker."""
        name = name_of(key)
        self._since[key] = self._monotonic()
        self._depth.labels(name).inc()
        self._adds.labels(name).inc()

    def taken(self, key: ObjectKey) -> None:
        """A worker takes a key that waited."""
        name = name_of(key)
        self._depth.labels(name).dec()
        self._queue_seconds.labels(name).observe(self._monotonic() - self._since.pop(key))

    def retried(self, key: ObjectKey) -> None:
        """A key is put off, because it failed."""
        self._retries.labels(name_of(key)).inc()

    def measured(self, reconcile: Reconcile) -> Reconcile:
        """Returns the function that does the same and counts it.

        Args:
            reconcile: What brings one object forward.
        """

        async def counted(key: ObjectKey) -> float | None:
            name, began = name_of(key), self._monotonic()
            result = "error"
            self._active.labels(name).inc()
            try:
                again_after = await reconcile(key)
                result = "success" if again_after is None else "requeue_after"
            except (WriteConflict, ObjectGone):
                result = "requeue"
                raise
            finally:
                self._active.labels(name).dec()
                self._round_seconds.labels(name).observe(self._monotonic() - began)
                self._rounds.labels(name, result).inc()
                if result == "error":
                    self._errors.labels(name).inc()
            return again_after

        return counted


def name_of(key: ObjectKey) -> str:
    """Returns what controller-runtime calls the controller of a kind: the kind in lower case."""
    return key.kind.lower()
