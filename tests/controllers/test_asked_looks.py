"""How many looks come of those that are asked for: a crowd shares them, and nobody waits long. In a time that jumps."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import pytest
from tests.controllers.test_services import NOW, TEAM, Secrets, training_run
from tests.jumping import RunJumping

from tinker_operator.controllers.accounts import Account, Keyring
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.poller import SHORTEST_PAUSE_SECONDS, SHORTEST_PAUSES, Poller
from tinker_operator.controllers.services import Services
from tinker_operator.engine.store import Store
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.pure

PAUSE, MOST = SHORTEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS * SHORTEST_PAUSES
QUIET_SECONDS = 100.0


class Looked(Services):
    """Services that nobody is behind: it notes when each look is made."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(Keyring(Secrets(), None, "", frozenset()), clock=lambda: NOW, monotonic=monotonic)
        self.at: list[float] = []

    async def refresh(self, account: Account, watched: Iterable[str], *, max_age_seconds: float) -> None:  # noqa: ARG002 - as the other
        assert account == TEAM
        self.at.append(asyncio.get_running_loop().time())


ASKED: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "one who asks waits for one pause": ([0.0], [PAUSE]),
    "who asks within the pause shares the look": ([0.0, PAUSE / 2], [2 * PAUSE]),
    "who asks after the look has another one": ([0.0, 10.0], [PAUSE, 10.0 + PAUSE]),
    "a crowd that goes on asking is looked for in turns": (
        [at * 0.55 * PAUSE for at in range(12)],
        [MOST, 6 * 0.55 * PAUSE + MOST],
    ),
}


@pytest.mark.parametrize(("asked", "looks"), ASKED.values(), ids=ASKED)
def test_when_looks_come_that_are_asked_for(
    asked: Sequence[float], looks: Sequence[float], run_jumping: RunJumping
) -> None:
    async def main(clock: Callable[[], float]) -> list[float]:
        services, store = Looked(clock), Store()
        store.apply(TRAINING_RUNS.kind, training_run("r", interval=3600))
        poller = Poller(services, store, WorkQueue(clock, rng=lambda: 0.0), cluster_id="test", rng=lambda: 0.0)
        polling = asyncio.create_task(poller.run())
        await asyncio.sleep(QUIET_SECONDS)
        began, services.at = clock(), []
        for at in asked:
            await asyncio.sleep(began + at - clock())
            poller.soon(TEAM)
        await asyncio.sleep(QUIET_SECONDS)
        polling.cancel()
        return [at - began for at in services.at]

    assert run_jumping(main) == pytest.approx(looks)
