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
    """Keys come, are hastened, taken and given back, and change groups, in any order; a list beside it says the rest.

    A key counts for the group that was its own when it came, or was last hastened, as long as it waits or is in work.
    """

    @initialize(room=st.integers(min_value=1, max_value=4))
    def begin(self, room: int) -> None:
        self.room = room
        self.groups = {kind: kind for kind in ("slow", "sound")}
        self.turns = Turns(namespace_of, lambda key: self.groups[key.kind], room)
        self.waiting: dict[ObjectKey, tuple[Priority, str]] = {}
        self.taken: dict[ObjectKey, str] = {}
        self.looks = 0

    @rule(key=KEYS, priority=PRIORITIES)
    def come(self, key: ObjectKey, priority: Priority) -> None:
        if key in self.taken:
            return
        (self.turns.hasten if key in self.waiting else self.turns.put)(key, priority)
        self.waiting[key] = (priority, self.groups[key.kind])
        self.looks += 1

    @rule(kind=st.sampled_from(["slow", "sound"]), group=st.sampled_from(["slow", "sound", "a third"]))
    def its_group_becomes_another(self, kind: str, group: str) -> None:
        self.groups[kind] = group

    @precondition(lambda self: self.looks)
    @rule()
    def take(self) -> None:
        free = self.free()
        key = self.turns.take()
        self.looks -= 1

        if key is None:
            assert not free, "nothing is found only when nothing can be taken"
            return
        assert key in free, "a key that waits, of a group that has room"
        assert self.waiting[key][0] == min(self.waiting[one][0] for one in free), "the most urgent of them"
        self.taken[key] = self.waiting.pop(key)[1]

    @precondition(lambda self: self.taken)
    @rule(which=st.integers(min_value=0))
    def give_back(self, which: int) -> None:
        key = list(self.taken)[which % len(self.taken)]
        self.turns.give_back(key)
        del self.taken[key]
        self.looks += 1

    @invariant()
    def no_group_has_more_than_its_room(self) -> None:
        assert all(busy <= self.room for busy in Counter(self.taken.values()).values())
        assert self.turns.taken == len(self.taken)

    @invariant()
    def whoever_can_be_taken_is_looked_for(self) -> None:
        """One look less than can be taken would leave a key waiting beside idle workers."""
        busy, crowd = Counter(self.taken.values()), Counter(group for _, group in self.waiting.values())
        assert self.looks >= sum(min(count, self.room - busy[group]) for group, count in crowd.items())
        assert {key: self.turns.priority_of(key) for key in self.waiting} == {
            k: p for k, (p, _) in self.waiting.items()
        }
        assert len(self.turns) == len(self.waiting)

    def free(self) -> set[ObjectKey]:
        busy = Counter(self.taken.values())
        return {key for key, (_, group) in self.waiting.items() if busy[group] < self.room}

    def teardown(self) -> None:
        """Everything that waits is served in the end."""
        for _ in range(len(self.waiting) + len(self.taken)):
            while self.looks:
                self.take()
            if self.taken:
                self.give_back(0)
            self.whoever_can_be_taken_is_looked_for()
        assert (self.waiting, self.taken) == ({}, {})


TestGroupedTurns = GroupedTurns.TestCase
TestGroupedTurns.settings = settings(max_examples=80, stateful_step_count=40)


def test_keys_that_stood_aside_come_in_turns_of_their_namespaces() -> None:
    turns = Turns(namespace_of, lambda _: "one group", 1)
    crowd = [ObjectKey("Widget", "crowded", str(number)) for number in range(3)]
    lone = ObjectKey("Widget", "quiet", "one")
    for key in (*crowd, lone):
        turns.put(key, Priority.CHANGED)
    order = list[ObjectKey]()
    while (taken := turns.take()) is not None:
        assert turns.take() is None, "the group has room for one"
        turns.give_back(taken)
        order.append(taken)

    assert order == [crowd[0], lone, *crowd[1:]]


def test_keys_whose_group_has_become_another_are_hastened_into_it() -> None:
    """Otherwise those that follow would have the room of the new group, and overtake what is more urgent."""
    groups = {"the group": "as it was called before its connection was known"}
    turns = Turns(namespace_of, lambda _: groups["the group"], 1)
    first, second, third = (ObjectKey("Widget", "n", name) for name in "abc")
    turns.put(first, Priority.RESYNC)
    turns.put(second, Priority.RESYNC)
    assert (turns.take(), turns.take()) == (first, None)
    groups["the group"] = "the connection"
    turns.hasten(second, Priority.REMOTE)
    turns.put(third, Priority.POLL)

    assert (turns.take(), turns.take()) == (second, None)


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
