"""Keep the last five of each run, as a script does it: sort, slice, delete the rest. In a process of its own.

It is what people run today. It knows no protection, no second policy, no reference and no reason; see `retention`.
"""

import sys
from datetime import UTC, datetime

from tests.bench.measured import measured, tell
from tests.bench.retention import digest
from tests.bench.retention_world import KEEP_LAST, Sizes, listings

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def main(sizes: Sizes) -> None:
    """Lists what the script would delete, over the same objects."""
    its = listings(sizes)
    due: list[str] = []
    with measured() as cost:
        for listing in its.values():
            newest_first = sorted(listing, key=lambda it: it.time or _EARLIEST, reverse=True)
            due += (it.path for it in newest_first[KEEP_LAST:])
    tell(cost, digest(due))


if __name__ == "__main__":
    main(Sizes.read(sys.argv[1]))
