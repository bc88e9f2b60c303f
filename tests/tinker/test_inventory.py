"""Listings of runs and checkpoints, in the official form and in every dialect."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tinker_operator.tinker import CheckpointType, TinkerClient
from tinker_operator.tinker.errors import IncompleteListing, InvalidResponse

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]


def run(number: int) -> dict[str, Any]:
    return {"training_run_id": f"r{number}", "base_model": "Q", "is_lora": True, "corrupted": number == 3}


def paged(rows: int, cap: int, cursor: Callable[[int, int], Any]) -> Callable[[httpx.Request], httpx.Response]:
    """Serve runs in pages of at most `cap`, with a cursor made from (offset, limit)."""

    def service(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        limit = min(cap, int(request.url.params["limit"]))
        page = {"training_runs": [run(number) for number in range(rows)][offset : offset + limit]}
        return httpx.Response(200, json=page | cursor(offset, limit))

    return service


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("cap", [100, 30])
@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(lambda rows, o, n: {"cursor": {"offset": o, "limit": n, "total_count": rows}}, id="official"),
        pytest.param(lambda _, o, n: {"cursor": {"offset": o, "limit": n, "total_count": 0}}, id="count always 0"),
        pytest.param(lambda _, o, n: {"cursor": {"offset": o, "limit": n}}, id="no count"),
        pytest.param(lambda _, _o, _n: {"cursor": None}, id="null cursor"),
        pytest.param(lambda _, _o, _n: {}, id="no cursor"),
        pytest.param(lambda rows, _o, _n: {"cursor": {"limit": 500, "total_count": rows}}, id="a limit of its own"),
    ],
)
async def test_all_runs_are_listed_in_every_dialect(
    connect: Connect, rows: int, cap: int, cursor: Callable[[int, int, int], Any]
) -> None:
    client = connect(paged(rows, cap, lambda offset, limit: cursor(rows, offset, limit)))
    assert [found.training_run_id for found in await client.training_runs()] == [f"r{n}" for n in range(rows)]
    assert [found.corrupted async for found in client.list_training_runs()] == [n == 3 for n in range(rows)]


async def test_a_listing_that_does_not_add_up_yields_nothing(connect: Connect) -> None:
    client = connect(paged(150, 100, lambda _, limit: {"cursor": {"limit": limit, "total_count": 151}}))
    seen = []
    with pytest.raises(IncompleteListing, match="training runs"):
        seen = [found async for found in client.list_training_runs()]
    assert seen == []


async def test_one_bad_run_spoils_its_listing(connect: Connect, script: Callable[..., Any]) -> None:
    page = {"training_runs": [run(1), run(2) | {"corrupted": None}], "cursor": {"total_count": 2}}
    with pytest.raises(InvalidResponse, match=r"training_runs\.1\.corrupted"):
        await connect(script(page)).training_runs()


def checkpoint(name: str) -> dict[str, Any]:
    return {
        "checkpoint_id": f"weights/{name}",
        "checkpoint_type": "training",
        "time": "2026-01-02T03:04:05",
        "tinker_path": f"tinker://r/weights/{name}",
        "size_bytes": 10,
        "user_metadata": {"step": "3"},
    }


@pytest.mark.parametrize(
    "cursor", [{}, {"cursor": None}, {"cursor": {"total_count": 0}}, {"cursor": {"total_count": 2}}]
)
async def test_checkpoints_come_in_one_request_unless_the_service_counts_more(
    connect: Connect, script: Callable[..., Any], cursor: dict[str, Any]
) -> None:
    service = script({"checkpoints": [checkpoint("a"), checkpoint("b")]} | cursor)
    found = await connect(service).checkpoints("r")
    assert [one.checkpoint_id for one in found] == ["weights/a", "weights/b"]
    assert found[0].time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (found[0].checkpoint_type, found[0].user_metadata) == (CheckpointType.TRAINING, {"step": "3"})
    assert len(service.asked) == 1


async def test_a_service_that_pages_checkpoints_is_followed(connect: Connect, script: Callable[..., Any]) -> None:
    cursor = {"cursor": {"total_count": 2}}
    service = script({"checkpoints": [checkpoint("a")]} | cursor, {"checkpoints": [checkpoint("b")]} | cursor)
    assert len(await connect(service).checkpoints("r")) == 2
    assert service.asked[1].url.params["offset"] == "1"


async def test_checkpoints_that_the_service_counts_and_does_not_give_are_missed(
    connect: Connect, script: Callable[..., Any]
) -> None:
    with pytest.raises(IncompleteListing, match="checkpoints"):
        await connect(script({"checkpoints": [checkpoint("a")], "cursor": {"total_count": 2}})).checkpoints("r")
