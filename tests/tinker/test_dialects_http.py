"""Each dialect over real HTTP: what the client concludes, and what it does not."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr
from tests.simulator.babel import Babel, babel, plain_key, spoken_key
from tests.simulator.bare import Wire

from tinker_operator.tinker import CheckpointType, RetryPolicy, TinkerClient, TinkerPath
from tinker_operator.tinker.dialects import Capabilities, Support
from tinker_operator.tinker.dialects.restoring import BLANK_NUMBERS
from tinker_operator.tinker.errors import (
    BadRequest,
    FutureCategory,
    FutureFailed,
    InvalidTinkerPath,
    NotFound,
    RouteMissing,
    ServerFault,
    ServiceUnreachable,
)

pytestmark = pytest.mark.http
FRUGAL = RetryPolicy(initial_seconds=0.02, max_seconds=0.1, total_seconds=20, max_attempts=3)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Babel]:
    """One simulator for the module."""
    with babel(tmp_path_factory.mktemp("babel")) as running:
        yield running


@dataclass
class Scene:
    """A run with two checkpoints, the loop that made it on the official wire, and a client of the dialect."""

    name: str
    plain: Wire
    client: TinkerClient
    official: TinkerClient
    run: str
    paths: list[str] = field(default_factory=list)

    @property
    def newest(self) -> TinkerPath:
        return TinkerPath.parse(self.paths[-1])

    async def names(self, run: str | None = None) -> list[str]:
        """The names of the run's checkpoints, as the dialect's client lists them."""
        listed = await self.client.checkpoints(run or self.run)
        return sorted(one.tinker_path.rpartition("/")[2] for one in listed)

    async def own_run(self) -> str:
        """The run's id as the dialect tells it."""
        made = [one for one in await self.client.training_runs() if one.user_metadata.get("scene") == "this"]
        return made[-1].training_run_id

    async def restore(self, path: TinkerPath | None = None, session: str | None = None, number: int = 0) -> str:
        session = session or await self.client.create_session(idempotency_key=f"{self.run}-{number}")
        return await self.client.restore_run(
            session_id=session,
            model_seq_id=number,
            path=path or self.newest,
            optimizer=True,
            user_metadata={"who": "c/n/r"},
            blank_metadata={},
            wait_seconds=30,
        )

    def delete_newest(self) -> TinkerPath:
        """Delete the newest checkpoint on the official wire."""
        gone = self.newest
        assert self.plain.delete(f"training_runs/{self.run}/checkpoints/weights/{gone.name}").is_success
        return gone

    def runs(self) -> list[dict[str, Any]]:
        """The owner's runs as they are."""
        listed: list[dict[str, Any]] = self.plain.get("training_runs", limit=100).json()["training_runs"]
        return listed


@asynccontextmanager
async def scene(served: Babel, name: str) -> AsyncIterator[Scene]:
    with ExitStack() as ending:
        plain = ending.enter_context(served.plain(name))
        run = plain.run(user_metadata={"scene": "this"})
        paths = [plain.saved(run, step) for step in ("step-1", "step-2")]
        async with (
            TinkerClient(served.url, SecretStr(spoken_key(name)), retry=FRUGAL) as client,
            TinkerClient(served.url, SecretStr(plain_key(name)), retry=FRUGAL) as official,
        ):
            yield Scene(name, plain, client, official, run, paths)


def missing(known: Capabilities) -> set[str]:
    """What is known to be missing; the archive is not part of the present API."""
    names = set(Capabilities.__dataclass_fields__) - {"archive"}
    return {name for name in names if getattr(known, name) is Support.MISSING}


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("no-client-config", "client_config"),
        ("no-sessions", "sessions"),
        ("no-user-checkpoints", "list_user_checkpoints"),
        ("no-delete", "delete"),
        ("no-publish", "publish"),
        ("no-ttl", "ttl"),
        ("no-run-listing", "list_runs"),
    ],
)
async def test_a_missing_call_is_found_missing_and_no_other(served: Babel, name: str, lacks: str) -> None:
    """And the service that lacks nothing is found to lack nothing; nothing was changed by asking."""
    async with scene(served, name) as at:
        before = (at.runs(), at.plain.get(f"training_runs/{at.run}/checkpoints").json())
        assert missing(await at.client.capabilities()) == {lacks}
        known = await at.official.capabilities()
        assert missing(known) == set()
        assert {known.delete, known.publish, known.ttl, known.list_runs, known.get_run} == {Support.SUPPORTED}
        assert (at.runs(), at.plain.get(f"training_runs/{at.run}/checkpoints").json()) == before


