"""Whose turn it is: whether a step is to be saved, by the schedule, by the time and by what was saved before.

The checkpointer's memory between two steps. It saves nothing itself and takes no lock: its owner does both.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Final

from tinker_operator.trainer.schedule import BestMode, Schedule, ScheduleMetric, Strategy

_LOG: Final = logging.getLogger(__name__)
PATIENCE_LIMIT: Final = 10
"""So many times its own distance a loop trains by a schedule that it tells nothing of, before its own pace counts."""


class Extremes:
    """The lowest and the highest that any saved checkpoint said of each metric; what is not finite never counts.

    Args:
        history: What the checkpoints before say of themselves.
    """

    def __init__(self, history: Iterable[Mapping[str, str]] = ()) -> None:
        self._lowest: dict[str, float] = {}
        self._highest: dict[str, float] = {}
        for metadata in history:
            for name, text in metadata.items():
                with suppress(ValueError):
                    self._note(name, float(text))

    def saved(self, metrics: Mapping[str, float]) -> None:
        """Take note of a checkpoint."""
        for name, value in metrics.items():
            self._note(name, float(value))

    def are_passed(self, metric: ScheduleMetric, metrics: Mapping[str, float]) -> bool:
        """Whether this is strictly better than every checkpoint that was saved."""
        value = float(metrics.get(metric.name, float("nan")))
        known = (self._lowest if metric.mode is BestMode.MIN else self._highest).get(metric.name)
        if not isfinite(value) or known is None:
            return isfinite(value)
        return value < known if metric.mode is BestMode.MIN else value > known

    def _note(self, name: str, value: float) -> None:
        if isfinite(value):
            self._lowest[name] = min(value, self._lowest.get(name, value))
            self._highest[name] = max(value, self._highest.get(name, value))


class Turns:
    """Tells which steps are to be saved.

    Args:
        monotonic: Clock, in seconds.
        history: What the checkpoints before say of themselves: a state is best only against those too.
        patience: Steps without the epoch or the metric that the schedule goes by, until that is logged.
    """

    def __init__(self, monotonic: Callable[[], float], history: Iterable[Mapping[str, str]], patience: int) -> None:
        self._monotonic = monotonic
        self._extremes = Extremes(history)
        self._patience = patience
        self._schedule: Schedule | None = None
        self._saved_at: float | None = None
        self._deaf_for = 0
        self.owed = False
        """Whether a save was due and had to wait for the shortest interval."""

    def is_due(self, schedule: Schedule, *, step: int, epoch: int | None, metrics: Mapping[str, float]) -> bool:
        """Whether to save now.

        A periodic save that is due too early is owed, and made at the first step after the interval. The state that
        was best then is gone by that time, so an improvement is not owed: what is better than all that was saved
        comes again, or is no longer there to be saved.

        A loop that has long not told what the schedule goes by saves at its own pace, or it would save no more at all.

        Args:
            schedule: The schedule that holds.
            step: Steps that are done.
            epoch: Epochs that are done, where one just ended; None within an epoch.
            metrics: What was measured.
        """
        if schedule != self._schedule:
            self._schedule, self._deaf_for = schedule, 0
            self.owed = self.owed and schedule.strategy not in {Strategy.BEST, Strategy.LAST}
        self._listen(schedule, epoch, metrics)
        lost = self._deaf_for >= PATIENCE_LIMIT * self._patience
        unheard = lost and step % self._patience == 0
        regular = self.owed or unheard or _is_regular(schedule, step, epoch)
        if self._saved_at is not None and self._monotonic() - self._saved_at < schedule.min_interval_seconds:
            self.owed = regular
            return False
        wants_best = schedule.save_best or schedule.strategy is Strategy.BEST
        best = wants_best and schedule.metric is not None and self._extremes.are_passed(schedule.metric, metrics)
        return regular or best

    def saved(self, metrics: Mapping[str, float]) -> None:
        """Take note that a checkpoint was saved now."""
        self._saved_at = self._monotonic()
        self.owed = False
        self._extremes.saved(metrics)

    def _listen(self, schedule: Schedule, epoch: int | None, metrics: Mapping[str, float]) -> None:
        """A loop that never tells what the schedule goes by would train without a checkpoint and without a word."""
        missing = ""
        if schedule.strategy is Strategy.EPOCH and epoch is None:
            missing = "ends of epochs: call checkpointer.epoch_end() at each"
        elif schedule.strategy is Strategy.BEST and schedule.metric and schedule.metric.name not in metrics:
            missing = f"the metric {schedule.metric.name!r}: pass it to checkpointer.step()"
        if not missing:
            self._deaf_for = -1
        elif self._deaf_for >= 0:
            self._deaf_for += 1
            if self._deaf_for == self._patience:
                _LOG.warning("The schedule saves by what this loop has not told yet, %s.", missing)


def _is_regular(schedule: Schedule, step: int, epoch: int | None) -> bool:
    match schedule.strategy:
        case Strategy.STEPS:
            return step % schedule.save_every == 0
        case Strategy.EPOCH:
            return epoch is not None and epoch > 0 and epoch % schedule.save_every == 0
        case Strategy.ALL:
            return True
        case Strategy.BEST | Strategy.LAST:
            return False
