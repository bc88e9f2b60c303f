"""The limit: a loop that only writes one status to each TrainingRun, as fast as the API server takes them; see `scale`.

It looks at nothing, decides nothing, and keeps nothing: no operator that writes a status to each object is faster.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.measured import measured, tell

from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import key_of
from tinker_operator.engine.kube import KubeApi

AT_ONCE = 32


def status_at(now: str) -> dict[str, Any]:
    """A status of the size that the operator writes."""
    names = {"Ready": ("Live", "True"), "Synced": ("Observed", "True"), "Corrupted": ("NotCorrupted", "False")}
    conditions = [
        {
            "type": name,
            "status": value,
            "reason": reason,
            "message": "Nothing is wrong with the run, as far as the service tells.",
            "lastTransitionTime": now,
            "observedGeneration": 1,
        }
        for name, (reason, value) in names.items()
    ]
    return {"observedGeneration": 1, "trainingRunId": "x" * 40, "baseModel": "Qwen/Qwen3-8B", "conditions": conditions}


async def patch_all(order: Mapping[str, Any]) -> int:
    """Returns how many statuses it wrote."""
    status = status_at(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))  # noqa: TID251 - a program's top
    async with await KubeApi.connect(Path(order["kubeconfig"])) as api:
        listed = [obj async for obj in api.list_objects(TRAINING_RUNS, order["namespace"])]
        left = iter(listed)

        async def patch() -> int:
            done = 0
            for obj in left:
                version = obj["metadata"]["resourceVersion"]
                await api.patch_status(TRAINING_RUNS, key_of(TRAINING_RUNS.kind, obj), status, version)
                done += 1
            return done

        return sum(await asyncio.gather(*(patch() for _ in range(AT_ONCE))))


def main(order: Mapping[str, Any]) -> None:
    """Writes one status to each TrainingRun of a namespace, and says how many that were."""
    with measured() as cost:
        found = asyncio.run(patch_all(order))
    tell(cost, found)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
