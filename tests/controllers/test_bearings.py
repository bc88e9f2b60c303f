"""Every line of the log that comes from a round says of which object and which run it is, whoever writes it."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tinker_operator.cli.logs import configure_logs
from tinker_operator.controllers.bearings import with_bearings
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Store
from tinker_operator.engine.workers import Reconcile, WorkerPool
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.pure

SFT, NEW = (ObjectKey(TRAINING_RUNS.kind, "lab", name) for name in ("sft", "new"))
KEEP = ObjectKey(CHECKPOINT_POLICIES.kind, "lab", "keep")


def obj(key: ObjectKey, version: int, **status: Any) -> KubeObject:
    metadata = {"namespace": key.namespace, "name": key.name, "uid": key.name, "resourceVersion": str(version)}
    return {"metadata": metadata, "status": status}


@pytest.fixture
def store() -> Store:
    store = Store()
    store.apply(SFT.kind, obj(SFT, 1, trainingRunId="r:train:0", recovery={"attempt": 2}))
    store.apply(NEW.kind, obj(NEW, 1))
    store.apply(KEEP.kind, obj(KEEP, 1))
    return store


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs(stream, json=True)
    yield stream
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


async def worked(reconcile: Reconcile, store: Store, *keys: ObjectKey) -> None:
    """Lets one worker work on keys one after the other."""
    queue, seen = WorkQueue(lambda: 0.0), asyncio.Event()
    left = set(keys)

    async def counted(key: ObjectKey) -> float | None:
        left.discard(key)
        if not left:
            seen.set()
        return await reconcile(key)

    async def refresh(_key: ObjectKey) -> None:
        """Nothing has changed."""

    pool = WorkerPool(queue, with_bearings(counted, store), refresh=refresh, count=1)
    for key in keys:
        queue.add(key)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        working = group.create_task(pool.run())
        await seen.wait()
        await pool.drain(1)
        working.cancel()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_lines_of_a_round_say_of_whom_they_are(store: Store, log: io.StringIO) -> None:
    """Our own and a library's, and the line that tells that the round failed."""

    async def reconcile(key: ObjectKey) -> float | None:
        structlog.get_logger("ours").info("a_step")
        logging.getLogger("library").warning("something")
        raise RuntimeError(key.name)

    await worked(reconcile, store, SFT, NEW, KEEP)

    told = [
        (line["event"], line["namespace"], line["name"], line.get("run", "-"), line.get("attempt", "-"))
        for line in lines(log)
    ]
    events = ("a_step", "something", "reconcile_failed")
    assert told == [
        *((event, "lab", "sft", "r:train:0", 2) for event in events),
        *((event, "lab", "new", None, 0) for event in events),
        *((event, "lab", "keep", "-", "-") for event in events),
    ]


async def test_a_line_after_the_status_was_written_knows_the_new_run(store: Store, log: io.StringIO) -> None:
    async def reconcile(key: ObjectKey) -> float | None:
        store.apply(key.kind, obj(key, 2, trainingRunId="r:train:1", recovery={"attempt": 3}))
        raise RuntimeError

    await worked(reconcile, store, SFT)
    (line,) = lines(log)
    assert (line["run"], line["attempt"]) == ("r:train:1", 3)


async def test_what_a_line_says_itself_stands(store: Store, log: io.StringIO) -> None:
    """A line about the run that was lost names that one."""

    async def reconcile(_key: ObjectKey) -> float | None:
        structlog.get_logger("ours").info("recovery_detected", run="lost:train:0")
        return None

    await worked(reconcile, store, SFT)
    assert [line["run"] for line in lines(log)] == ["lost:train:0"]


async def test_an_object_that_is_gone_has_no_run(log: io.StringIO) -> None:
    async def reconcile(_key: ObjectKey) -> float | None:
        structlog.get_logger("ours").info("gone")
        return None

    await worked(reconcile, Store(), SFT)
    assert [(line["name"], line["run"]) for line in lines(log)] == [("sft", None)]