async def test_a_deletion_that_is_not_there_is_not_a_deletion(served: Babel) -> None:
    """It is no NotFound either, from which somebody could conclude that the checkpoint is gone."""
    async with scene(served, "no-delete") as at:
        with pytest.raises(RouteMissing):
            await at.client.delete_checkpoint(at.newest)
        assert await at.names() == ["step-1", "step-2"]


async def test_a_run_list_that_is_not_there_is_not_an_empty_one(served: Babel) -> None:
    async with scene(served, "no-run-listing") as at:
        with pytest.raises(RouteMissing):
            await at.client.training_runs()
        assert (await at.client.get_training_run(at.run)).corrupted is False


@pytest.mark.parametrize("name", ["no-create-form-422", "no-create-form-400"])
class TestWithoutTheOneCallRestore:
    async def test_a_run_is_restored_in_the_older_way(self, served: Babel, name: str) -> None:
        """Rank, base model and flags are the checkpoint's; its weights are in it; the way is remembered."""
        async with scene(served, name) as at:
            at.plain.train(at.run, 2)
            path = at.plain.saved(at.run, "trained")
            expected = at.plain.train(at.run, 2)
            made = await at.restore(TinkerPath.parse(path))
            assert (await at.client.get_info(made)).lora_rank == 4
            assert at.client.known_capabilities.create_form_load is Support.MISSING
            at.plain.seq[made] = 1
            assert at.plain.train(made, 2) == pytest.approx(expected)

    async def test_the_same_ids_again_make_no_second_run(self, served: Babel, name: str) -> None:
        """Neither on the same connection nor on a new one, as after a crash."""
        async with scene(served, name) as at:
            session = await at.client.create_session(idempotency_key=f"again-{at.run}")
            first = await at.restore(session=session)
            count = len(at.runs())
            assert await at.restore(session=session) == first
            async with TinkerClient(served.url, SecretStr(spoken_key(name)), retry=FRUGAL) as restarted:
                at.client = restarted
                assert await at.restore(session=session) == first
            assert len(at.runs()) == count

    async def test_a_run_that_is_not_loaded_yet_is_not_to_be_found_as_the_restored_one(
        self, served: Babel, name: str
    ) -> None:
        """Neither under the number that was asked for nor by the metadata."""
        async with scene(served, name) as at:
            session = await at.client.create_session(idempotency_key=f"blank-{at.run}")
            made = await at.restore(session=session, number=3)
            assert made == f"{session}:train:{BLANK_NUMBERS + 3}"
            with pytest.raises(NotFound):
                await at.client.get_training_run(f"{session}:train:3")
            assert (await at.client.get_training_run(made)).user_metadata == {}

    async def test_a_deleted_checkpoint_is_refused_and_no_run_is_made(self, served: Babel, name: str) -> None:
        async with scene(served, name) as at:
            gone, count = at.delete_newest(), len(at.runs())
            with pytest.raises(NotFound):
                await at.restore(gone)
            assert len(at.runs()) == count
            assert at.client.known_capabilities.create_form_load is Support.UNKNOWN


async def test_a_refused_checkpoint_is_not_tried_in_the_older_way(served: Babel) -> None:
    """The official service refuses it in its own words, and the client stays with the one call."""
    async with scene(served, "no-ttl") as at:
        play = {"model_id": at.run, "seq_id": at.plain.next_seq(at.run), "path": "play", "kind": "snapshot"}
        at.plain.ended(at.plain.post("save_weights_for_sampler", play))
        count = len(at.runs())
        with pytest.raises(BadRequest, match="Path is invalid"):
            await at.restore(TinkerPath.parse(f"tinker://{at.run}/sampler_weights/play"))
        assert len(at.runs()) == count
        assert await at.restore() in {one["training_run_id"] for one in at.runs()}
        assert at.client.known_capabilities.create_form_load is Support.SUPPORTED


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_success_is_one(served: Babel, status: int) -> None:
    async with scene(served, f"success-{status}") as at:
        session = await at.client.create_session(idempotency_key=f"success-{at.run}")
        await at.client.heartbeat(session)
        made = await at.restore(session=session)
        await at.client.delete_checkpoint(at.newest)
        await at.client.finish_session(session, "success")
        assert await at.names() == ["step-1"]
        assert (await at.client.get_training_run(made)).training_run_id == made


