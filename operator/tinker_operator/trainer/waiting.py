"""Waits for a hand-over: at the start of a pod for that of its own attempt, after a loss for the next."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from tinker_operator.trainer.errors import HandOverLate, NoNextHandOver, SettingInvalid, Superseded, TrainerError
from tinker_operator.trainer.handover import HandOver
from tinker_operator.trainer.sources import ATTEMPT, ENVIRONMENT, ConfigMapHandOver, HandOverSource, NoHandOver
from tinker_operator.trainer.termination import sleep as sleep_unless_terminated

ARRIVAL_SECONDS: Final = 300.0
"""How long a pod waits for the hand-over of its attempt: the kubelet shows a change in a mount within two minutes."""


def attempt_from(environ: Mapping[str, str] = os.environ) -> int | None:
    """The attempt that the operator started this pod for, TINKER_OPERATOR_ATTEMPT; None where it started none.

    Raises:
        SettingInvalid: When it is no whole number.
    """
    text = environ.get(ATTEMPT, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise SettingInvalid(
            f"{ATTEMPT} is {text!r}, not a number.", remedy="Leave it to the operator, or unset it outside of its Jobs."
        )
    return int(text)


def current_hand_over(
    source: HandOverSource,
    *,
    attempt: int | None,
    timeout_seconds: float = ARRIVAL_SECONDS,
    poll_seconds: float = 1.0,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = sleep_unless_terminated,
) -> HandOver | None:
    """The hand-over that a loop starts from: that of its attempt and no other, or whatever there is.

    A mounted ConfigMap shows the document of the attempt before for up to two minutes. Whoever started from that would
    repeat an attempt that failed.

    Args:
        source: Where the hand-over appears.
        attempt: The attempt that this pod was started for, `attempt_from()`; None takes the document as it stands.
        timeout_seconds: How long to wait for it.
        poll_seconds: Time between two looks.
        monotonic: Clock of the deadline, in seconds.
        sleep: Waits for that many seconds.

    Raises:
        Superseded: When there is a later attempt already.
        HandOverLate: When the time is over.
        SettingInvalid: At once, when there is an attempt and no place to look at.
        TrainerError: At once, when a look fails in a way that no waiting mends.
    """
    if attempt is None:
        return source.read()
    _require_place(source, f"{ATTEMPT} is set, and there is no hand-over to go with it.")
    deadline = monotonic() + timeout_seconds
    while True:
        seen = _look(source)
        if isinstance(seen, HandOver) and seen.attempt > attempt:
            raise Superseded(seen)
        if isinstance(seen, HandOver) and seen.attempt == attempt:
            return seen
        if monotonic() >= deadline:
            raise HandOverLate(
                f"The hand-over of attempt {attempt} did not arrive within {timeout_seconds:g} s: "
                f"{_state(source, seen)}.",
                remedy=f"Mount the hand-over's ConfigMap as a directory, without subPath, and look at "
                f"`{_command(source, seen)}`.",
            )
        sleep(poll_seconds)


def wait_for_next(
    source: HandOverSource,
    *,
    previous_attempt: int,
    timeout_seconds: float,
    poll_seconds: float,
    unusable: str | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = sleep_unless_terminated,
) -> HandOver:
    """Block until a hand-over of a later attempt names a checkpoint.

    A hand-over of the same attempt is passed over, whatever it names: while a run is well the operator may keep the
    newest checkpoint of that very run in it, and after a loss that is the one checkpoint nobody has proven good.

    Args:
        source: Where the hand-over appears.
        previous_attempt: The attempt that the lost run came from, `Resumed.attempt`.
        timeout_seconds: How long to wait.
        poll_seconds: Time between two looks.
        unusable: Checkpoint of `previous_attempt` that could not be resumed from. With it another checkpoint of the
            same attempt ends the wait too: no run was lost, only that checkpoint.
        monotonic: Clock of the deadline, in seconds.
        sleep: Waits for that many seconds.

    Raises:
        NoNextHandOver: When the time is over; says what to look at.
        SettingInvalid: At once, when there is no place to look at.
        TrainerError: At once, when a look fails in a way that no waiting mends.
    """
    _require_place(source, "The run is lost, and no hand-over can come.")
    deadline = monotonic() + timeout_seconds
    while True:
        seen = _look(source)
        if isinstance(seen, HandOver) and _is_news(seen, previous_attempt, unusable):
            return seen
        if monotonic() >= deadline:
            raise _too_late(source, seen, previous_attempt, timeout_seconds)
        sleep(poll_seconds)


def _is_news(seen: HandOver, previous_attempt: int, unusable: str | None) -> bool:
    if seen.checkpoint is None:
        return False
    other = unusable is not None and seen.attempt == previous_attempt and seen.checkpoint != unusable
    return other or seen.attempt > previous_attempt


def _require_place(source: HandOverSource, problem: str) -> None:
    if isinstance(source, NoHandOver):
        raise SettingInvalid(problem, remedy=f"Set {ENVIRONMENT} to configmap://NAMESPACE/NAME or to the mounted file.")


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
