"""The project's inspection of an export, in a process of its own; see `inspection`."""

import sys
from pathlib import Path

from tests.bench.measured import measured, tell

from tinker_operator.tinker.download import inspect_export
from tinker_operator.tinker.download.findings import NotFinite


def main(folder: Path) -> None:
    """Inspects everything: structure, rank and values, since that is what a checkpoint is judged by."""
    with measured() as cost:
        verdict = inspect_export(folder)
    odd = [finding for finding in verdict.findings if not isinstance(finding, NotFinite)]
    counts = {one.tensor: one.count for one in verdict.findings if isinstance(one, NotFinite)}
    tell(cost, {"tensors": verdict.tensors, "counts": counts, "odd": list(map(str, odd))})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
