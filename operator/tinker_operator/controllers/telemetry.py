"""What happened, counted and logged: the same fields as the Event that tells of it.

Names of metrics follow Prometheus' conventions; no label holds a run of the service, since there is no end
to them.
"""

import re
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tinker_operator.core.shards import WHOLE, Shard
from tinker_operator.core.telemetry import STEPS, EventReason, Told
from tinker_operator.engine.keys import ObjectKey

log = structlog.get_logger(__name__)
RECOVERY_BUCKETS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds; from a small adapter to a service that takes its time."""
_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")


class Telemetry:
    """Counts and logs what happens to objects.

    Args:
        registry: Where the counters are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._events = Counter(
            "tinker_operator_events_total",
            "What happened to objects, by kind and reason; each is a Kubernetes Event, too.",
            ("kind", "namespace", "reason"),
            registry=registry,
        )
        self._steps = Counter(
            "tinker_operator_recovery_steps_total",
            "Steps of recoveries, from detected to completed, failed or exhausted.",
            ("namespace", "step"),
            registry=registry,
        )
        self._recovery_seconds = Histogram(
            "tinker_operator_recovery_duration_seconds",
            "How long attempts took that brought a run back, from their start until it was handed over.",
            ("namespace",),
            buckets=RECOVERY_BUCKETS,
            registry=registry,
        )

    def show_leading(self, leading: Callable[[], bool], shard: Shard = WHOLE) -> None:
        """Shows whether this replica leads, and of how many shards one has to.

        Args:
            leading: Asked at each scrape.
            shard: Its share of the objects.
        """
        gauge = Gauge("tinker_operator_leading", "Whether this replica leads.", ("shard",), registry=self.registry)
        gauge.labels(str(shard)).set_function(lambda: float(leading()))
        # A shard whose replicas are all gone shows nothing: only its neighbours can tell that it is missing.
        shards = Gauge("tinker_operator_shards", "Shards that the objects are shared out to.", registry=self.registry)
        shards.set(shard.count)

    def tell(self, key: ObjectKey, told: Told) -> None:
        """Counts and logs one thing that happened.

        Args:
            key: The object that it happened to.
            told: What happened.
        """
        self._events.labels(key.kind, key.namespace, str(told.reason)).inc()
        step = STEPS.get(told.reason)
        if step is not None:
            self._steps.labels(key.namespace, step).inc()
        if told.reason is EventReason.RECOVERY_COMPLETED:
            self._recovery_seconds.labels(key.namespace).observe(float(dict(told.fields).get("seconds", 0)))
        name = f"recovery_{step}" if step is not None else _WORDS.sub("_", str(told.reason)).lower()
        say = log.warning if told.warning else log.info
        say(name, kind=key.kind, namespace=key.namespace, name=key.name, message=told.note, **dict(told.fields))
