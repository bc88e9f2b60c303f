"""Runs and checkpoints as REST clients see them: pages, order, ownership, lifetimes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from tests.simulator.bare import BASE_MODEL, Served, Wire

from tinker_simulator.app import make_app

pytestmark = pytest.mark.http


def test_a_run_says_what_it_is(api: Wire) -> None:
    """Every field of the wire, times with a zone."""
    run = api.run(rank=5, user_metadata={"a": "b"})
    path = api.saved(run, "one", user_metadata={"step": "1"}, ttl_seconds=3600)
    found = api.get(f"training_runs/{run}").json()

    last = found.pop("last_checkpoint")
    saved_at, expires_at = (datetime.fromisoformat(last.pop(name)) for name in ("time", "expires_at"))
    assert last.pop("size_bytes") > 1000
    assert last == {
        "checkpoint_id": "weights/one",
        "checkpoint_type": "training",
        "tinker_path": path,
        "public": False,
        "user_metadata": {"step": "1"},
    }
    assert expires_at - saved_at == timedelta(hours=1)
    assert datetime.fromisoformat(found.pop("last_request_time")).utcoffset() == timedelta()
    assert found == {
        "training_run_id": run,
        "base_model": BASE_MODEL,
        "model_owner": f"{api.key}-owner",
        "is_lora": True,
        "lora_rank": 5,
        "corrupted": False,
        "last_sampler_checkpoint": None,
        "user_metadata": {"a": "b"},
    }


def test_runs_are_listed_by_their_latest_request(api: Wire) -> None:
    """Training a run brings it to the front; reading it does not."""
    session = api.session()
    runs = [api.ended(api.create(session, number)).json()["model_id"] for number in range(3)]
    api.train(runs[0])
    assert api.get(f"training_runs/{runs[1]}").status_code == 200

    listed = [run["training_run_id"] for run in api.get("training_runs").json()["training_runs"]]
    assert listed == [runs[0], runs[2], runs[1]]


def test_pages_follow_the_cursor_to_the_end(api: Wire) -> None:
    """Each run once, the count on every page, an empty page after the last."""
    made = api.order("seed", {"runs": 7, "checkpoints": 2, "owner": f"{api.key}-owner"})["runs"]
    pages = [api.get("training_runs", limit=3, offset=offset).json() for offset in (0, 3, 6, 9)]

    assert [run["training_run_id"] for page in pages for run in page["training_runs"]] == made
    assert [len(page["training_runs"]) for page in pages] == [3, 3, 1, 0]
    assert {page["cursor"]["total_count"] for page in pages} == {7}
    everything = api.get("checkpoints", limit=10, offset=5).json()
    assert (len(everything["checkpoints"]), everything["cursor"]) == (9, {"offset": 5, "limit": 10, "total_count": 14})


@pytest.mark.parametrize(("route", "highest"), [("training_runs", 100), ("checkpoints", 1000)])
def test_a_limit_over_the_highest_is_lowered_and_the_cursor_says_so(api: Wire, route: str, highest: int) -> None:
    """A client that trusts its own limit would step over rows."""
    assert api.get(route, limit=5000).json()["cursor"]["limit"] == highest


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "many"}, {"offset": "-1"}])
def test_a_page_that_makes_no_sense_is_unprocessable(api: Wire, query: dict[str, str]) -> None:
    """422 names the field."""
    answer = api.get("training_runs", **query)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", next(iter(query))]


def test_seeded_checkpoints_load_and_break_one_by_one(api: Wire) -> None:
    """They share a file until one of them is broken."""
    api.order("seed", {"runs": 1, "checkpoints": 2, "owner": f"{api.key}-owner"})
    one, other = (found["tinker_path"] for found in api.get("checkpoints").json()["checkpoints"])
    api.order("break-checkpoint", {"path": one, "how": "remove"})

    assert api.ended(api.load(one)).json()["category"] == "user"
    assert "error" not in api.ended(api.load(other)).json()


def test_deleting_a_checkpoint_deletes_its_content_and_nothing_else(api: Wire, shared: Served) -> None:
    """The newest left is the run's last checkpoint; a second delete finds nothing."""
    run = api.run()
    older, newer = api.saved(run, "a"), api.saved(run, "b")
    folder = shared.state_dir / "checkpoints" / run.replace(":", "_") / "weights"
    assert len(list(folder.iterdir())) == 4

    assert api.delete(f"training_runs/{run}/checkpoints/weights/b").status_code == 204
    assert api.get(f"training_runs/{run}").json()["last_checkpoint"]["tinker_path"] == older
    assert [path.suffix for path in sorted(folder.iterdir())] == [".json", ".npz"]
    assert api.delete(f"training_runs/{run}/checkpoints/weights/b").status_code == 404
    assert api.load(newer).status_code == 404
    assert len(api.train(run)) == 1


