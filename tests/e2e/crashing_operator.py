"""The operator, killed by SIGKILL at every await that it has not been killed at before.

Started like the operator, with a file of the sites that were visited. Each time a round about a TrainingRun is
suspended, the place where it waits is looked up: the lines of the operator's own code that wait, how often they have
waited, and what the round has done so far. A place that is not in the file is written there, and the process kills
itself. Nobody keeps a list of crash points: a new await is a new one.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Coroutine, Generator
from pathlib import Path
from types import FrameType
from typing import Any

from tinker_operator.cli import main as command
from tinker_operator.controllers import composition, training_run
from tinker_operator.core.world import Action

PACKAGE = "tinker_operator"
WAITS_TOLD_APART = 3
"""Waits of one line of ours: to be connected, to have sent, to have an answer, as the library has them."""


class Visited:
    """The sites that the operator has been killed at, over all its lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = set(path.read_text().splitlines()) if path.exists() else set()

    def die_at(self, site: str) -> None:
        """Kills this process, unless it has been killed here before."""
        if site in self._known:
            return
        with self._path.open("a") as file:
            file.write(site + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


class Watched(Awaitable[Any]):
    """A round that is stepped through; every suspension is shown to `visited` before it is waited for."""

    def __init__(self, round_: Coroutine[Any, Any, Any], visited: Visited, done: list[str]) -> None:
        self._round, self._visited, self._done = round_, visited, done

    def __await__(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        failure: BaseException | None = None
        waits: Counter[str] = Counter()
        while True:
            try:
                waiting = self._round.send(sent) if failure is None else self._round.throw(failure)
            except StopIteration as end:
                return end.value
            site = f"{site_of(self._round)} after {'+'.join(self._done) or 'nothing'}"
            waits[site] += 1
            self._visited.die_at(f"{site} #{min(waits[site], WAITS_TOLD_APART)}")
            sent, failure = None, None
            try:
                sent = yield waiting
            except BaseException as raised:  # noqa: BLE001 - it is the round's to see
                failure = raised


def site_of(round_: Coroutine[Any, Any, Any]) -> str:
    """Returns where a suspended coroutine waits: every line of the operator's own code that waits for another."""
    own: list[str] = []
    waiting: Any = round_
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "ag_frame", None)
        if isinstance(frame, FrameType):
            module = str(frame.f_globals.get("__name__", ""))
            own += [f"{module.removeprefix(PACKAGE)}:{frame.f_lineno}"] if module.startswith(PACKAGE) else []
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)
    return " ".join(own)


def install(visited: Visited) -> None:
    """Puts every round about a TrainingRun under watch. The round itself is the operator's own, untouched."""
    parts, whole = vars(training_run), vars(composition)
    reconcile, perform = training_run.reconcile_training_run, parts["perform"]
    done: dict[asyncio.Task[Any] | None, list[str]] = {}

    async def noted(action: Action, *arguments: Any, **named: Any) -> Any:
        outcome = await perform(action, *arguments, **named)
        done.setdefault(asyncio.current_task(), []).append(f"{type(action).__name__}={type(outcome).__name__}")
        return outcome

    def watched(shell: Any, key: Any) -> Watched:
        steps = done[asyncio.current_task()] = []
        return Watched(reconcile(shell, key), visited, steps)

    parts["perform"] = noted
    whole["reconcile_training_run"] = watched


if __name__ == "__main__":
    install(Visited(Path(sys.argv.pop(1))))
    command.main()
