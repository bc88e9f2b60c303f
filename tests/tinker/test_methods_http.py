"""Every method against a service over real HTTP."""

import asyncio
from typing import Any

import pytest

from tinker_operator.tinker import CheckpointType, FutureCategory, TinkerPath, errors
from tinker_operator.tinker.errors import TinkerError

pytestmark = pytest.mark.http

BASE_MODEL = "Qwen/Qwen3-8B"
Simulator = Any
World = Any


async def test_the_service_says_how_it_is_and_what_it_offers(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        assert await client.healthz() == "ok"
        offered = {model.model_name for model in (await client.server_capabilities()).supported_models}
    assert BASE_MODEL in offered


async def test_a_run_is_read_as_it_was_made(world: World) -> None:
    async with world.simulator.connect() as client:
        (listed,) = await client.training_runs()
        run = await client.get_training_run(world.run_id)
        info = await client.get_info(world.run_id)
        weights = await client.weights_info(world.path())
    assert listed == run
    assert (run.base_model, run.is_lora, run.lora_rank, run.corrupted) == (BASE_MODEL, True, 4, False)
    assert run.user_metadata == {"owner": "c/n/r"}
    assert run.last_checkpoint is not None
    assert run.last_sampler_checkpoint is not None
    assert run.last_checkpoint.tinker_path == str(world.path())
    assert (info.model_id, info.base_model, info.lora_rank) == (world.run_id, BASE_MODEL, 4)
    assert (weights.base_model, weights.lora_rank, weights.train_mlp) == (BASE_MODEL, 4, False)


async def test_checkpoints_are_read_as_they_were_saved(world: World) -> None:
    async with world.simulator.connect() as client:
        found = {one.checkpoint_id: one for one in await client.checkpoints(world.run_id)}
    assert found.keys() == {"weights/step-1", "weights/step-2", "sampler_weights/play"}
    one = found["weights/step-1"]
    assert (one.checkpoint_type, one.user_metadata) == (CheckpointType.TRAINING, {"step": "step-1"})
    assert one.time is not None
    assert one.time.tzinfo is not None
    assert one.size_bytes
    assert TinkerPath.parse(one.tinker_path) == world.path("step-1")


async def test_a_deleted_checkpoint_is_gone_and_the_others_stay(world: World) -> None:
    async with world.simulator.connect() as client:
        await client.delete_checkpoint(world.path("step-1"))
        assert len(await client.checkpoints(world.run_id)) == 2
        with pytest.raises(errors.NotFound):
            await client.delete_checkpoint(world.path("step-1"))


@pytest.mark.parametrize("optimizer", [True, False])
async def test_a_run_made_from_a_checkpoint_is_like_its_source(world: World, optimizer: bool) -> None:
    async with world.simulator.connect() as client:
        made = await world.load(client, 1, optimizer=optimizer, user_metadata={"attempt": "1"})
        run = await client.get_training_run(made)
    assert made == f"{world.session_id}:train:1"
    assert (run.base_model, run.lora_rank, run.user_metadata) == (BASE_MODEL, 4, {"attempt": "1"})


async def test_making_a_run_again_with_the_same_ids_makes_no_second_one(world: World) -> None:
    async with world.simulator.connect() as client:
        assert await world.load(client, 1) == await world.load(client, 1)
        assert len(await client.training_runs()) == 2


async def test_a_beat_keeps_a_session_until_it_is_finished(world: World) -> None:
    async with world.simulator.connect() as client:
        await client.heartbeat(world.session_id)
        await client.finish_session(world.session_id, "success")
        await client.finish_session(world.session_id, "errored", "too late")
        with pytest.raises(errors.Gone):
            await client.heartbeat(world.session_id)
        with pytest.raises(errors.Gone):
            await world.load(client, 1)


@pytest.mark.parametrize("runs", [1, 99, 100, 101, 350])
async def test_a_listing_of_any_length_is_read_whole_in_as_few_requests_as_can_be(
    simulator: Simulator, runs: int
) -> None:
    made = simulator.order("seed", runs=runs, owner=simulator.key)["runs"]
    async with simulator.connect() as client:
        assert {run.training_run_id for run in await client.training_runs()} == set(made)
        assert len([run async for run in client.list_training_runs()]) == runs


async def test_a_corrupted_run_is_seen_by_both_ways_of_asking(world: World) -> None:
    world.simulator.order("corrupt", run=world.run_id)
    async with world.simulator.connect() as client:
        assert (await client.get_training_run(world.run_id)).corrupted is True
        assert [run.corrupted for run in await client.training_runs()] == [True]


async def test_a_lost_run_is_not_found_and_the_listing_is_whole_without_it(world: World) -> None:
    world.simulator.order("lose", run=world.run_id)
    async with world.simulator.connect() as client:
        assert await client.training_runs() == ()
        for call in (client.get_training_run, client.checkpoints, client.get_info):
            with pytest.raises(errors.NotFound):
                await call(world.run_id)


@pytest.mark.parametrize("how", ["truncate", "nan", "rank", "remove"])
async def test_a_broken_checkpoint_does_not_load_and_the_one_before_does(world: World, how: str) -> None:
    world.simulator.order("break-checkpoint", path=str(world.path()), how=how)
    async with world.simulator.connect() as client:
        with pytest.raises(TinkerError) as failure:
            await world.load(client, 1)
        assert not failure.value.transient
        assert await world.load(client, 2, path=world.path("step-1"))


async def test_a_load_that_the_service_fails_is_its_own_fault(world: World) -> None:
    world.simulator.order("faults", kind="load-failure", count=1)
    async with world.simulator.connect() as client:
        with pytest.raises(errors.FutureFailed) as failure:
            await world.load(client, 1)
        assert failure.value.category is FutureCategory.SERVER
        assert await world.load(client, 2)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"path": "tinker://r:train:0/weights/nothing"}, TinkerError, id="a checkpoint that is not there"),
        pytest.param({"path": "sampler"}, errors.BadRequest, id="a checkpoint for sampling"),
    ],
)
async def test_what_cannot_be_trained_from_is_refused_for_good(
    world: World, changes: dict[str, str], kind: type[TinkerError]
) -> None:
    text = changes["path"]
    path = world.path("play", "sampler_weights") if text == "sampler" else TinkerPath.parse(text)
    async with world.simulator.connect() as client:
        with pytest.raises(kind) as refusal:
            await world.load(client, 1, path=path)
    assert not refusal.value.transient


