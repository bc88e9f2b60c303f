"""Which shard an object belongs to: by rendezvous hashing, so that another number of shards moves few objects.

Each shard draws a number for the object, and the highest has it. Of n + 1 shards the new one takes about one object in
n + 1, from all others alike; nothing moves between the others. The draw is a hash of the object's name alone, the same
in every process and release: whoever changes it has to change `SCHEME` as well.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Self

SCHEME: Final = "shards"
"""Names this way to share objects out. Processes that share out in different ways must never work at the same time."""
MOST_SHARDS: Final = 100


@lru_cache(maxsize=65536)
def shard_of(namespace: str, name: str, count: int) -> int:
    """Returns the number of the shard that an object belongs to.

    Args:
        namespace: The object's.
        name: The object's; its kind is no part of it, so that objects of one name stay together.
        count: How many shards there are, at least 1.
    """
    return max(range(count), key=lambda shard: _draw(namespace, name, shard))


def _draw(namespace: str, name: str, shard: int) -> bytes:
    # Neither a namespace nor a name can hold a slash, so no two objects spell the same.
    return blake2b(f"{namespace}/{name}/{shard}".encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Shard:
    """One share of all objects.

    Attributes:
        index: Its number, from 0.
        count: How many there are; 1 for an operator that is not shared out.

    Raises:
        ValueError: There is no such shard.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count <= MOST_SHARDS:
            raise ValueError(f"there is no shard {self}: of n it is 0 to n-1, and n is 1 to {MOST_SHARDS}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, namespace: str, name: str) -> bool:
        """Tells whether an object belongs to it."""
        return self.count == 1 or shard_of(namespace, name, self.count) == self.index

    @property
    def layout(self) -> str:
        """How objects are shared out: two processes may work side by side only if they have this in common."""
        return f"{self.count}-{SCHEME}"

    @classmethod
    def read(cls, text: str, pod: str | None = None) -> Self:
        """Returns the shard that a text names: `1/3`, or `auto/3` for the pod of a StatefulSet.

        Of more pods than shards, those beyond stand by for the first ones, the second for the second, and so on.

        Args:
            text: The text.
            pod: The pod's name, which ends in its ordinal.

        Raises:
            ValueError: It names none; the message says what to write.
        """
        index, slash, count = text.partition("/")
        if not slash or not count.isdecimal():
            raise ValueError("it is no <number>/<count> and no auto/<count>")
        if index != "auto":
            if not index.isdecimal():
                raise ValueError("its number is neither a number, from 0, nor auto")
            return cls(int(index), int(count))
        ordinal = (pod or "").rpartition("-")[2]
        if not ordinal.isdecimal():
            raise ValueError("auto needs the name of a StatefulSet's pod in POD_NAME, which ends in its number")
        return cls(int(ordinal) % max(int(count), 1), int(count))


WHOLE: Final = Shard()
"""All objects."""
