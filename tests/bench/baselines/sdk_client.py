"""The official SDK doing one job of the bench, in a process of its own, as its own command line does it; see `client`.

`download` is the command line's own function. It neither brings the files to the disk nor proves them, which ours does;
`download-safe` does both afterwards, for a comparison of equal promises.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tinker
from tests.bench.measured import measured, tell
from tests.leaving import leave
from tinker.cli.commands import checkpoint

PAGE = 100
Job = Callable[[tinker.RestClient, Mapping[str, Any]], Any]


def listing(client: tinker.RestClient, _order: Mapping[str, Any]) -> list[str]:
    """As `tinker run list --limit 0` does."""
    first = client.list_training_runs(limit=PAGE, offset=0).result()
    runs = list(first.training_runs)
    while len(runs) < first.cursor.total_count:
        page = client.list_training_runs(limit=PAGE, offset=len(runs)).result().training_runs
        if not page:
            break
        runs.extend(page)
    return [run.training_run_id for run in runs]


def gets(client: tinker.RestClient, order: Mapping[str, Any]) -> list[str]:
    return [client.get_training_run(run).result().training_run_id for run in order["runs"]]


def gets_at_once(client: tinker.RestClient, order: Mapping[str, Any]) -> list[str]:
    async def one(run: str, room: asyncio.Semaphore) -> str:
        async with room:
            return str((await client.get_training_run(run)).training_run_id)

    async def every() -> list[str]:
        room = asyncio.Semaphore(order["at_once"])
        return await asyncio.gather(*(one(run, room) for run in order["runs"]))

    return asyncio.run(every())


def downloading(client: tinker.RestClient, order: Mapping[str, Any]) -> int:
    target = Path(order["target"])
    target.mkdir(parents=True)
    return checkpoint._download_checkpoint(client, order["path"], target, show_progress=False, format="json")


def downloading_safely(client: tinker.RestClient, order: Mapping[str, Any]) -> int:
    total = downloading(client, order)
    for path in sorted(Path(order["target"]).iterdir()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            hashlib.file_digest(file, "sha256")
    return total


JOBS: Mapping[str, Job] = {
    "list": listing,
    "get": gets,
    "get32": gets_at_once,
    "download": downloading,
    "download-safe": downloading_safely,
}


def main(order: Mapping[str, Any]) -> None:
    """Connects, makes a first call, and measures the job. The address comes by TINKER_BASE_URL, as to the command."""
    client = tinker.RestClient()
    client.get_server_capabilities().result()
    with measured() as cost:
        found = JOBS[order["job"]](client, order)
    tell(cost, found)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    leave(0)
