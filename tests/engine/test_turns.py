"""The laws of groups: none ever has more in work than its room, and nothing waits while there is room for it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.turns import Priority, Turns
from tinker_operator.engine.workers import WorkerPool
from tinker_operator.engine.workqueue import WorkQueue, namespace_of

pytestmark = pytest.mark.pure

Clock = Callable[[], float]
KEYS = st.builds(
    ObjectKey, st.sampled_from(["slow", "sound"]), st.sampled_from(["n", "m"]), st.sampled_from(list("abcdef"))
)
PRIORITIES = st.sampled_from(Priority)


def kind_of(key: ObjectKey) -> Hashable:
    return key.kind


class GroupedTurns(RuleBasedStateMachine):
    """Keys come, are hastened, taken and given back in any order; a list beside it says what must be so."""

    @initialize(room=st.integers(min_value=1, max_value=4))
    def begin(self, room: int) -> None:
        self.room = room
        self.turns = Turns(namespace_of, kind_of, room)
        self.waiting: dict[ObjectKey, Priority] = {}
        self.taken: list[ObjectKey] = []
        self.allowed = 0

    @rule(key=KEYS, priority=PRIORITIES)
    def come(self, key: ObjectKey, priority: Priority) -> None:
        if key in self.waiting:
            self.turns.hasten(key, priority)
            self.waiting[key] = priority
        elif key not in self.taken:
            self.allowed += self.turns.put(key, priority)
            self.waiting[key] = priority

    @precondition(lambda self: self.allowed)
    @rule()
    def take(self) -> None:
        free = {key for key in self.waiting if self.busy()[key.kind] < self.room}
        key = self.turns.take()
        self.allowed -= 1

        assert key in free, "a key that waits, of a group that has room"
        assert self.waiting[key] == min(self.waiting[one] for one in free), "the most urgent of them"
        del self.waiting[key]
        self.taken.append(key)

    @precondition(lambda self: self.taken)
    @rule(which=st.integers(min_value=0))
    def give_back(self, which: int) -> None:
        self.allowed += self.turns.give_back(self.taken.pop(which % len(self.taken)))

    @invariant()
    def no_group_has_more_than_its_room(self) -> None:
        assert all(busy <= self.room for busy in self.busy().values())
        assert self.turns.taken == len(self.taken)

    @invariant()
    def whoever_can_be_taken_is_told_of(self) -> None:
        """So many, no more and no fewer: one more would hand out what is not there, one fewer would lose a key."""
        crowd = Counter(key.kind for key in self.waiting)
        assert self.allowed == sum(min(count, self.room - self.busy()[kind]) for kind, count in crowd.items())
        assert {key: self.turns.priority_of(key) for key in self.waiting} == self.waiting
        assert len(self.turns) == len(self.waiting)

    def busy(self) -> Counter[str]:
        return Counter(key.kind for key in self.taken)

    def teardown(self) -> None:
        """Everything that waits is served in the end."""
        for _ in range(len(self.waiting) + len(self.taken)):
            while self.allowed and self.waiting:
                self.take()
            if self.taken:
                self.give_back(0)
            self.whoever_can_be_taken_is_told_of()
        assert (self.waiting, self.taken) == ({}, [])


TestGroupedTurns = GroupedTurns.TestCase
TestGroupedTurns.settings = settings(max_examples=80, stateful_step_count=40)


def test_keys_that_stood_aside_come_in_turns_of_their_namespaces() -> None:
    turns = Turns(namespace_of, lambda _: "one group", 1)
    crowd = [ObjectKey("Widget", "crowded", str(number)) for number in range(3)]
    lone = ObjectKey("Widget", "quiet", "one")
    told = [turns.put(key, Priority.CHANGED) for key in (*crowd, lone)]
    order = [turns.take()]
    while len(order) < 4:
        assert turns.give_back(order[-1])
        order.append(turns.take())

    assert told == [True, False, False, False]
    assert order == [crowd[0], lone, *crowd[1:]]


@pytest.mark.parametrize("room", [1, 8, 32])
def test_a_connection_that_hangs_holds_up_its_own_objects_only(run_jumping: Any, room: int) -> None:
    """However many of its objects wait, one of another connection is served at once, and so are its own in the end."""
    hung = [ObjectKey("slow", "default", str(number)) for number in range(100)]
    sound = ObjectKey("sound", "default", "one")

    async def main(clock: Clock) -> dict[ObjectKey, float]:
        ended: dict[ObjectKey, float] = {}

        async def reconcile(key: ObjectKey) -> None:
            await asyncio.sleep(30 if key.kind == "slow" else 0.1)
            ended[key] = clock()

        async def refresh(_: ObjectKey) -> None:
            raise AssertionError

        queue = WorkQueue(clock, group=kind_of, room=room)
        pool = asyncio.create_task(WorkerPool(queue, reconcile, refresh=refresh, count=33).run())
        for key in hung:
            queue.add(key)
        await asyncio.sleep(1)
        queue.add(sound, Priority.RESYNC)
        await asyncio.sleep(30 * (100 / room + 2))
        pool.cancel()
        assert (len(queue), queue.in_work) == (0, 0)
        return ended

    ended = run_jumping(main)
    assert ended[sound] == pytest.approx(1.1)
    assert set(hung) < set(ended)
