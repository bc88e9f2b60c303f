"""The figures that users of controller-runtime chart: what the queue and the rounds did, by kind."""

import pytest
from prometheus_client import CollectorRegistry

from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kube_errors import ObjectGone
from tinker_operator.engine.work_metrics import WorkMetrics
from tinker_operator.engine.workqueue import Priority, WorkQueue

pytestmark = pytest.mark.pure

A, B = (ObjectKey("Widget", "default", name) for name in "ab")


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        """As a monotonic clock does."""
        return self.now


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """What a scrape shows of a kind."""
    kind = {"controller" if name.startswith("controller") else "name": "widget"}
    return registry.get_sample_value(name, {**kind, **labels})


async def test_the_queue_tells_depth_adds_waits_and_retries() -> None:
    """A key that is added twice waits once, also when it becomes more urgent."""
    registry, clock = CollectorRegistry(), Clock()
    queue = WorkQueue(clock, lambda: 0.0, watch=WorkMetrics(registry, clock))
    queue.add(A, Priority.RESYNC)
    queue.add(A, Priority.CHANGED)
    queue.add(B)
    clock.now = 5.0
    key = await queue.get()
    queue.add(key)
    queue.add_rate_limited(key)

    assert value(registry, "workqueue_depth") == 1
    assert value(registry, "workqueue_adds_total") == 2
    assert value(registry, "workqueue_queue_duration_seconds_sum") == 5
    assert value(registry, "workqueue_retries_total") == 1
    queue.done(key)
    assert value(registry, "workqueue_depth") == 2


class Gone(ObjectGone):
    """An object that is gone, without the words of the API server."""

    def __init__(self) -> None:
        Exception.__init__(self)


RESULTS: dict[str, tuple[float | Exception | None, str, float | None]] = {
    "nothing more is to be done": (None, "success", None),
    "it comes back": (3.0, "requeue_after", None),
    "it had changed meanwhile": (Gone(), "requeue", None),
    "it failed": (ZeroDivisionError(), "error", 1.0),
}


@pytest.mark.parametrize("name", RESULTS)
async def test_a_round_is_counted_by_its_result(name: str) -> None:
    """And timed, whatever becomes of it; nobody works on it afterwards."""
    outcome, result, errors = RESULTS[name]
    registry, clock = CollectorRegistry(), Clock()

    async def reconcile(_key: ObjectKey) -> float | None:
        clock.now += 2.0
        assert value(registry, "controller_runtime_active_workers") == 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    measured = WorkMetrics(registry, clock).measured(reconcile)
    if isinstance(outcome, Exception):
        with pytest.raises(type(outcome)):
            await measured(A)
    else:
        assert await measured(A) == outcome

    assert value(registry, "controller_runtime_reconcile_total", result=result) == 1
    assert value(registry, "controller_runtime_reconcile_errors_total") == errors
    assert value(registry, "controller_runtime_reconcile_time_seconds_sum") == 2
    assert value(registry, "controller_runtime_active_workers") == 0