@pytest.mark.parametrize(
    ("name", "error", "category"),
    [
        ("failure-as-400", BadRequest, None),
        ("failure-as-error", FutureFailed, FutureCategory.UNKNOWN),
        ("failure-as-type", FutureFailed, FutureCategory.USER),
    ],
)
async def test_any_failure_is_one(
    served: Babel, name: str, error: type[Exception], category: FutureCategory | None
) -> None:
    """No run id comes of a load that failed; the cause is told; an unknown category is not made the user's."""
    async with scene(served, name) as at:
        at.plain.order("break-checkpoint", {"path": at.paths[-1], "how": "truncate"})
        with pytest.raises(error) as failure:
            await at.restore()
        assert getattr(failure.value, "category", None) == category
        assert "step-2" in str(failure.value)


async def test_a_crash_is_never_an_absence(served: Babel) -> None:
    """Nothing is concluded about what was asked for, and the connection goes on."""
    async with scene(served, "missing-as-500") as at:
        gone = at.delete_newest()
        with pytest.raises((ServerFault, ServiceUnreachable)):
            await at.client.get_training_run("nobody")
        with pytest.raises((ServerFault, ServiceUnreachable)):
            await at.client.checkpoints("nobody")
        with pytest.raises((ServerFault, ServiceUnreachable)):
            await at.client.delete_checkpoint(gone)
        with pytest.raises((ServerFault, ServiceUnreachable)):
            await at.restore(gone)
        assert await at.names() == ["step-1"]
        assert at.client.known_capabilities.delete is Support.UNKNOWN


@pytest.mark.parametrize(("name", "length"), [("short-ids", 14), ("uuid-ids", 36)])
async def test_ids_are_passed_on_as_they_came(served: Babel, name: str, length: int) -> None:
    async with scene(served, name) as at:
        run = await at.own_run()
        assert len(run) == length
        listed = await at.client.checkpoints(run)
        path = TinkerPath.listed(listed[0].tinker_path)
        assert path.training_run_id == run
        made = await at.restore(path)
        assert len(made) == length
        assert (await at.client.get_info(made)).model_id == made
        await at.client.delete_checkpoint(path)
        assert len(await at.client.checkpoints(run)) == 1


async def test_a_checkpoint_id_without_its_prefix_changes_nothing(served: Babel) -> None:
    """What counts is the path."""
    async with scene(served, "bare-checkpoint-ids") as at:
        listed = await at.client.checkpoints(at.run)
        assert {one.checkpoint_id for one in listed} == {"step-1", "step-2"}
        await at.client.delete_checkpoint(TinkerPath.listed(listed[0].tinker_path))
        assert len(await at.names()) == 1


async def test_a_sampler_path_of_two_parts_spoils_no_list_and_is_never_used(served: Babel) -> None:
    async with scene(served, "two-part-sampler-paths") as at:
        play = {"model_id": at.run, "seq_id": at.plain.next_seq(at.run), "path": "play", "kind": "snapshot"}
        at.plain.ended(at.plain.post("save_weights_for_sampler", play))
        by_kind = {one.checkpoint_type: one.tinker_path for one in await at.client.checkpoints(at.run)}
        assert set(by_kind) == {CheckpointType.TRAINING, CheckpointType.SAMPLER}
        with pytest.raises(InvalidTinkerPath):
            TinkerPath.listed(by_kind[CheckpointType.SAMPLER])
        assert TinkerPath.listed(by_kind[CheckpointType.TRAINING]).training_run_id == at.run


