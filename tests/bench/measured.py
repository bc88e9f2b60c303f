"""What a job costs the process that does it: every contender, ours or a baseline, is measured by this."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass
class Cost:
    """What a job took.

    Attributes:
        wall_seconds: By the monotonic clock.
        cpu_seconds: User and system time of the whole process, all threads.
        grown_bytes: By how much the peak of resident memory rose above what was resident when the job began.
        ready_cpu_seconds: What the process had used before: the interpreter, imports, the first call.
        ready_bytes: What was resident before.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    grown_bytes: int = 0
    ready_cpu_seconds: float = 0.0
    ready_bytes: int = 0


def _kept(name: str) -> int:
    """A line of the process's own status, in bytes."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


@contextmanager
def measured() -> Iterator[Cost]:
    """Measures what is done inside; the cost is complete when it is left."""
    cost = Cost(ready_cpu_seconds=time.process_time())
    _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    cost.ready_bytes = _kept("VmRSS")
    began = time.perf_counter()
    yield cost
    cost.wall_seconds = time.perf_counter() - began
    cost.cpu_seconds = time.process_time() - cost.ready_cpu_seconds
    cost.grown_bytes = max(0, _kept("VmHWM") - cost.ready_bytes)


def tell(cost: Cost, found: Any) -> None:
    """Says in one line what the job cost and what it found; the bench reads it and compares what was found."""
    sys.stdout.write(json.dumps({"cost": asdict(cost), "found": found}) + "\n")
