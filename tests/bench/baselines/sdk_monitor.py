"""What one writes without an operator: a loop that gets each run in turn with the official SDK; see `scale`.

It keeps to the interval as well as it can, and says of each round how long it took and how many runs were corrupted.
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
    """Looks until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    client = tinker.RestClient()
    while not stop.is_set():
        began, corrupted = time.monotonic(), 0
        for run in order["runs"]:
            if stop.is_set():
                return
            corrupted += client.get_training_run(run).result().corrupted
        took = time.monotonic() - began
        sys.stdout.write(json.dumps({"seconds": took, "corrupted": corrupted}) + "\n")
        sys.stdout.flush()
        stop.wait(max(0.0, order["interval"] - took))


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
