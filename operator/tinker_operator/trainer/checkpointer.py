"""Saves checkpoints that a recovery can judge: named by step, with the step and the metrics in their metadata.

Called by a training loop after each of its steps.
"""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import tinker

from tinker_operator.trainer.errors import SettingInvalid
from tinker_operator.trainer.resume import STEP
from tinker_operator.trainer.termination import Termination, check_terminated

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


class Checkpointer:
    """Saves one run's checkpoints, one at a time, each step at most once.

    A name needs to be unique only within its run, and a resumed run is a new run: names may repeat after a recovery.

    Args:
        training_client: Client of the run.
        every_steps: Steps from one checkpoint to the next.
        name: Name of a checkpoint; must hold `{step}`, with a format if wanted.
        ttl_seconds: How long the service keeps a checkpoint, from 3600 to ten years; None means for good.
        guard: Raises when the run must not be trained or saved any more, like `HandOverWatch.check`.
        save_on_sigterm: Whether the step at which SIGTERM is heeded is saved, due or not.

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
    ) -> None:
        if every_steps < 1:
            raise SettingInvalid(f"every_steps is {every_steps}.", remedy="Give a number of steps, 1 or more.")
        _require_distinct(name)
        self._client = training_client
        self._every_steps = every_steps
        self._name = name
        self._ttl_seconds = ttl_seconds
        self._guard = guard
        self._save_on_sigterm = save_on_sigterm
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
        self._guard()
        path = self.save_now(step, metrics) if step > 0 and self._is_due(step) else None
        check_terminated()
        return path

    def check(self) -> None:
        """Pass while the loop may go on; for use within a step that takes long.

        Raises:
            Superseded: When a later attempt goes on elsewhere.
            Terminated: When SIGTERM arrived, unless `save_on_sigterm` leaves that to the end of the step.
        """
        self._guard()
        if not self._save_on_sigterm:
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
        name = self._name.format(step=step)
        metadata = _metadata(step, metrics)
        with self._one_at_a_time:
            if name not in self._paths:
                self._paths[name] = self._save(name, metadata)
            return self._paths[name]

    def _is_due(self, step: int) -> bool:
        last = self._save_on_sigterm and Termination.current is not None and Termination.current.requested
        return last or step % self._every_steps == 0

    def _save(self, name: str, metadata: dict[str, str]) -> str:
        # With overwrite a save that is tried again is never a conflict, which the SDK would retry for five minutes: it
        # dedupes its own retries, but not the next call's after one that ended in doubt.
        future = self._client.save_state(name, ttl_seconds=self._ttl_seconds, overwrite=True, user_metadata=metadata)
        return future.result().path


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
