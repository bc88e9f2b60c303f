"""Waits for the operator to recover a lost run. Called by the sessions after a loss."""

import time
from collections.abc import Callable

from tinker_operator.trainer.errors import NoNextHandOver, SettingInvalid, TrainerError
from tinker_operator.trainer.handover import HandOver
from tinker_operator.trainer.sources import ENVIRONMENT, ConfigMapHandOver, HandOverSource, NoHandOver


def wait_for_next(
    source: HandOverSource,
    *,
    previous_attempt: int,
    timeout_seconds: float,
    poll_seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> HandOver:
    """Block until a hand-over of a later attempt names a checkpoint.

    A hand-over of the same attempt is passed over, whatever it names: while a run is well the operator may keep the
    newest checkpoint of that very run in it, and after a loss that is the one checkpoint nobody has proven good.

    Args:
        source: Where the hand-over appears.
        previous_attempt: The attempt that the lost run came from, `Resumed.attempt`.
        timeout_seconds: How long to wait.
        poll_seconds: Time between two looks.
        monotonic: Clock of the deadline, in seconds.
        sleep: Waits for that many seconds.

    Raises:
        NoNextHandOver: When the time is over; says what to look at.
        SettingInvalid: At once, when there is no place to look at.
        TrainerError: At once, when a look fails in a way that no waiting mends.
    """
    if isinstance(source, NoHandOver):
        raise SettingInvalid(
            "The run is lost, and no hand-over can come.",
            remedy=f"Set {ENVIRONMENT} to configmap://NAMESPACE/NAME or to the mounted file.",
        )
    deadline = monotonic() + timeout_seconds
    while True:
        seen = _look(source)
        if isinstance(seen, HandOver) and seen.attempt > previous_attempt and seen.checkpoint is not None:
            return seen
        if monotonic() >= deadline:
            raise _too_late(source, seen, previous_attempt, timeout_seconds)
        sleep(poll_seconds)


def _look(source: HandOverSource) -> HandOver | TrainerError | None:
    try:
        return source.read()
    except TrainerError as error:
        if not error.transient:
            raise
        return error


def _too_late(
    source: HandOverSource, seen: HandOver | TrainerError | None, previous_attempt: int, timeout_seconds: float
) -> NoNextHandOver:
    return NoNextHandOver(
        f"No recovery after attempt {previous_attempt} came within {timeout_seconds:g} s: {_state(source, seen)}.",
        remedy=f"Look at `{_command(source, seen)}`: its conditions say what the recovery waits for.",
    )


def _state(source: HandOverSource, seen: HandOver | TrainerError | None) -> str:
    match seen:
        case None:
            return f"there is nothing in {source}"
        case TrainerError():
            return seen.message.rstrip(".")
        case HandOver():
            return f"{source} is at attempt {seen.attempt} with checkpoint {seen.checkpoint}"


def _command(source: HandOverSource, seen: HandOver | TrainerError | None) -> str:
    if isinstance(seen, HandOver):
        return f"kubectl describe trainingrun {seen.training_run.name} -n {seen.training_run.namespace}"
    if isinstance(source, ConfigMapHandOver):
        return f"kubectl describe trainingrun {source.name.removesuffix('-handover')} -n {source.namespace}"
    return "kubectl describe trainingrun NAME"