async def test_another_middle_part_is_passed_on_as_it_came(served: Babel) -> None:
    async with scene(served, "other-middle-part") as at:
        listed = [TinkerPath.listed(one.tinker_path) for one in await at.client.checkpoints(at.run)]
        assert {path.kind.value for path in listed} == {"training"}
        assert (await at.client.weights_info(listed[0])).lora_rank == 4
        assert (await at.client.get_info(await at.restore(listed[0]))).lora_rank == 4
        await at.client.delete_checkpoint(listed[0])
        assert len(await at.names()) == 1


async def test_times_without_a_zone_are_the_same_times(served: Babel) -> None:
    async with scene(served, "naive-times") as at:
        naive, aware = [await one.checkpoints(at.run) for one in (at.client, at.official)]
        assert [one.time for one in naive] == [one.time for one in aware]
        assert all(one.time is not None and one.time.tzinfo is not None for one in naive)


async def test_no_time_is_none_and_no_error(served: Babel) -> None:
    async with scene(served, "null-times") as at:
        assert {one.time for one in await at.client.checkpoints(at.run)} == {None}
        assert await at.names() == ["step-1", "step-2"]


async def test_a_clock_that_stands_still_is_read_as_it_is(served: Babel) -> None:
    """A run that seems unused for long is a run all the same: nothing but `corrupted` says that one is lost."""
    async with scene(served, "still-clock") as at:
        before = await at.client.get_training_run(at.run)
        at.plain.train(at.run)
        assert await at.client.get_training_run(at.run) == before
        assert before.corrupted is False


async def test_no_last_checkpoint_is_not_no_checkpoint(served: Babel) -> None:
    async with scene(served, "no-last-checkpoint") as at:
        assert (await at.client.get_training_run(at.run)).last_checkpoint is None
        assert await at.names() == ["step-1", "step-2"]


async def test_no_metadata_is_empty_metadata(served: Babel) -> None:
    async with scene(served, "no-metadata") as at:
        assert (await at.client.get_training_run(at.run)).user_metadata == {}
        assert (await at.official.get_training_run(at.run)).user_metadata == {"scene": "this"}


@pytest.mark.parametrize("name", ["zero-count", "no-cursor", "limit-500", "unpaged", "unordered"])
async def test_every_run_is_listed_once(served: Babel, name: str) -> None:
    """As many as come in several pages, and not a part of them."""
    async with scene(served, name) as at:
        at.plain.order("seed", {"runs": 620 if name == "limit-500" else 230, "owner": name})
        mine, official = [await one.training_runs() for one in (at.client, at.official)]
        assert len(mine) > 230
        assert sorted(one.training_run_id for one in mine) == sorted(one.training_run_id for one in official)


@pytest.mark.parametrize("name", ["paged-checkpoints", "capped-checkpoints", "unpaged", "unordered", "zero-count"])
async def test_every_checkpoint_is_listed_once(served: Babel, name: str) -> None:
    """Also where a full page is all that hints at the next one."""
    async with scene(served, name) as at:
        order = {"runs": 1, "checkpoints": 30, "owner": name}
        run = at.plain.order("seed", order)["runs"][0]
        assert await at.names(run) == sorted(f"step-{number}" for number in range(1, 31))


async def test_what_is_said_of_a_deleted_checkpoint_does_not_bring_it_back(served: Babel) -> None:
    """The list is what tells: neither the description nor a load that succeeds proves that it is there."""
    async with scene(served, "ghost-weights-info") as at:
        gone = at.delete_newest()
        assert (await at.client.weights_info(gone)).lora_rank == 4
        assert await at.names() == ["step-1"]
        with pytest.raises(NotFound):
            await at.restore(gone)
    async with scene(served, "ghost-load") as at:
        gone = at.delete_newest()
        with pytest.raises(NotFound):
            await at.client.weights_info(gone)
        assert await at.restore(gone) in {one["training_run_id"] for one in at.runs()}
        assert await at.names() == ["step-1"]


async def test_a_model_that_is_not_loaded_is_not_a_corrupted_run(served: Babel) -> None:
    """The model does not answer; the run is listed, whole and not corrupted; its checkpoints load."""
    async with scene(served, "unloaded-models") as at:
        with pytest.raises(NotFound):
            await at.client.get_info(at.run)
        assert (await at.client.get_training_run(at.run)).corrupted is False
        made = await at.restore()
        assert (await at.client.get_info(made)).model_id == made
