"""Asks a service which calls it has without being able to change anything; used once per connection, on demand.

Lists are read, one row each. A run that was just listed is there, so a 404 for it is about the call. For calls that
change something OPTIONS is sent, which HTTP defines as safe and no handler of the API serves: a framework answers 405
and names the methods of a path that it has, and 404 for one that it has not. Not every server does, so the same is
first asked of a list that is known to be there; only a service that answers 405 for that one is believed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.dialects.capabilities import Support
from tinker_operator.tinker.dialects.learning import LearningTransport
from tinker_operator.tinker.errors import RouteMissing, StatusError, TinkerError, Unauthorized, UntrustedAnswer
from tinker_operator.tinker.models import TrainingRun, TrainingRunPage

_NOBODY: Final = "training_runs/capability-probe/checkpoints/weights/capability-probe"
_CHANGING: Final = (
    ("delete", "DELETE", _NOBODY),
    ("publish", "POST", f"{_NOBODY}/publish"),
    ("ttl", "PUT", f"{_NOBODY}/ttl"),
    ("archive", "GET", f"{_NOBODY}/archive"),
)
_LISTS: Final = (
    ("list_user_checkpoints", calls.user_checkpoints(0, 1)),
    ("sessions", calls.sessions(0, 1, "owned")),
    ("client_config", calls.client_config()),
)
_SILENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


async def probe(transport: LearningTransport) -> bool:
    """Ask; what the answers prove is in `transport.known` afterwards. Gives whether none of them was mere trouble.

    Raises:
        NoAnswer: The service could not be reached; what was learned until then stands.
    """
    troubles: list[TinkerError] = []
    runs: tuple[TrainingRun, ...] = ()
    with _collecting(troubles):
        runs = (await transport.ask(calls.training_runs(0, 1), TrainingRunPage)).training_runs
    for _, call in _LISTS:
        with _collecting(troubles):
            await transport.send(call)
    for run in runs[:1]:
        await _probe_run(transport, run.training_run_id, troubles)
    if not troubles and await _answers_options(transport):
        for name, method, path in _CHANGING:
            transport.known.learn(name, await _option(transport, method, path))
    return not troubles


@contextmanager
def _collecting(troubles: list[TinkerError]) -> Iterator[None]:
    """Let refusals pass; those that say nothing of the call are collected."""
    try:
        yield
    except (StatusError, UntrustedAnswer) as error:
        if error.transient or isinstance(error, Unauthorized):
            troubles.append(error)


async def _probe_run(transport: LearningTransport, run_id: str, troubles: list[TinkerError]) -> None:
    for name, call in (("get_run", calls.training_run(run_id)), ("list_checkpoints", calls.checkpoints(run_id, 0))):
        with _collecting(troubles):
            try:
                await transport.send(call)
            except RouteMissing:
                transport.known.learn(name, Support.MISSING)


async def _answers_options(transport: LearningTransport) -> bool:
    lists = {"list_runs": "training_runs", "list_user_checkpoints": "checkpoints", "sessions": "sessions"}
    there = next((path for name, path in lists.items() if transport.known.of(name) is Support.SUPPORTED), None)
    return there is not None and await _option(transport, "GET", there) is Support.SUPPORTED


async def _option(transport: LearningTransport, method: str, path: str) -> Support:
    """Say what OPTIONS on a path proves about one method there."""
    try:
        answer = await transport.send(Call("OPTIONS", path, answers=_SILENT))
    except (StatusError, UntrustedAnswer):
        return Support.UNKNOWN
    if answer.status == HTTPStatus.NOT_FOUND:
        return Support.MISSING
    allowed = {word.strip().upper() for word in answer.headers.get("allow", "").split(",")}
    named = answer.status == HTTPStatus.METHOD_NOT_ALLOWED and method in allowed
    return Support.SUPPORTED if named else Support.UNKNOWN
