"""The project's plans of a world, in a process of its own; see `retention`."""

import sys

from tests.bench.measured import measured, tell
from tests.bench.retention import digest
from tests.bench.retention_world import NOW, Sizes, listings, seen

from tinker_operator.core.policy import plan_policy


def main(sizes: Sizes) -> None:
    """Plans for each policy in turn, as the operator does; the world is there before it begins."""
    known = list(seen(sizes, listings(sizes)))
    due: list[str] = []
    with measured() as cost:
        for policy, what in known:
            due += (one.checkpoint.path for one in plan_policy(policy, what, NOW).pending)
    tell(cost, digest(due))


if __name__ == "__main__":
    main(Sizes.read(sys.argv[1]))
