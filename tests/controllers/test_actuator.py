"""Actions against the simulator over real HTTP: each may be repeated, and each says truly what came of it."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from tests.simulator.bare import KEYS, Served, Wire

from tinker_operator.controllers.actuator import perform_remote
from tinker_operator.controllers.observer import remote_answer
from tinker_operator.core.world import (
    Absent,
    BackendFailed,
    CheckpointsOf,
    ConfirmRun,
    DeleteCheckpoint,
    Done,
    Fault,
    FinishSession,
    LoadRefused,
    ObservedRun,
    OpenSession,
    PreconditionFailed,
    RestoreRun,
    RunById,
    RunMade,
    SessionLost,
    SessionOpened,
    WeightsOf,
    WeightsSeen,
)
from tinker_operator.tinker import RetryPolicy, TinkerClient

pytestmark = pytest.mark.http
_OWNERS = iter(KEYS)


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    """The loop's side."""
    owner = next(_OWNERS)
    loop = Wire(served.url, owner)
    yield loop
    loop.http.delete("/_simulator/faults")
    loop.http.close()


@pytest.fixture
async def client(served: Served, wire: Wire) -> AsyncIterator[TinkerClient]:
    """The operator's side, with the same key."""
    brief = RetryPolicy(initial_seconds=0.01, max_seconds=0.05, total_seconds=5, max_attempts=2)
    async with TinkerClient(served.url, SecretStr(wire.key), retry=brief) as connected:
        yield connected


async def deletion(client: TinkerClient, run: str, path: str) -> DeleteCheckpoint:
    """Returns the deletion of a checkpoint as it is judged now."""
    listed = await remote_answer(CheckpointsOf(run), client)
    assert isinstance(listed, tuple)
    found = next(one for one in listed if one.path == path)
    return DeleteCheckpoint(path, run, found.time, found.size_bytes)


async def test_a_checkpoint_is_deleted_once_and_stays_deleted(wire: Wire, client: TinkerClient) -> None:
    """The second time it is gone already, and whoever asks did not delete it."""
    run = wire.run()
    path = wire.saved(run, "one")
    action = await deletion(client, run, path)

    assert await perform_remote(action, None, client) == Done()
    assert isinstance(await perform_remote(action, None, client), PreconditionFailed)
    assert await remote_answer(CheckpointsOf(run), client) == ()


async def test_a_checkpoint_that_was_saved_again_is_left_alone(wire: Wire, client: TinkerClient) -> None:
    """Another time means another checkpoint under the old name."""
    run = wire.run()
    path = wire.saved(run, "one")
    action = await deletion(client, run, path)
    wire.saved(run, "one", overwrite=True)

    assert isinstance(await perform_remote(action, None, client), PreconditionFailed)
    assert len(wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]) == 1


async def test_a_checkpoint_that_was_published_since_is_left_alone(wire: Wire, client: TinkerClient) -> None:
    """Somebody may depend on it now."""
    run = wire.run()
    path = wire.saved(run, "one")
    action = await deletion(client, run, path)
    assert wire.post(f"training_runs/{run}/checkpoints/weights/one/publish").is_success

    assert isinstance(await perform_remote(action, None, client), PreconditionFailed)
    assert len(wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]) == 1


async def test_a_checkpoint_that_was_pinned_since_is_left_alone(wire: Wire, client: TinkerClient) -> None:
    """Its own metadata says so now; time and size are what they were."""
    run = wire.run()
    path = wire.saved(run, "one", user_metadata={"pinned": "true"})

    assert isinstance(await perform_remote(await deletion(client, run, path), None, client), PreconditionFailed)
    assert len(wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]) == 1


async def test_a_checkpoint_that_is_kept_by_now_is_left_alone(wire: Wire, client: TinkerClient) -> None:
    """The last word is had after the last look."""
    run = wire.run()
    action = await deletion(client, run, wire.saved(run, "one"))

    outcome = await perform_remote(action, None, client, lambda: False)
    assert isinstance(outcome, PreconditionFailed)
    assert len(wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]) == 1


def deletes(wire: Wire) -> int:
    """Returns how many deletions the service was asked for."""
    return sum(count for route, count in wire.calls()["counts"].items() if route.startswith("DELETE /api"))


async def test_a_deletion_whose_answer_is_lost_is_not_repeated(wire: Wire, client: TinkerClient) -> None:
    """Another checkpoint may stand under the name by then."""
    run = wire.run()
    action = await deletion(client, run, wire.saved(run, "one"))
    before = deletes(wire)
    wire.fault("drop", when="after", route="DELETE .*")

    assert isinstance(await perform_remote(action, None, client), Fault)
    assert deletes(wire) == before + 1


