"""What one writes without an operator: a loop that looks at each run in turn, and restores what is corrupted, in turn.

It uses the official SDK, believes the first look, keeps no journal, tries the newest checkpoint only, and writes the
same ConfigMap at the end. What it leaves out, the operator does in the time that it takes longer. See `recovery`, and
`scale`, which names the runs on standard input: there are too many for a command line.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tinker
from kubernetes import client, config
from tests.leaving import leave


@dataclass
class Loop:
    """The runs that it looks after.

    Attributes:
        current: Name → the run that is alive.
        namespace: Where hand-overs are written.
        interval: Seconds from the beginning of one round of looks to that of the next.
        stop: Set when it is to end.
        service: The SDK, with one session for all that it restores.
        cluster: The API server.
    """

    current: dict[str, str]
    namespace: str
    interval: float
    stop: threading.Event
    service: tinker.ServiceClient
    cluster: client.CoreV1Api

    def run(self) -> None:
        """Looks until it is stopped; says once that it has seen every run."""
        rest, told = tinker.RestClient(), False
        while not self.stop.is_set():
            began = time.monotonic()
            for name, run in self.current.items():
                if not self.stop.is_set() and rest.get_training_run(run).result().corrupted:
                    self.current[name] = self._restored(rest, name, run)
            if not told:
                sys.stdout.write("ready\n")
                sys.stdout.flush()
                told = True
            self.stop.wait(max(0.0, self.interval - (time.monotonic() - began)))

    def _restored(self, rest: tinker.RestClient, name: str, run: str) -> str:
        listed = rest.list_checkpoints(run).result().checkpoints
        newest = max((one for one in listed if one.checkpoint_type == "training"), key=lambda one: one.time)
        made = self.service.create_training_client_from_state_with_optimizer(newest.tinker_path).result()
        successor = str(made.model_id)
        document = {
            "version": 1,
            "attempt": 1,
            "trainingRunId": successor,
            "previousTrainingRunId": run,
            "checkpoint": newest.tinker_path,
        }
        metadata = client.V1ObjectMeta(name=f"{name}-handover")
        body = client.V1ConfigMap(metadata=metadata, data={"handover.json": json.dumps(document)})
        self.cluster.create_namespaced_config_map(self.namespace, body)
        return successor


def main(order: Mapping[str, Any]) -> None:
    """Runs until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    config.load_kube_config(order["kubeconfig"])  # type: ignore[no-untyped-call]  # has no types
    service = tinker.ServiceClient()
    try:
        Loop(order["runs"], order["namespace"], order["interval"], stop, service, client.CoreV1Api()).run()
    finally:
        service.close("success").result()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(given if "runs" in given else {**given, "runs": json.loads(sys.stdin.readline())})
    leave(0)
