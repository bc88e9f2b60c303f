"""The project's client doing one job of the bench, in a process of its own; see `client`."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.bench.measured import measured, tell

from tinker_operator.tinker import TinkerClient, TinkerPath
from tinker_operator.tinker.download import download_checkpoint, way_to

Job = Callable[[TinkerClient, Mapping[str, Any]], Awaitable[Any]]


async def listing(client: TinkerClient, _order: Mapping[str, Any]) -> list[str]:
    return [run.training_run_id for run in await client.training_runs()]


async def gets(client: TinkerClient, order: Mapping[str, Any]) -> list[str]:
    return [(await client.get_training_run(run)).training_run_id for run in order["runs"]]


async def gets_at_once(client: TinkerClient, order: Mapping[str, Any]) -> list[str]:
    room = asyncio.Semaphore(order["at_once"])

    async def one(run: str) -> str:
        async with room:
            return (await client.get_training_run(run)).training_run_id

    return await asyncio.gather(*map(one, order["runs"]))


async def downloading(client: TinkerClient, order: Mapping[str, Any]) -> int:
    path, target = TinkerPath.parse(order["path"]), Path(order["target"])
    async with way_to(order["url"], lambda: datetime.now(UTC)) as way:  # noqa: TID251 - a program's own clock
        done = await download_checkpoint(client, path, target, way, new_key=lambda: "unused: it is an export already")
    return done.total_bytes


JOBS: Mapping[str, Job] = {"list": listing, "get": gets, "get32": gets_at_once, "download": downloading}


async def main(order: Mapping[str, Any]) -> None:
    """Connects, makes a first call, and measures the job."""
    async with TinkerClient(order["url"], SecretStr(os.environ["TINKER_API_KEY"])) as client:
        await client.server_capabilities()
        with measured() as cost:
            found = await JOBS[order["job"]](client, order)
    tell(cost, found)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
