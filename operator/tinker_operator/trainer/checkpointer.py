"""Saves checkpoints that a recovery can judge: named by step, with the step and the metrics in their metadata.

Called by a training loop after each of its steps.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import tinker

from tinker_operator.trainer.errors import SettingInvalid
from tinker_operator.trainer.resume import STEP
from tinker_operator.trainer.schedule import Schedule, ScheduleInForce, Strategy
from tinker_operator.trainer.termination import Termination, check_terminated
from tinker_operator.trainer.turns import Turns

# What stays one segment of a path and one of a URL: the service builds both from the name as it is.
_NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")


class SavesState(Protocol):
    """The one call a checkpointer makes; `tinker.TrainingClient` has it."""

    def save_state(
        self,
        name: str,
        ttl_seconds: int | None = None,
        overwrite: bool = False,
        user_metadata: dict[str, str] | None = None,
    ) -> tinker.APIFuture[tinker.types.SaveWeightsResponse]:
        """Start to save weights and optimizer state; the future holds the path."""


@runtime_checkable
class SavesForSampling(Protocol):
    """What saves the weights to sample from that a schedule may ask for; `tinker.TrainingClient` has it."""

    def save_weights_for_sampler(
        self, name: str, ttl_seconds: int | None = None, user_metadata: dict[str, str] | None = None
    ) -> tinker.APIFuture[tinker.types.SaveWeightsForSamplerResponse]:
        """Start to save weights that can be sampled from; the future holds the path."""


class Checkpointer:
    """Saves one run's checkpoints, one at a time, each step at most once.

    A name needs to be unique only within its run, and a resumed run is a new run: names may repeat after a recovery.

    Args:
        training_client: Client of the run.
        every_steps: Steps from one checkpoint to the next, where no CheckpointPolicy says when to save.
        name: Name of a checkpoint; must hold `{step}`, with a format if wanted.
        ttl_seconds: How long the service keeps a checkpoint, from 3600 to ten years; None means for good. A policy may
            say otherwise.
        guard: Raises when the run must not be trained or saved any more, like `HandOverWatch.check`.
        save_on_sigterm: Whether the step at which SIGTERM is heeded is saved, due or not.
        schedule: The newest word of a CheckpointPolicy on when to save, like `HandOverWatch.schedule`; empty for none.
        history: What the checkpoints before say of themselves, `Resumed.saved`: what is best is better than those too.
        monotonic: Clock for the time between two saves, in seconds.

    Raises:
        SettingInvalid: When `every_steps` is below 1, or `name` does not give each step a name of its own.
    """

    def __init__(
        self,
        training_client: SavesState,
        *,
        every_steps: int,
        name: str = "step-{step:06d}",
        ttl_seconds: int | None = None,
        guard: Callable[[], object] = lambda: None,
        save_on_sigterm: bool = False,
        schedule: Callable[[], Mapping[str, Any]] = dict,
        history: Iterable[Mapping[str, str]] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if every_steps < 1:
            raise SettingInvalid(f"every_steps is {every_steps}.", remedy="Give a number of steps, 1 or more.")
        _require_distinct(name)
        self._client = training_client
        self._name = name
        self._ttl_seconds = ttl_seconds
        self._guard = guard
        self._save_on_sigterm = save_on_sigterm
        self._schedule = ScheduleInForce(Schedule(strategy=Strategy.STEPS, save_every=every_steps), schedule)
        self._turns = Turns(monotonic, history, patience=every_steps)
        self._newest: tuple[int, Mapping[str, float]] | None = None
        self._paths: dict[str, str] = {}
        self._one_at_a_time = threading.Lock()

    def step(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Tell that a step is done; saves when one is due, and returns when it is saved.

        Args:
            step: How many steps are done, counted over the whole training and not from the last resume.
            metrics: What the step measured, kept as text in the checkpoint's metadata.

        Returns:
            Path of the checkpoint, None when none was due.

        Raises:
            Superseded: When a later attempt goes on elsewhere; nothing was saved then.
            Terminated: When SIGTERM arrived, inside a `training_loop`; what was due is saved then.
        """
        return self._told(step, None, metrics)

    def epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> str | None:
        """Tell that an epoch is done; saves when one is due, as `step` does.

        A step that `step` saved already is not saved again: tell an epoch's own metrics here and not after `step`.

        Args:
            epoch: How many epochs are done, counted over the whole training.
            step: How many steps are done.
            metrics: What was measured, over the epoch or by its last step.

        Returns:
            Path of the checkpoint, None when none was due.

        Raises:
            Superseded: When a later attempt goes on elsewhere; nothing was saved then.
            Terminated: When SIGTERM arrived, inside a `training_loop`; what was due is saved then.
        """
        return self._told(step, epoch, metrics)

    def check(self) -> None:
        """Pass while the loop may go on; for use within a step that takes long.

        Raises:
            Superseded: When a later attempt goes on elsewhere.
            Terminated: When SIGTERM arrived, unless that step is saved at its end.
        """
        self._guard()
        if not (self._saves_the_last(self._schedule.now()) or self._turns.owed):
            check_terminated()

    def save_now(self, step: int, metrics: Mapping[str, float]) -> str:
        """Save whether or not one is due, for the end of a training. A step that was saved is not saved again.

        Args:
            step: How many steps are done.
            metrics: What the last step measured.

        Returns:
            Path of the checkpoint.

        Raises:
            Superseded: When a later attempt goes on elsewhere; nothing was saved then.
            SettingInvalid: When a metric is called `step`.
            tinker.TinkerError: When the service refuses; the next call tries anew.
        """
        self._guard()
        with self._one_at_a_time:
            self._newest = (step, dict(metrics))
            return self._saved(step, metrics)

    def close(self) -> str | None:
        """Tell that the training is over: saves the newest step where the schedule keeps a save for the end.

        That is strategy Last, and a save that was due and had to wait. A session calls it when its block ends well.

        Returns:
            Path of the checkpoint, None when there was none to make.

        Raises:
            Superseded: When a later attempt goes on elsewhere; nothing was saved then.
            tinker.TinkerError: When the service refuses; the next call tries anew.
        """
        with self._one_at_a_time:
            if self._newest is None or not self._keeps_one(self._schedule.now()):
                return None
            self._guard()
            return self._saved(*self._newest)

    def _told(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> str | None:
        self._guard()
        path = None
        with self._one_at_a_time:
            if step > 0 and self._is_due(step, epoch, metrics):
                path = self._saved(step, metrics)
        check_terminated()
        return path

    def _is_due(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> bool:
        schedule = self._schedule.now()
        self._newest = (step, dict(metrics))
        if self._name.format(step=step) in self._paths:
            return True
        due = self._turns.is_due(schedule, step=step, epoch=epoch, metrics=metrics)
        terminated = Termination.current is not None and Termination.current.requested
        return due or (terminated and (self._saves_the_last(schedule) or self._turns.owed))

    def _saves_the_last(self, schedule: Schedule) -> bool:
        return self._save_on_sigterm or schedule.strategy is Strategy.LAST

    def _keeps_one(self, schedule: Schedule) -> bool:
        return schedule.strategy is Strategy.LAST or self._turns.owed

    def _saved(self, step: int, metrics: Mapping[str, float]) -> str:
        name = self._name.format(step=step)
        metadata = _metadata(step, metrics)
        if name not in self._paths:
            schedule = self._schedule.now()
            ttl = self._ttl_seconds if schedule.ttl_seconds is None else schedule.ttl_seconds
            # With overwrite a save that is tried again is never a conflict, which the SDK would retry for five
            # minutes: it dedupes its own retries, but not the next call's after one that ended in doubt.
            future = self._client.save_state(name, ttl_seconds=ttl, overwrite=True, user_metadata=metadata)
            self._paths[name] = future.result().path
            self._turns.saved(metrics)
            # Once for each checkpoint, since this one cannot be overwritten. Its failure is the loop's to see.
            if schedule.save_sampler and isinstance(self._client, SavesForSampling):
                self._client.save_weights_for_sampler(name, ttl_seconds=ttl, user_metadata=metadata).result()
        return self._paths[name]


def _metadata(step: int, metrics: Mapping[str, float]) -> dict[str, str]:
    if STEP in metrics:
        raise SettingInvalid(f"A metric is called {STEP!r}.", remedy="Give it another name: the step is kept there.")
    return {STEP: str(step)} | {key: repr(float(value)) for key, value in metrics.items()}


def _require_distinct(name: str) -> None:
    try:
        first, second = name.format(step=1), name.format(step=2)
    except (LookupError, ValueError) as error:
        raise _bad_name(name, str(error)) from error
    if first == second:
        raise _bad_name(name, "every step would get the same name")
    if not _NAME.fullmatch(first):
        raise _bad_name(name, "letters, digits, dot, dash and underscore are what the service takes")


def _bad_name(name: str, why: str) -> SettingInvalid:
    return SettingInvalid(f"{name!r} is no name for checkpoints: {why}.", remedy='Use one like "step-{step:06d}".')
