"""How TrainingRuns stand, as Prometheus scrapes it: made at the scrape from the objects that the store has.

The composition root registers the collector. Whoever charts sees what `kubectl get` shows: the state of a run is the
reason of its condition Ready.
"""

from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tinker_operator.controllers.tracked import all_tracked
from tinker_operator.engine.store import Store

_PREFIX: Final = "tinker_operator_training_run"


class RunCollector(Collector):
    """Makes the series at each scrape.

    Args:
        store: Which objects there are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yields every family; one without an object has no series."""
        runs = sorted(all_tracked(self._store), key=itemgetter(0))
        states = GaugeMetricFamily(
            f"{_PREFIX}s", "TrainingRuns by state, the reason of their condition Ready.", labels=("namespace", "state")
        )
        for (namespace, state), count in sorted(Counter((key.namespace, run.state) for key, run in runs).items()):
            states.add_metric([namespace, state], count)
        corrupted = GaugeMetricFamily(
            f"{_PREFIX}s_corrupted", "TrainingRuns whose run the service flags as corrupted.", labels=("namespace",)
        )
        lost = Counter({key.namespace: 0 for key, _ in runs})
        lost.update(key.namespace for key, run in runs if run.corrupted)
        for namespace, count in sorted(lost.items()):
            corrupted.add_metric([namespace], count)
        training = GaugeMetricFamily(
            f"{_PREFIX}_training",
            "Whether the TrainingRun is expected to save: it is not suspended, complete or being deleted.",
            labels=("namespace", "training_run"),
        )
        for key, run in runs:
            training.add_metric([key.namespace, key.name], float(run.training))
        return iter((states, corrupted, training))