async def test_a_deletion_that_cannot_look_first_is_not_tried(wire: Wire, client: TinkerClient) -> None:
    """The listing fails: nothing is deleted."""
    run = wire.run()
    path = wire.saved(run, "one")
    action = await deletion(client, run, path)
    wire.fault("http", status=500, route="GET .*/checkpoints$")

    assert isinstance(await perform_remote(action, None, client), Fault)
    assert wire.http.delete("/_simulator/faults").is_success
    assert len(wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]) == 1


async def opened(client: TinkerClient, key: str | None = None) -> str:
    """Opens a session."""
    outcome = await perform_remote(OpenSession(key or str(uuid.uuid4()), {}), None, client)
    assert isinstance(outcome, SessionOpened)
    return outcome.session_id


def restore(session: str, path: str, number: int = 0) -> RestoreRun:
    """Returns the restore of a checkpoint with its optimizer."""
    return RestoreRun(session, number, path, restore_optimizer=True, metadata={"a": "b"})


async def test_the_same_key_opens_the_same_session(client: TinkerClient) -> None:
    """A crash before the report costs no second session."""
    key = str(uuid.uuid4())

    assert await opened(client, key) == await opened(client, key)


async def test_the_same_restore_makes_the_same_run(wire: Wire, client: TinkerClient) -> None:
    """A crash before the report costs no second run."""
    path = wire.saved(wire.run(), "one")
    session = await opened(client)
    outcomes = [await perform_remote(restore(session, path), None, client) for _ in range(2)]

    assert outcomes == [RunMade(f"{session}:train:0", "Qwen/Qwen3-8B", 4)] * 2
    assert isinstance(await remote_answer(RunById(f"{session}:train:0"), client), ObservedRun)


async def test_a_broken_checkpoint_is_refused_and_the_next_number_is_free(wire: Wire, client: TinkerClient) -> None:
    """The walk back goes on in the same session."""
    run = wire.run()
    paths = [wire.saved(run, "old"), wire.saved(run, "new")]
    wire.order("break-checkpoint", {"path": paths[1], "how": "truncate"})
    session = await opened(client)

    assert isinstance(await perform_remote(restore(session, paths[1]), None, client), LoadRefused)
    assert isinstance(await perform_remote(restore(session, paths[0], 1), None, client), RunMade)


async def test_a_failure_of_the_service_is_no_verdict(wire: Wire, client: TinkerClient) -> None:
    """Category server: the checkpoint may be good."""
    path = wire.saved(wire.run(), "one")
    session = await opened(client)
    wire.fault("load-failure", count=1)

    assert isinstance(await perform_remote(restore(session, path), None, client), BackendFailed)


async def test_a_finished_session_is_lost_and_finishing_twice_is_done(wire: Wire, client: TinkerClient) -> None:
    """Nothing is made in it any more."""
    path = wire.saved(wire.run(), "one")
    session = await opened(client)
    finish = FinishSession(session, success=True, detail="over")

    assert [await perform_remote(finish, None, client) for _ in range(2)] == [Done(), Done()]
    assert isinstance(await perform_remote(restore(session, path), None, client), SessionLost)


async def test_trouble_on_the_way_is_a_fault(wire: Wire, client: TinkerClient) -> None:
    """503 on the load says nothing of checkpoint or session."""
    path = wire.saved(wire.run(), "one")
    session = await opened(client)
    wire.fault("http", status=503, route="POST .*/load_weights")
    outcome = await perform_remote(restore(session, path), None, client)

    assert isinstance(outcome, Fault)
    assert not outcome.needs_user


async def test_what_the_service_does_not_have_is_absent(client: TinkerClient) -> None:
    """A run, a listing, a checkpoint, a model."""
    gone = "tinker://nobody:train:0/weights/one"

    assert await remote_answer(RunById("nobody:train:0"), client) == Absent()
    assert await remote_answer(CheckpointsOf("nobody:train:0"), client) == Absent()
    assert await remote_answer(WeightsOf(gone), client) == Absent()
    assert isinstance(await perform_remote(ConfirmRun("nobody:train:0"), None, client), BackendFailed)


async def test_weights_are_told_as_the_service_tells_them(wire: Wire, client: TinkerClient) -> None:
    """Base model and rank of the checkpoint."""
    path = wire.saved(wire.run(), "one")

    assert await remote_answer(WeightsOf(path), client) == WeightsSeen("Qwen/Qwen3-8B", is_lora=True, lora_rank=4)
