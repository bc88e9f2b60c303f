"""What is done with sessions, checkpoints and keys, over real HTTP."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.conftest import Simulator, World, served

from tinker_operator.tinker import (
    AdamParams,
    ArchiveBeingBuilt,
    ArchiveReady,
    BaseModelMismatch,
    CheckpointType,
    Compatible,
    ModelInput,
    RankMismatch,
    SamplingParams,
    SessionSearch,
    TinkerClient,
    errors,
    operations,
)

pytestmark = pytest.mark.http

BASE_MODEL = "Qwen/Qwen3-8B"


async def test_the_service_tells_how_it_wants_to_be_spoken_to(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        assert (await client.client_config()).pjwt_auth_enabled is False
        assert (await client.dynamic_config()).refresh_interval_sec > 0


async def test_sessions_are_listed_told_and_found(world: World) -> None:
    async with world.simulator.connect() as client:
        other = await client.create_session(
            tags=("t",), user_metadata={"k": "v"}, idempotency_key="other", project_id="project-1", display_name="Mine"
        )
        listed = [session_id async for session_id in client.list_sessions()]
        content = await client.get_session(world.session_id)
        named = await client.get_session(other)
        found = [one.session_id async for one in client.search_sessions(SessionSearch(user_metadata={"k": "v"}))]
        by_page = [one.session_id async for one in client.search_sessions(SessionSearch(page_limit=1))]
        active = [one async for one in client.search_sessions(SessionSearch(states=("active",), session_id=other))]
        with pytest.raises(errors.NotFound):
            await client.get_session("nobody-opened-it")
    assert sorted(listed) == sorted(by_page) == sorted([world.session_id, other])
    assert content.training_run_ids == (world.run_id,)
    assert (named.display_name, named.user_metadata) == ("Mine", {"k": "v"})
    assert found == [other]
    assert [(one.session_id, one.project_id) for one in active] == [(other, "project-1")]


async def test_a_session_is_put_into_a_project(world: World) -> None:
    async with world.simulator.connect() as client:
        await client.assign_session_project(world.session_id, "project-7")
        (found,) = [one async for one in client.search_sessions(SessionSearch(project_ids=("project-7",)))]
        (run,) = await client.training_runs(project_id="project-7")
        assert await client.training_runs(project_id="project-8") == ()
    assert (found.session_id, found.checkpoints_count) == (world.session_id, 3)
    assert run.training_run_id == world.run_id


async def test_the_cause_of_a_failed_session_is_told(world: World) -> None:
    world.simulator.order("corrupt", run=world.run_id)
    async with world.simulator.connect() as client:
        (found,) = [one async for one in client.search_sessions(SessionSearch(states=("failed",)))]
    assert found.status is not None
    assert found.status.reason is not None
    assert (found.status.reason.type, found.status.reason.training_run_id) == ("training_run", world.run_id)


async def test_a_trace_is_exported_and_its_address_opens_it(world: World) -> None:
    async with world.simulator.connect() as client:
        url = await client.export_session_trace(world.session_id, wait_seconds=30)
        with pytest.raises(errors.NotFound):
            await client.export_session_trace("nobody-opened-it", wait_seconds=0)
    assert world.simulator.http.get(url.get_secret_value()).json()["traceEvents"]
    assert "**" in repr(url)


async def test_a_checkpoint_is_shared_and_taken_back(world: World, keys: Any) -> None:
    other = Simulator(world.simulator.url, next(keys), world.simulator.http)
    path = world.path()
    async with world.simulator.connect() as client, other.connect() as guest:
        with pytest.raises(errors.NotFound):
            await guest.get_weights_info_by_tinker_path(path)
        await client.publish_checkpoint(path)
        with pytest.raises(errors.Conflict):
            await client.publish_checkpoint(str(path))
        assert (await guest.get_weights_info_by_tinker_path(path)).lora_rank == 4
        resumed = await guest.create_training_client_from_state(path)
        assert resumed.info.lora_rank == 4
        with pytest.raises(errors.NotFound):
            await guest.unpublish_checkpoint(path)
        await client.unpublish_checkpoint(path)
        with pytest.raises(errors.Conflict):
            await client.unpublish_checkpoint(path)
        assert [one.public for one in await client.checkpoints(world.run_id)] == [False] * 3


async def test_a_checkpoint_lives_as_long_as_it_is_told(world: World) -> None:
    path = world.path()

    async def expires(client: TinkerClient) -> datetime | None:
        return {one.tinker_path: one.expires_at for one in await client.checkpoints(world.run_id)}[str(path)]

    async with world.simulator.connect() as client:
        await client.set_checkpoint_ttl(path, 3600)
        ends = await expires(client)
        assert ends is not None
        assert ends.tzinfo is not None
        await client.set_checkpoint_ttl(path, None)
        assert await expires(client) is None
        with pytest.raises(errors.BadRequest):
            await client.set_checkpoint_ttl(path, 60)
        with pytest.raises(errors.NotFound):
            await client.set_checkpoint_ttl(world.path("nothing"), 3600)


async def test_all_checkpoints_of_an_owner_are_those_of_the_runs(simulator: Simulator) -> None:
    made = simulator.order("seed", runs=5, owner=simulator.key, checkpoints=50)["runs"]
    async with simulator.connect() as client:
        by_run = {one.tinker_path for run in made for one in await client.checkpoints(run)}
        assert {one.tinker_path async for one in client.list_user_checkpoints()} == by_run
        assert {one.training_run_id async for one in client.list_training_runs()} == set(made)
        assert [one.tinker_path async for one in client.list_checkpoints(made[0])]
    assert len(by_run) > 100


async def test_half_a_page_is_never_taken_for_the_whole(simulator: Simulator) -> None:
    simulator.order("seed", runs=5, owner=simulator.key, checkpoints=50)
    async with simulator.connect() as client:
        simulator.order("faults", kind="half-page", route="GET .*/checkpoints$", seconds=60)
        with pytest.raises(errors.IncompleteListing):
            _ = [one async for one in client.list_user_checkpoints()]


async def test_a_run_is_found_by_the_path_of_its_checkpoint(world: World) -> None:
    async with world.simulator.connect() as client:
        for path in (world.path(), str(world.path("play", "sampler_weights"))):
            assert (await client.get_training_run_by_tinker_path(path)).training_run_id == world.run_id
        with pytest.raises(errors.InvalidTinkerPath):
            await client.get_training_run_by_tinker_path("tinker://r")


async def test_what_fits_a_checkpoint_and_what_does_not_is_told_apart(world: World) -> None:
    async with world.simulator.connect() as client:
        assert await client.check_compatible(world.path(), BASE_MODEL, 4) == Compatible(BASE_MODEL, 4)
        assert await client.check_compatible(str(world.path()), BASE_MODEL, 8) == RankMismatch(8, 4)
        assert await client.check_compatible(world.path(), "other", 4) == BaseModelMismatch("other", BASE_MODEL)
        with pytest.raises(errors.NotFound):
            await client.check_compatible(world.path("nothing"), BASE_MODEL, 4)


async def test_weights_are_saved_as_files_and_each_has_an_address(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await client.create_training_client(BASE_MODEL, rank=4)
        saved = await (await training.save_weights_external("out", ttl_seconds=7200))
        urls = await client.external_weights_urls(saved.path)
        (listed,) = await client.checkpoints(training.model_id)
        with pytest.raises(errors.NotFound):
            await client.external_weights_urls(f"tinker://{training.model_id}/external_weights/nothing")
    assert listed.checkpoint_type is CheckpointType.EXTERNAL
    assert {"adapter_config.json", "adapter_model.safetensors"} <= urls.urls.keys()
    assert urls.expires is not None
    assert urls.expires > datetime(2020, 1, 1, tzinfo=UTC)
    for url in urls.urls.values():
        assert simulator.http.get(url.get_secret_value()).is_success
        assert url.get_secret_value() not in repr(urls)


async def test_files_for_a_recipient_are_encrypted(simulator: Simulator) -> None:
    recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    async with simulator.connect() as client:
        training = await client.create_training_client(BASE_MODEL, rank=4)
        saved = await (await training.save_weights_external("out", age_recipients=[recipient]))
        names = (await client.external_weights_urls(saved.tinker_path)).urls
    assert all(name.endswith(".age") for name in names)


async def test_a_copy_is_made_once_per_key(world: World) -> None:
    async with world.simulator.connect() as client:
        copy = await client.copy_weights(world.path(), project_id="p", ttl_seconds=7200, idempotency_key="once")
        again = await client.copy_weights(world.path(), project_id="p", ttl_seconds=7200, idempotency_key="once")
        other = await client.copy_weights(str(world.path()), project_id="p")
        in_session = await client.copy_weights(world.path(), session_id=world.session_id, model_seq_id=5)
        assert (await client.weights_info(copy)).lora_rank == 4
        with pytest.raises(errors.NotFound):
            await client.copy_weights(world.path("nothing"), project_id="p")
    assert copy == again
    assert len({copy, other, in_session}) == 3
    assert in_session.training_run_id == f"{world.session_id}:train:5"


async def test_a_sampling_session_is_joined_under_a_number_of_ones_own(world: World) -> None:
    async with world.simulator.connect() as client:
        sampler = await client.create_sampling_session(
            session_id=world.session_id,
            sampling_session_seq_id=0,
            model_path=str(world.path("play", "sampler_weights")),
        )
        numbers = [await client.join_sampling_session(sampler) for _ in range(3)]
        told = await client.get_sampler(sampler)
    assert len(set(numbers)) == 3
    assert (told.sampler_id, told.base_model) == (sampler, BASE_MODEL)


async def test_an_operation_that_is_submitted_twice_is_done_once(world: World) -> None:
    async with world.simulator.connect() as client:
        pending = await client.submit(operations.save_weights(world.run_id, 4, "step-3"))
        again = await client.submit(operations.save_weights(world.run_id, 4, "step-3"))
        assert (await pending) == (await again)
        assert (await again).tinker_path == world.path("step-3")


async def test_a_sample_that_nobody_waits_for_is_called_off(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        sampler = await client.create_sampling_client(base_model=BASE_MODEL)
        simulator.order("faults", kind="slow", seconds=60, delay=30)
        with pytest.raises(errors.FuturePending) as pending:
            await sampler.sample(ModelInput.from_ints([1]), 1, SamplingParams(max_tokens=1), wait_seconds=0)
        assert pending.value.request_id is not None
        await client.cancel_future(pending.value.request_id)
        with pytest.raises(errors.FutureFailed, match="cancel"):
            await client._futures.result(pending.value.request_id, monotonic() + 10)


@pytest.fixture
def special(tmp_path: Path, keys: Iterator[str]) -> Iterator[Callable[..., Simulator]]:
    """Serve simulators of special ways."""
    running: list[Any] = []
    with closing(httpx.Client(timeout=30, verify=False)) as http:  # noqa: S501 - plain HTTP, and loading takes long

        def serve(*options: str) -> Simulator:
            running.append(served(tmp_path / str(len(running)), *options))
            return Simulator(running[-1].__enter__(), next(keys), http)

        yield serve
        for one in running:
            one.__exit__(None, None, None)


async def test_a_service_that_wants_tokens_is_trained_and_sampled_with_them(special: Callable[..., Simulator]) -> None:
    simulator = special("--jwt", "--jwt-lifetime", "1")
    async with simulator.connect() as client, asyncio.timeout(30):
        training = await client.create_training_client(BASE_MODEL, rank=4)
        sampler = await client.create_sampling_client(base_model=BASE_MODEL)
        while simulator.calls("POST /api/v1/auth/token") < 3:
            await (await training.optim_step(AdamParams()))
            await sampler.sample(ModelInput.from_ints([1]), 1, SamplingParams(max_tokens=1))


@pytest.mark.parametrize("form", ["redirect", "document"])
async def test_an_archive_is_built_and_then_opened_by_its_address(special: Callable[..., Simulator], form: str) -> None:
    world = await World(special("--archive-route", form, "--archive-slow")).make()
    async with world.simulator.connect() as client:
        building = await client.archive(world.path())
        ready = await client.archive(str(world.path()))
        with pytest.raises(errors.NotFound):
            await client.archive(world.path("nothing"))
    assert building == ArchiveBeingBuilt(30.0)
    assert isinstance(ready, ArchiveReady)
    assert ready.expires is not None
    assert ready.expires.tzinfo is not None
    assert world.simulator.http.get(ready.url.get_secret_value()).is_success
    assert ready.url.get_secret_value() not in repr(ready)


async def test_a_service_without_archives_says_so(world: World) -> None:
    async with world.simulator.connect() as client:
        with pytest.raises(errors.RouteMissing):
            await client.archive(world.path())


async def test_another_accounts_weights_are_opened_by_its_token(world: World, keys: Iterator[str]) -> None:
    other = Simulator(world.simulator.url, next(keys), world.simulator.http)
    token = SecretStr(world.simulator.key)
    async with other.connect() as guest:
        with pytest.raises(errors.NotFound):
            await guest.create_training_client_from_state(world.path())
        resumed = await guest.create_training_client_from_state_with_optimizer(world.path(), weights_access_token=token)
        loaded = await (await resumed.load_state(world.path("step-1"), token))
        copy = await guest.copy_weights(world.path(), project_id="p", weights_access_token=token)
        with pytest.raises(errors.Forbidden) as refusal:
            await resumed.load_state(world.path(), SecretStr("not-it"))
    assert (resumed.info.lora_rank, loaded.model_id in {None, resumed.model_id}) == (4, True)
    assert copy.training_run_id != world.run_id
    assert "not-it" not in str(refusal.value)
