"""What an operator asks before it can begin: the API server may be away, slow, or not grant everything.

The composition root waits here, and gives up as soon as it is asked to stop.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from tinker_operator.controllers.jobs import TRAINER_JOBS
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import Access, KubeError, KubeUnavailable

RESOURCES = (TRAINING_RUNS, CHECKPOINT_POLICIES)
WATCHING = ("list", "watch")
"""The verbs that a watch needs."""
START_RETRY_SECONDS = 2.0
"""Pause between two questions to an API server that does not answer at the start."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


async def watched_resources(api: KubeApi, namespaces: tuple[str, ...]) -> tuple[Resource, ...]:
    """Returns what to watch: the project's two kinds, and trainer Jobs if the operator may watch those.

    Without that right nothing but mode Relaunch is missing, and its objects say so themselves. A watch that is
    refused would keep the operator from ever being ready, and fill its log.

    Raises:
        KubeUnavailable: The API server does not answer.
    """
    missing = await _missing_right(api, namespaces)
    if missing is None:
        return (*RESOURCES, TRAINER_JOBS)
    told = f"Mode Relaunch is late to notice how its Jobs fare. {missing} Restart the operator after that."
    log.info("trainer_jobs_not_watched", message=told)
    return RESOURCES


async def _missing_right(api: KubeApi, namespaces: tuple[str, ...]) -> str | None:
    """Returns what to do about a right that the watch of Jobs needs and that is missing; None when none is."""
    group, plural = TRAINER_JOBS.group, TRAINER_JOBS.plural
    try:
        for access in (Access(verb, group, plural, where) for where in namespaces or (None,) for verb in WATCHING):
            if not await api.may(access):
                return access.grant(access.verb)
    except KubeUnavailable:
        raise
    except KubeError as error:
        return str(error)
    return None


async def when_answered(ask: Callable[[], Coroutine[Any, Any, T]], stop: asyncio.Event) -> T | None:
    """Returns the answer as soon as the API server gives it; None when asked to stop first."""
    while not stop.is_set():
        try:
            return await unless_stopped(ask(), stop)
        except KubeUnavailable as error:
            log.warning("api_server_unavailable", message=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), START_RETRY_SECONDS)
    return None


async def unless_stopped(question: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """Returns the answer; None, with the question withdrawn, when asked to stop first: some servers never answer."""
    asking, stopping = asyncio.create_task(question), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    finally:
        asking.cancel()
        stopping.cancel()
        await asyncio.gather(asking, stopping, return_exceptions=True)
