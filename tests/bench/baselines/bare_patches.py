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


def status_at(now: str, run: str) -> dict[str, Any]:
    """The fields, and the text in them, of the operator's first status of a run that it adopts.

    Args:
        now: When, as the API server writes it.
        run: Its id at the service.
    """
    alive = f"Run {run} is alive and not corrupted."
    told = {
        "Reconciling": ("True", "HandingOver", alive),
        "Ready": ("False", "HandingOver", alive),
        "Synced": ("True", "Observed", "The service answers."),
        "Corrupted": ("False", "NotCorrupted", "The service does not flag the run."),
    }
    stamp = {"lastTransitionTime": now, "observedGeneration": 1}
    conditions = [
        {"type": name, "status": value, "reason": reason, "message": message, **stamp}
        for name, (value, reason, message) in told.items()
    ]
    return {
        "attempt": 0,
        "baseModel": "Qwen/Qwen3-8B",
        "conditions": conditions,
        "failedAttempts": 0,
        "lastCheckpoint": {"path": f"tinker://{run}/weights/step-3", "time": now},
        "lastRequestTime": now,
        "lineage": [run],
        "loraRank": 8,
        "observedGeneration": 1,
        "origin": run,
        "recoveries": 0,
        "recovery": {"attempt": 0, "attemptTimes": [], "history": []},
        "trainingRunId": run,
    }


async def patch_all(order: Mapping[str, Any]) -> int:
    """Returns how many statuses it wrote."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a program's top
    async with await KubeApi.connect(Path(order["kubeconfig"])) as api:
        listed = [obj async for obj in api.list_objects(TRAINING_RUNS, order["namespace"])]
        left = iter(listed)

        async def patch() -> int:
            done = 0
            for obj in left:
                version = obj["metadata"]["resourceVersion"]
                status = status_at(now, obj["spec"]["run"]["trainingRunId"])
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
