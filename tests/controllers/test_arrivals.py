"""When an object came: no look that began before that may tell what its predecessor of the same name made."""

from dataclasses import dataclass

import pytest

from tinker_operator.controllers.arrivals import Arrivals
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure

KEY = ObjectKey(TRAINING_RUNS.kind, "team", "sft")


@dataclass
class FakeClock:
    """Seconds that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def version(number: int, uid: str) -> KubeObject:
    """Returns a version of the object of that name and uid."""
    return {"metadata": {"name": "sft", "namespace": "team", "uid": uid, "resourceVersion": str(number)}}


@pytest.fixture
def clock() -> FakeClock:
    """A clock at 0."""
    return FakeClock()


@pytest.fixture
def store() -> Store:
    """Nothing yet."""
    return Store()


@pytest.fixture
def arrivals(store: Store, clock: FakeClock) -> Arrivals:
    """Nobody has come."""
    return Arrivals(store, clock)


def test_an_object_came_when_it_was_first_seen(store: Store, clock: FakeClock, arrivals: Arrivals) -> None:
    """Later versions of it do not count."""
    clock.now = 1
    store.apply(TRAINING_RUNS.kind, version(1, "a"))
    clock.now = 2
    store.apply(TRAINING_RUNS.kind, version(2, "a"))

    assert arrivals.came("a") == 1


def test_what_is_done_for_an_object_itself_does_not_count(store: Store, clock: FakeClock, arrivals: Arrivals) -> None:
    """Otherwise it would wait for a new look after each of its rounds."""
    store.apply(TRAINING_RUNS.kind, version(1, "a"))
    clock.now = 5
    arrivals.acted(KEY, "a")

    assert arrivals.came("a") == 0


def test_an_object_came_no_earlier_than_its_predecessor_s_last_act(
    store: Store, clock: FakeClock, arrivals: Arrivals
) -> None:
    """Deleted and made again while a load was under way: the run of that load is known to later looks only."""
    store.apply(TRAINING_RUNS.kind, version(1, "a"))
    clock.now = 1
    store.apply(TRAINING_RUNS.kind, version(2, "b"))
    clock.now = 5
    arrivals.acted(KEY, "a")

    assert arrivals.came("b") == 5


def test_an_act_for_an_object_that_is_gone_is_forgotten(store: Store, clock: FakeClock, arrivals: Arrivals) -> None:
    """Nobody has the name, and whoever takes it comes later anyway."""
    store.apply(TRAINING_RUNS.kind, version(1, "a"))
    store.discard(TRAINING_RUNS.kind, version(2, "a"))
    arrivals.acted(KEY, "a")
    clock.now = 7
    store.apply(TRAINING_RUNS.kind, version(3, "b"))

    assert arrivals.came("b") == 7