def test_publishing_lets_others_load_and_only_the_owner_change(
    api: Wire, shared: Served, connect: Callable[..., Wire]
) -> None:
    """409 when it is so already, 404 for everybody else."""
    run = api.run()
    path, route = api.saved(run, "a"), f"training_runs/{run}/checkpoints/weights/a"
    stranger = connect(shared)
    before = [stranger.load(path).status_code, stranger.post("weights_info", {"tinker_path": path}).status_code]
    assert (before, api.delete(f"{route}/publish").status_code) == ([404, 404], 409)

    assert [api.post(f"{route}/publish").status_code, api.post(f"{route}/publish").status_code] == [204, 409]
    assert api.get(f"training_runs/{run}").json()["last_checkpoint"]["public"] is True
    assert "error" not in stranger.ended(stranger.load(path)).json()
    assert stranger.post("weights_info", {"tinker_path": path}).json()["base_model"] == BASE_MODEL
    refused = [
        stranger.delete(route),
        stranger.delete(f"{route}/publish"),
        stranger.put(f"{route}/ttl", {"ttl_seconds": None}),
        stranger.get(f"training_runs/{run}"),
    ]
    assert [answer.status_code for answer in refused] == [404] * 4
    assert api.delete(f"{route}/publish").status_code == 204


@pytest.mark.parametrize(
    ("ttl", "status"), [(3599, 400), (3600, 204), (315_360_000, 204), (315_360_001, 400), (None, 204)]
)
def test_a_lifetime_is_between_an_hour_and_ten_years(api: Wire, ttl: int | None, status: int) -> None:
    """Null takes it away; what is out of range changes nothing."""
    run = api.run()
    api.saved(run, "a", ttl_seconds=7200)
    before = api.get(f"training_runs/{run}").json()["last_checkpoint"]["expires_at"]

    assert api.put(f"training_runs/{run}/checkpoints/weights/a/ttl", {"ttl_seconds": ttl}).status_code == status
    after = api.get(f"training_runs/{run}").json()["last_checkpoint"]["expires_at"]
    assert (after == before) is (status == 400)
    assert (after is None) is (ttl is None)


def test_nobody_gets_in_without_a_key(shared: Served) -> None:
    """401 for none and for a wrong one; an unknown route answers 404 to those who have one."""
    for key in ({}, {"X-API-Key": "tml-wrong"}):
        stranger = Wire(shared.url, "tml-wrong")
        stranger.http.headers = {**key}
        assert [stranger.get("training_runs").status_code, stranger.post("client/config", {}).status_code] == [401, 401]
        stranger.http.close()


def test_an_unknown_route_answers_as_the_service_does(api: Wire) -> None:
    """The bare detail tells a missing route from a missing thing."""
    answer = api.get("no_such_route")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert api.get("training_runs/no-such-run").json() == {"detail": "Training run no-such-run not found"}


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def served_at(tmp_path: Path, clock: Clock) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A simulator in this process, living in the clock's time."""
    app = make_app(tmp_path, ["tml-a"], admin=True, clock=clock)
    async with TestClient(TestServer(app), headers={"X-API-Key": "tml-a"}) as client:
        yield client


async def test_an_expired_checkpoint_is_gone_for_every_reader(
    served_at: TestClient[web.Request, web.Application], clock: Clock
) -> None:
    """The run's last checkpoint is the newest that still lives; the name is free again."""
    order = {"runs": 1, "checkpoints": 2}
    run = (await (await served_at.post("/_simulator/seed", json=order)).json())["runs"][0]
    route = f"/api/v1/training_runs/{run}"
    ttl = await served_at.put(f"{route}/checkpoints/weights/step-2/ttl", json={"ttl_seconds": 3600})
    assert ttl.status == 204

    clock.now += timedelta(seconds=3599)
    before = await (await served_at.get(route)).json()
    assert before["last_checkpoint"]["checkpoint_id"] == "weights/step-2"
    clock.now += timedelta(seconds=1)
    after = await (await served_at.get(route)).json()
    assert after["last_checkpoint"]["checkpoint_id"] == "weights/step-1"
    listed = await (await served_at.get(f"{route}/checkpoints")).json()
    assert [found["checkpoint_id"] for found in listed["checkpoints"]] == ["weights/step-1"]
    assert (await (await served_at.get("/api/v1/checkpoints")).json())["cursor"]["total_count"] == 1
    info = await served_at.post("/api/v1/weights_info", json={"tinker_path": f"tinker://{run}/weights/step-2"})
    assert info.status == 404


async def test_an_administrator_moves_the_clock_forward_only(
    served_at: TestClient[web.Request, web.Application], clock: Clock
) -> None:
    """And the simulator lives in that time from then on."""
    moved = await served_at.post("/_simulator/clock", json={"advance_seconds": 90})
    back = await served_at.post("/_simulator/clock", json={"advance_seconds": -1})

    assert datetime.fromisoformat((await moved.json())["now"]) == clock.now + timedelta(seconds=90)
    assert back.status == 422
