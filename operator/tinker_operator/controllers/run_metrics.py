"""How TrainingRuns stand, as Prometheus scrapes it: made at the scrape from the objects that the store has.

The composition root registers the collector. Whoever charts sees what `kubectl get` shows: the state of a run is the
reason of its condition Ready.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import TrainerPhase
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.objects import training_runs
from tinker_operator.core.conditions import find_condition
from tinker_operator.engine.store import Store

_PREFIX: Final = "tinker_operator_training_run"
UNKNOWN: Final = "Unknown"
"""State of a run that has no condition yet."""


class RunCollector(Collector):
    """Makes the series at each scrape.

    Args:
        store: Which objects there are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yields every family; one without an object has no series."""
        runs = sorted(training_runs(self._store), key=lambda run: (run.metadata.namespace, run.metadata.name))
        states = GaugeMetricFamily(
            f"{_PREFIX}s", "TrainingRuns by state, the reason of their condition Ready.", labels=("namespace", "state")
        )
        for (namespace, state), count in sorted(Counter((it.metadata.namespace, state_of(it)) for it in runs).items()):
            states.add_metric([namespace, state], count)
        corrupted = GaugeMetricFamily(
            f"{_PREFIX}s_corrupted", "TrainingRuns whose run the service flags as corrupted.", labels=("namespace",)
        )
        lost = Counter({run.metadata.namespace: 0 for run in runs})
        lost.update(run.metadata.namespace for run in runs if _is_corrupted(run))
        for namespace, count in sorted(lost.items()):
            corrupted.add_metric([namespace], count)
        training = GaugeMetricFamily(
            f"{_PREFIX}_training",
            "Whether the TrainingRun is expected to save: it is not suspended, complete or being deleted.",
            labels=("namespace", "training_run"),
        )
        for run in runs:
            training.add_metric([run.metadata.namespace, run.metadata.name], float(is_training(run)))
        return iter((states, corrupted, training))


def state_of(run: TrainingRun) -> str:
    """Returns the state that the printer column shows."""
    ready = find_condition(run.status.conditions, ConditionType.READY)
    return str(ready.reason) if ready is not None else UNKNOWN


def is_training(run: TrainingRun) -> bool:
    """Whether somebody should be training: what is over, held by its user or on its way out saves nothing more."""
    trainer = run.status.trainer
    ended = state_of(run) == Reason.COMPLETED or (trainer is not None and trainer.phase is TrainerPhase.SUCCEEDED)
    return not (ended or run.spec.suspend or run.metadata.deletion_timestamp is not None)


def _is_corrupted(run: TrainingRun) -> bool:
    found = find_condition(run.status.conditions, ConditionType.CORRUPTED)
    return found is not None and found.status is ConditionStatus.TRUE
