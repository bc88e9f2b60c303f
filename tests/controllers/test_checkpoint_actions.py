"""Reading, publishing and taking back against the simulator over real HTTP: each looks again, right before."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from pydantic import SecretStr
from tests.simulator.bare import KEYS, Served, Wire

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.actuator import perform_remote
from tinker_operator.controllers.observer import remote_answer
from tinker_operator.core.world import (
    CheckpointMissing,
    CheckpointsOf,
    DeleteCheckpoint,
    Done,
    Fault,
    NotWanted,
    Outcome,
    PreconditionFailed,
    PublishCheckpoint,
    ReadWeights,
    UnpublishCheckpoint,
    WeightsRead,
)
from tinker_operator.tinker import RetryPolicy, Timekeeper, TinkerClient
from tinker_operator.tinker.budget import Budget, BudgetTerms
from tinker_operator.tinker.errors import RateLimited
from tinker_operator.tinker.paths import TinkerPath

pytestmark = pytest.mark.http
Acting = PublishCheckpoint | UnpublishCheckpoint | ReadWeights | DeleteCheckpoint
Kind = type[PublishCheckpoint] | type[UnpublishCheckpoint] | type[ReadWeights] | type[DeleteCheckpoint]


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    loop = Wire(served.url, KEYS[0])
    yield loop
    loop.http.delete("/_simulator/faults")
    loop.http.close()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[TinkerClient]:
    brief = RetryPolicy(initial_seconds=0.01, max_seconds=0.05, total_seconds=5, max_attempts=2)
    async with TinkerClient(served.url, SecretStr(KEYS[0]), retry=brief) as made:
        yield made


async def action(kind: Kind, client: TinkerClient, run: str) -> Acting:
    """The action on the run's one checkpoint, as it is listed now."""
    answer = await remote_answer(CheckpointsOf(run), client)
    assert isinstance(answer, tuple)
    (it,) = answer
    return kind(it.path, run, it.time, it.size_bytes)


def public(wire: Wire, run: str) -> list[bool]:
    return [one["public"] for one in wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]]


async def test_a_checkpoint_becomes_public_and_is_taken_back(wire: Wire, client: TinkerClient) -> None:
    run = wire.run()
    wire.saved(run, "one")
    assert await perform_remote(await action(PublishCheckpoint, client, run), None, client) == Done()
    assert public(wire, run) == [True]
    assert await perform_remote(await action(UnpublishCheckpoint, client, run), None, client) == Done()
    assert public(wire, run) == [False]


async def test_what_is_so_already_is_not_this_policys(wire: Wire, client: TinkerClient) -> None:
    run = wire.run()
    wire.saved(run, "one")
    publish, unpublish = await action(PublishCheckpoint, client, run), await action(UnpublishCheckpoint, client, run)
    assert isinstance(await perform_remote(unpublish, None, client), PreconditionFailed)
    assert await perform_remote(publish, None, client) == Done()
    assert isinstance(await perform_remote(publish, None, client), PreconditionFailed)


@pytest.mark.parametrize("kind", [PublishCheckpoint, UnpublishCheckpoint])
async def test_what_was_saved_again_is_left_alone(kind: Kind, wire: Wire, client: TinkerClient) -> None:
    run = wire.run()
    wire.saved(run, "one")
    planned = await action(kind, client, run)
    wire.train(run)
    wire.saved(run, "one", overwrite=True)
    assert isinstance(await perform_remote(planned, None, client), PreconditionFailed)
    assert public(wire, run) == [False]


async def test_what_is_gone_is_left_alone(wire: Wire, client: TinkerClient) -> None:
    run = wire.run()
    path = wire.saved(run, "one")
    planned = [await action(kind, client, run) for kind in (PublishCheckpoint, UnpublishCheckpoint, ReadWeights)]
    await client.delete_checkpoint(TinkerPath.listed(path))
    for one in planned:
        assert isinstance(await perform_remote(one, None, client), PreconditionFailed)


async def test_a_change_of_mind_right_before_the_call_is_heeded(wire: Wire, client: TinkerClient) -> None:
    run = wire.run()
    wire.saved(run, "one")
    publish, unpublish = await action(PublishCheckpoint, client, run), await action(UnpublishCheckpoint, client, run)
    assert await perform_remote(publish, None, client, lambda: False) == NotWanted()
    assert public(wire, run) == [False]
    assert await perform_remote(publish, None, client) == Done()
    assert await perform_remote(unpublish, None, client, lambda: False) == NotWanted()
    assert public(wire, run) == [True]


@pytest.mark.parametrize("kind", [PublishCheckpoint, DeleteCheckpoint])
async def test_what_was_judged_is_done_at_once_or_not_at_all(served: Served, wire: Wire, kind: Kind) -> None:
    """A pause that begins right after the judgement does not make the deed late: it is not done, and judged anew."""
    run = wire.run()
    wire.saved(run, "one")
    budget = Budget(BudgetTerms(), Timekeeper())

    def judged() -> bool:
        budget._learn(RateLimited("Slow down.", status=429, retry_after=0.2), probe=False, patient=False)
        return True

    async with TinkerClient(served.url, SecretStr(KEYS[0]), budget=budget) as client:
        planned = await action(kind, client, run)
        outcome = await perform_remote(planned, None, client, judged)
        assert isinstance(outcome, Fault)
        assert (outcome.reason, outcome.needs_user) == (Reason.RATE_LIMITED, False)
        assert public(wire, run) == [False]
        assert await perform_remote(planned, None, client) == Done()


async def test_metadata_is_read(wire: Wire, client: TinkerClient) -> None:
    run = wire.run()
    wire.saved(run, "one")
    outcome = await perform_remote(await action(ReadWeights, client, run), None, client)
    assert isinstance(outcome, WeightsRead)
    assert outcome.weights.lora_rank == 4


TROUBLES: dict[str, tuple[int, Callable[[Outcome], bool]]] = {
    "500": (500, lambda it: isinstance(it, Fault) and not it.needs_user),
    "429": (429, lambda it: isinstance(it, Fault) and not it.needs_user),
    "403": (403, lambda it: isinstance(it, Fault) and it.needs_user),
    "400": (400, lambda it: isinstance(it, Fault)),
    "404": (404, lambda it: isinstance(it, CheckpointMissing | Fault)),
}


@pytest.mark.parametrize("says", TROUBLES)
async def test_only_a_checkpoint_that_is_listed_and_not_there_is_missing(
    says: str, wire: Wire, client: TinkerClient
) -> None:
    """Any other refusal to describe it is trouble, which says nothing about it."""
    status, is_right = TROUBLES[says]
    run = wire.run()
    wire.saved(run, "one")
    planned = await action(ReadWeights, client, run)
    wire.fault("http", status=status, route="POST /api/v1/weights_info")
    assert is_right(await perform_remote(planned, None, client))
