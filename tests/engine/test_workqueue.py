"""The laws of the work queue, under a clock that jumps."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinker_operator.engine.backoff import Backoff
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.workqueue import Priority, WorkQueue

pytestmark = pytest.mark.pure

A, B, C = (ObjectKey("Widget", "default", name) for name in "abc")
KEYS = st.sampled_from([ObjectKey("Widget", namespace, name) for namespace in ("n", "m") for name in "abc"])
SECONDS = st.floats(min_value=0, max_value=100, allow_nan=False)
PRIORITIES = st.sampled_from(Priority)
CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)


def no_chance() -> float:
    return 0.0


async def drained(queue: WorkQueue) -> list[ObjectKey]:
    """Take and finish everything that waits now."""
    taken = []
    while queue:
        key = await queue.get()
        taken.append(key)
        queue.done(key)
    return taken


@given(
    additions=st.lists(st.tuples(SECONDS, KEYS, PRIORITIES), min_size=1, max_size=30),
    holds=st.lists(SECONDS, min_size=1, max_size=10),
    workers=st.integers(min_value=1, max_value=4),
)
def test_a_key_is_in_one_hand_at_a_time_and_every_addition_is_answered_later(
    run_jumping: Any, additions: list[tuple[float, ObjectKey, Priority]], holds: list[float], workers: int
) -> None:
    """However they interleave, hand-outs of a key never overlap, and one begins after each addition."""

    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        begun: dict[ObjectKey, list[float]] = defaultdict(list)
        added: list[tuple[float, ObjectKey]] = []
        in_hand: set[ObjectKey] = set()
        turns = iter(range(10**6))

        async def work() -> None:
            while True:
                key = await queue.get()
                assert key not in in_hand
                in_hand.add(key)
                begun[key].append(clock())
                await asyncio.sleep(holds[next(turns) % len(holds)])
                in_hand.remove(key)
                queue.done(key)

        def add(key: ObjectKey, priority: Priority) -> None:
            added.append((clock(), key))
            queue.add(key, priority)

        loop = asyncio.get_running_loop()
        for at, key, priority in additions:
            loop.call_at(at, add, key, priority)
        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        await asyncio.sleep(100 * (len(additions) + 2))
        for task in tasks:
            task.cancel()

        assert all(begun[key][-1] >= at for at, key in added)
        assert (len(queue), queue.in_work, queue.later) == (0, 0, 0)

    run_jumping(main)


@given(times=st.lists(st.floats(min_value=0.001, max_value=100), min_size=1, max_size=10))
def test_of_several_times_the_earliest_counts_and_the_key_comes_once(run_jumping: Any, times: list[float]) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        for seconds in times:
            queue.add_after(A, seconds)
        key = await queue.get()
        came_at = clock()
        queue.done(key)
        await asyncio.sleep(200)

        assert came_at == pytest.approx(min(times))
        assert (len(queue), queue.later) == (0, 0)

    run_jumping(main)


@given(additions=st.lists(st.tuples(KEYS, PRIORITIES), max_size=40))
def test_the_more_urgent_come_first_and_the_most_urgent_addition_of_a_key_counts(
    run_jumping: Any, additions: list[tuple[ObjectKey, Priority]]
) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        urgency: dict[ObjectKey, Priority] = {}
        for key, priority in additions:
            queue.add(key, priority)
            urgency[key] = min(priority, urgency.get(key, priority))
        order = await drained(queue)

        assert sorted(order) == sorted(urgency)
        assert [urgency[key] for key in order] == sorted(urgency.values())

    run_jumping(main)


def test_within_a_priority_a_namespace_is_served_in_order_and_namespaces_take_turns(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        crowd = [ObjectKey("Widget", "crowded", str(number)) for number in range(4)]
        lone = ObjectKey("Widget", "quiet", "one")
        for key in (*crowd, lone):
            queue.add(key)

        assert await drained(queue) == [crowd[0], lone, *crowd[1:]]

    run_jumping(main)


def test_a_key_added_while_in_work_comes_back_once_and_not_before_it_is_done(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        queue.add(A)
        key = await queue.get()
        queue.add(A, Priority.RESYNC)
        queue.add(A, Priority.REMOTE)

        assert len(queue) == 0
        queue.add(B, Priority.POLL)
        queue.done(key)
        assert await drained(queue) == [A, B]

    run_jumping(main)


def test_a_worker_that_is_cancelled_while_it_waits_takes_nothing_with_it(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        first, second = (asyncio.create_task(queue.get()) for _ in range(2))
        await asyncio.sleep(0)
        queue.add(A)
        first.cancel()

        assert await second == A
        assert first.cancelled()

    run_jumping(main)


def test_giving_back_what_was_not_taken_is_refused(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        queue.add(A)

        with pytest.raises(ValueError, match="not in work"):
            queue.done(A)

    run_jumping(main)


@given(chances=st.lists(CHANCES, min_size=12, max_size=12))
def test_waits_grow_to_the_cap_and_never_beyond_whatever_chance_says(chances: list[float]) -> None:
    backoff = Backoff(base_seconds=1, cap_seconds=60, spread=0.2)
    waits = [backoff.seconds(failures, chance) for failures, chance in enumerate(chances, start=1)]

    assert all(earlier < later for earlier, later in itertools.pairwise(waits[:6]))
    assert all(0.8 * 60 <= wait <= 60 for wait in waits[6:])
    assert backoff.seconds(10_000, 0.0) == 60


@given(failures=st.integers(min_value=1, max_value=12))
def test_a_success_makes_the_next_failure_the_first_again(run_jumping: Any, failures: int) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        waits = []
        for _ in range(failures):
            waits.append(queue.add_rate_limited(A))
            queue.done(await queue.get())
        queue.forget(A)

        assert waits == [min(60.0, 2.0**n) for n in range(failures)]
        assert queue.add_rate_limited(A) == 1.0
        assert queue.add_rate_limited(B) == 1.0, "each key fails for itself"

    run_jumping(main)


def test_a_wait_that_the_other_side_asks_for_is_kept(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        queue.add_rate_limited(A, at_least=17)
        await queue.get()

        assert clock() == pytest.approx(17)

    run_jumping(main)


@given(asked=st.floats(min_value=1, max_value=100), chance=CHANCES)
def test_a_wait_that_many_were_asked_for_is_never_shorter_and_is_spread(
    run_jumping: Any, asked: float, chance: float
) -> None:
    """Who was asked to wait comes back no earlier, and not all at once."""

    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, lambda: chance)
        queue.add_rate_limited(A, at_least=asked)
        await queue.get()

        assert clock() == pytest.approx(max(asked * (1 + 0.2 * chance), 1 - 0.2 * chance))

    run_jumping(main)


def test_a_time_in_the_past_is_now(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        queue = WorkQueue(clock, no_chance)
        queue.add_after(C, 0)
        queue.add_after(B, -5)

        assert sorted(await drained(queue)) == [B, C]
        assert clock() == 0

    run_jumping(main)
