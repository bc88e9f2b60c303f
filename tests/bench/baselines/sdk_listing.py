"""What one writes without an operator: a loop that lists the checkpoints of each run in turn; see `policies`.

It uses the official SDK, keeps to the interval as well as it can, and says of each round how long it took and how many
checkpoints there were.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import tinker


def main(order: Mapping[str, Any]) -> None:
    """Lists until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    client = tinker.RestClient()
    while not stop.is_set():
        began, checkpoints = time.monotonic(), 0
        for run in order["runs"]:
            if stop.is_set():
                return
            checkpoints += len(client.list_checkpoints(run).result().checkpoints)
        took = time.monotonic() - began
        sys.stdout.write(json.dumps({"seconds": took, "checkpoints": checkpoints}) + "\n")
        sys.stdout.flush()
        stop.wait(max(0.0, order["interval"] - took))


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
