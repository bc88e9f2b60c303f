"""A store, what downloads from it, and where to."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.tinker.conftest import FakeTime
from tests.tinker.download_store import (
    START,
    Content,
    FakeStore,
    StoreSource,
)

from tinker_operator.tinker.download import (
    Downloaded,
    download,
    way_to,
)
from tinker_operator.tinker.retry import RetryPolicy

MIB = 1 << 20


@dataclass
class World:
    """A store, what downloads from it, and where to."""

    store: FakeStore
    folder: Path
    time: FakeTime = field(default_factory=FakeTime)
    seen: list[tuple[int, int | None, str]] = field(default_factory=list)
    service_url: str = ""

    @property
    def age(self) -> float:
        """Seconds since the download began."""
        return self.time.now - 1000.0

    @property
    def target(self) -> Path:
        return self.folder / "adapter"

    async def fetch(self, source: Any = None, **settings: Any) -> Downloaded:
        retry = settings.pop("retry", RetryPolicy())
        async with way_to(
            self.service_url or self.store.url,
            lambda: START + timedelta(seconds=self.age),
            retry=retry,
            keeper=self.time.keeper(),
            progress=lambda *step: self.seen.append(step),
            silence_seconds=settings.pop("silence_seconds", 30.0),
        ) as way:
            return await download(source or StoreSource(self.store), self.target, way, **settings)

    def has(self, content: Content, name: str = "a.bin") -> bool:
        return hashlib.sha256((self.target / name).read_bytes()).hexdigest() == content.sha256()

    def left(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.folder.iterdir())
