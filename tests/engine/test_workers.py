"""What the workers make of each way in which a reconciliation can end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kube_errors import KubeUnavailable, ObjectGone, WriteConflict
from tinker_operator.engine.workers import PutOff, WorkerPool
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.pure

A, B = ObjectKey("Widget", "default", "a"), ObjectKey("Widget", "default", "b")
SECRET = "tml-very-secret"
Clock = Callable[[], float]
Outcome = BaseException | float | None


class Scripted:
    """A reconcile function that ends as the script says, then well; and a refresh that notes when it was called."""

    def __init__(self, clock: Clock, *outcomes: Outcome, refresh_fails: int = 0) -> None:
        self._clock, self._outcomes = clock, list(outcomes)
        self._refresh_fails = refresh_fails
        self.called_at: list[float] = []
        self.refreshed = 0

    async def reconcile(self, key: ObjectKey) -> float | None:
        assert key == A
        self.called_at.append(round(self._clock(), 3))
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def refresh(self, key: ObjectKey) -> None:
        assert key == A
        self.refreshed += 1
        if self.refreshed <= self._refresh_fails:
            raise unavailable()


def conflict() -> WriteConflict:
    return WriteConflict("It changed.", "Read it again.")


def unavailable(retry_after: float = 0.0) -> KubeUnavailable:
    return KubeUnavailable("Not now.", "Try later.", retry_after=retry_after)


def play(run_jumping: Any, *outcomes: Outcome, refresh_fails: int = 0) -> tuple[Scripted, list[Any]]:
    """One key, added at time 0, for a day."""

    async def main(clock: Clock) -> Scripted:
        script = Scripted(clock, *outcomes, refresh_fails=refresh_fails)
        queue = WorkQueue(clock, lambda: 0.0)
        pool = WorkerPool(queue, script.reconcile, refresh=script.refresh, count=2)
        queue.add(A)
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(86_400)
        running.cancel()
        assert (len(queue), queue.in_work, queue.later) == (0, 0, 0)
        return script

    with capture_logs() as logs:
        script: Scripted = run_jumping(main)
    return script, logs


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param([None], [0], id="an object that is as it should be is left alone"),
        pytest.param([30.0], [0, 30], id="an object is looked at again when it asked to be"),
        pytest.param([KeyError("x")] * 3, [0, 1, 3, 7], id="failures are retried ever later"),
        pytest.param(
            [KeyError("x"), KeyError("x"), 5.0, KeyError("x")],
            [0, 1, 3, 8, 9],
            id="a success ends the series of failures",
        ),
        pytest.param([unavailable(17)], [0, 17], id="the API server is given the time that it asks for"),
        pytest.param([PutOff("Not now.", retry_after=17)], [0, 17], id="a round that knows when to come back does"),
        pytest.param([PutOff("Not now.")] * 2, [0, 1, 3], id="a round that does not know backs off"),
        pytest.param([conflict()], [0, 0], id="a conflict is tried again at once"),
        pytest.param([conflict(), KeyError("x")], [0, 0, 1], id="a conflict is no failure"),
        pytest.param([conflict()] * 5, [0, 0, 0, 0, 1, 3], id="conflicts without an end are failures"),
        pytest.param(
            [*[conflict()] * 3, 5.0, *[conflict()] * 3],
            [0, 0, 0, 0, 5, 5, 5, 5],
            id="a success ends the series of conflicts",
        ),
        pytest.param([ObjectGone("Gone.", "Nothing.")], [0, 1], id="an object that is gone is looked at again later"),
    ],
)
def test_an_object_comes_back_when_its_outcome_says(
    run_jumping: Any, outcomes: list[Outcome], expected: list[float]
) -> None:
    script, _ = play(run_jumping, *outcomes)

    assert script.called_at == expected


def test_a_stale_object_is_read_anew_before_it_is_tried_again(run_jumping: Any) -> None:
    script, _ = play(run_jumping, conflict(), ObjectGone("Gone.", "Nothing."))

    assert script.refreshed == 2


def test_an_object_that_cannot_be_read_anew_has_failed(run_jumping: Any) -> None:
    script, _ = play(run_jumping, conflict(), refresh_fails=1)

    assert script.called_at == [0, 1]


def test_a_failure_is_logged_without_what_it_stumbled_over(run_jumping: Any) -> None:
    """A foreign exception may quote a header or a Secret: the log tells its kind and its place only."""
    _, logs = play(run_jumping, ValueError(f"bad header: {SECRET}"))

    (line,) = [line for line in logs if line["event"] == "reconcile_failed"]
    assert SECRET not in str(line)
    assert (line["kind"], line["namespace"], line["name"], line["error"]) == ("Widget", "default", "a", "ValueError")
    assert "reconcile" in line["at"]


def test_an_error_of_ours_is_logged_with_its_remedy(run_jumping: Any) -> None:
    _, logs = play(run_jumping, unavailable())

    assert [line["message"] for line in logs if line["event"] == "reconcile_failed"] == ["Not now. Try later."]


def pool_of(
    clock: Clock, reconcile: Callable[[ObjectKey], Awaitable[None]], **settings: Any
) -> tuple[WorkQueue, WorkerPool]:
    async def refresh(key: ObjectKey) -> None:
        raise AssertionError(key)

    queue = WorkQueue(clock, lambda: 0.0)
    return queue, WorkerPool(queue, reconcile, refresh=refresh, **settings)


def test_a_reconciliation_that_hangs_is_cancelled_and_the_others_go_on(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        ended: list[tuple[str, float]] = []

        async def reconcile(key: ObjectKey) -> None:
            if key == A:
                await asyncio.Event().wait()
            ended.append((key.name, clock()))

        queue, pool = pool_of(clock, reconcile, count=1, deadline_seconds=60)
        queue.add(A)
        queue.add(B)
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(60.5)
        running.cancel()

        assert [name for name, _ in ended] == ["b"]
        assert ended[0][1] == pytest.approx(60)

    run_jumping(main)


def test_draining_lets_work_finish_and_takes_no_more(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        finished: list[str] = []

        async def reconcile(key: ObjectKey) -> None:
            await asyncio.sleep(3)
            finished.append(key.name)

        queue, pool = pool_of(clock, reconcile, count=1)
        queue.add(A)
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(1)
        queue.add(B)
        await pool.drain(10)
        await running

        assert (finished, clock(), len(queue)) == (["a"], 3, 1)

    run_jumping(main)


def test_draining_ends_though_work_hangs(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        async def reconcile(key: ObjectKey) -> None:
            await asyncio.sleep(200 if key == A else 0)

        queue, pool = pool_of(clock, reconcile, count=2)
        queue.add(A)
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(1)
        await pool.drain(4)
        running.cancel()

        assert clock() == 5

    run_jumping(main)


def test_no_more_objects_are_in_work_than_there_are_workers(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        most = 0

        async def reconcile(_: ObjectKey) -> None:
            nonlocal most
            most = max(most, queue.in_work)
            await asyncio.sleep(1)

        queue, pool = pool_of(clock, reconcile, count=3)
        for number in range(10):
            queue.add(ObjectKey("Widget", "default", str(number)))
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(60)
        running.cancel()

        assert (most, len(queue)) == (3, 0)

    run_jumping(main)


@pytest.mark.parametrize(
    ("wanted", "chance", "expected"),
    [
        pytest.param(5.0, 1.0, 5.0, id="a step that goes on is not shifted"),
        pytest.param(3600.0, 0.0, 3600.0, id="an hour, at the latest"),
        pytest.param(3600.0, 1.0, 3240.0, id="an hour, a tenth earlier"),
    ],
)
def test_long_waits_are_spread(run_jumping: Any, wanted: float, chance: float, expected: float) -> None:
    """What began at once does not come back at once."""

    async def main(clock: Clock) -> list[float]:
        script = Scripted(clock, wanted)
        queue = WorkQueue(clock, lambda: 0.0)
        pool = WorkerPool(queue, script.reconcile, refresh=script.refresh, count=2, rng=lambda: chance)
        queue.add(A)
        running = asyncio.create_task(pool.run())
        await asyncio.sleep(86_400)
        running.cancel()
        return script.called_at

    assert run_jumping(main) == [0.0, expected]
