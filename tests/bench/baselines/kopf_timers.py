"""What most operators of this kind are: a kopf timer for each object, which gets its own run and writes its status.

Fair to it: one HTTP client with a pool, statuses only where they changed, no annotations, a first tick at once.
See `scale`.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

import httpx
import kopf
from tests.bench.baselines.bare_patches import status_at

GROUP = "tinker-operator.dev"
IDLE_SECONDS = 0.5
"""How long kopf keeps a worker for an object without events; its own default of 5 s is slower."""


def registry_of(order: Mapping[str, Any], client: httpx.AsyncClient) -> kopf.OperatorRegistry:
    """The handler, with its client."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)

    @kopf.on.timer(
        GROUP, "v1alpha1", "trainingruns", interval=order["interval"], initial_delay=0, id="look", registry=registry
    )
    async def look(spec: Any, status: Any, patch: Any, meta: Any, **_: Any) -> None:
        found = (await client.get(f"/api/v1/training_runs/{spec['run']['trainingRunId']}")).raise_for_status().json()
        corrupted = "True" if found["corrupted"] else "False"
        told = [one for one in status.get("conditions", ()) if one["type"] == "Corrupted"]
        if [one["status"] for one in told] != [corrupted]:
            new = status_at(meta["creationTimestamp"], found["training_run_id"])
            next(one for one in new["conditions"] if one["type"] == "Corrupted")["status"] = corrupted
            patch.status.update(new)

    return registry


def settings() -> kopf.OperatorSettings:
    """As in its documentation, but for the one setting that would make it slower, and without Events."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.queueing.idle_timeout = IDLE_SECONDS
    chosen.persistence.finalizer = "bench.example/timer"
    return chosen


async def main(order: Mapping[str, Any]) -> None:
    """Runs until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    headers = {"X-API-Key": os.environ["TINKER_API_KEY"]}
    async with httpx.AsyncClient(base_url=os.environ["TINKER_BASE_URL"], headers=headers, timeout=60) as client:
        await kopf.operator(
            registry=registry_of(order, client),
            settings=settings(),
            standalone=True,
            namespaces=[order["namespace"]],
            stop_flag=stop,
        )


if __name__ == "__main__":
    logging.getLogger("kopf").setLevel(logging.ERROR)
    asyncio.run(main(json.loads(sys.argv[1])))