async def test_a_wrong_key_is_unauthorized(simulator: Simulator) -> None:
    simulator.key = "tml-nobody-knows-it"
    async with simulator.connect() as client:
        with pytest.raises(errors.Unauthorized) as refusal:
            await client.training_runs()
    assert "nobody" not in str(refusal.value)
    simulator.key = ""


async def test_what_another_owner_has_is_not_found(world: World, keys: Any) -> None:
    world.simulator.key = next(keys)
    async with world.simulator.connect() as client:
        assert await client.training_runs() == ()
        with pytest.raises(errors.NotFound):
            await client.get_training_run(world.run_id)


@pytest.mark.parametrize("prefix", ["/wrong/prefix", "/api/v1"])
async def test_a_wrong_prefix_is_a_missing_route_and_not_a_missing_run(simulator: Simulator, prefix: str) -> None:
    async with simulator.connect(base_url=simulator.url + prefix) as client:
        with pytest.raises(errors.RouteMissing):
            await client.get_training_run("r")
        with pytest.raises(errors.RouteMissing):
            await client.training_runs()


async def test_many_calls_at_once_share_one_client(simulator: Simulator) -> None:
    made = simulator.order("seed", runs=60, owner=simulator.key)["runs"]
    async with simulator.connect() as client:
        runs = await asyncio.gather(*(client.get_training_run(run_id) for run_id in made))
    assert [run.training_run_id for run in runs] == made


async def test_nobody_there_is_unreachable(unused_tcp_port: int, simulator: Simulator) -> None:
    async with simulator.connect(base_url=f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(errors.ServiceUnreachable, match="GET healthz"):
            await client.healthz()


async def test_a_name_that_does_not_resolve_is_unreachable(simulator: Simulator) -> None:
    async with simulator.connect(base_url="http://nobody.invalid") as client:
        with pytest.raises(errors.ServiceUnreachable):
            await client.healthz()
