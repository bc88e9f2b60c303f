"""NaN and Inf counted with numpy over the safetensors library, tensor by tensor, in a process of its own.

The frugal way to do it with these two: one tensor at a time, never the whole file. See `inspection`.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from tests.bench.measured import measured, tell


def counted(path: Path) -> tuple[int, dict[str, int]]:
    """How many tensors there are, and how many values of which are not finite."""
    counts = {}
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        for name in names:
            tensor = file.get_tensor(name)
            if count := tensor.size - int(np.count_nonzero(np.isfinite(tensor))):
                counts[name] = count
    return len(names), counts


def main(folder: Path) -> None:
    """Scans what the inspection scans."""
    with measured() as cost:
        tensors, counts = counted(folder / "adapter_model.safetensors")
    tell(cost, {"tensors": tensors, "counts": counts, "odd": []})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
