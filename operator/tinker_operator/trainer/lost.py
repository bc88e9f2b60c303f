"""How a training loop knows that its run is gone.

The SDK has no exception for a corrupted run: a call on it fails like a bad request, like a failed future or like a
server fault, whichever part of the service noticed first. Only the run's own `corrupted` flag tells, so an error that
could mean it leads to one question to the REST API. Called by the sessions, and by loops that handle errors themselves.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

import tinker

from tinker_operator.trainer.termination import sleep as sleep_unless_terminated

_SUSPECT_STATUS: Final = frozenset({400, 404, 410, 422})
_SERVER_FAULT: Final = 500


def may_mean_lost(error: BaseException) -> bool:
    """Whether it is worth asking after the run when a training call ended with this error.

    Failed futures, refused requests and server faults are suspects, also where the SDK wrapped them: an HTTP error met
    while polling a future arrives as a ValueError, a call after a failed one as a RuntimeError, each with its cause.
    Wrong credentials, billing, rate limits, conflicts and a network that is away never say anything about a run.
    """
    return any(_is_suspect(link) for link in _causes(error))


def is_run_lost(
    error: BaseException,
    *,
    training_run_id: str,
    rest_client: tinker.RestClient,
    confirm_seconds: float = 5.0,
    poll_seconds: float = 0.5,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = sleep_unless_terminated,
) -> bool:
    """Whether the run behind a failed training call is corrupted, by the service's own word.

    Args:
        error: What the call raised.
        training_run_id: The run that was trained.
        rest_client: Asked for the run; uses no session.
        confirm_seconds: How long to go on asking: a call can fail a moment before the flag is up.
        poll_seconds: Time between two questions.
        monotonic: Clock of the deadline, in seconds.
        sleep: Waits for that many seconds.

    Returns:
        True only when the service answered that the run is corrupted. False when it answered that it is not, or did
        not answer: then the error is what it is, and silence proves nothing.
    """
    if not may_mean_lost(error):
        return False
    deadline = monotonic() + confirm_seconds
    while not _is_corrupted(training_run_id, rest_client, timeout_seconds=max(deadline - monotonic(), poll_seconds)):
        if monotonic() >= deadline:
            return False
        sleep(poll_seconds)
    return True


def _is_corrupted(training_run_id: str, rest_client: tinker.RestClient, *, timeout_seconds: float) -> bool:
    try:
        return rest_client.get_training_run(training_run_id).result(timeout=timeout_seconds).corrupted
    except (tinker.TinkerError, TimeoutError):
        return False


def _is_suspect(error: BaseException) -> bool:
    if isinstance(error, tinker.APIStatusError):
        return error.status_code in _SUSPECT_STATUS or error.status_code >= _SERVER_FAULT
    return isinstance(error, tinker.RequestFailedError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__
