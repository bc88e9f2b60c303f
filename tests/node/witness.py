"""Who sees every training loop live and die: one open connection for each loop process, whatever machine it is on."""

from __future__ import annotations

import json
import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Condition, Thread
from typing import Any

SECONDS = 150.0


@dataclass(eq=False)
class Loop:
    """One process of the loop, as it told of itself.

    Attributes:
        training: Which training it belongs to.
        attempt: The attempt that it was made for, None when nobody said.
        pod: Where it runs.
        began: When it was there, on the witness's clock.
        ended: When it was gone; None while it lives.
        run: The run that it made, "" before.
        start: The step that it resumed from.
        losses: What it measured, by step.
        asks: Orders that it has asked for.
    """

    training: str
    attempt: str | None
    pod: str
    began: float
    changed: Condition
    send: Callable[[bytes], object]
    ended: float | None = None
    run: str = ""
    start: int = -1
    losses: dict[int, float] = field(default_factory=dict)
    asks: int = 0
    orders: int = 0

    def order(self, order: str) -> None:
        """Gives an order as soon as one is asked for; the loop may die of it."""
        self.wait(lambda: self.asks > self.orders, f"a question, to be answered with {order!r}")
        self.orders += 1
        self.send(f"{order}\n".encode())

    def do(self, order: str) -> None:
        """Gives an order, and waits until the next is asked for."""
        self.order(order)
        self.wait(lambda: self.asks > self.orders, f"{order!r} to be done")

    def end(self) -> None:
        """Waits until it is gone."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.ended is not None, SECONDS), f"{self} does not end"

    def wait(self, condition: Callable[[], object], what: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: condition() or self.ended is not None, SECONDS), f"no {what}: {self}"
            assert condition(), f"it ended instead of {what}: {self}"

    def __repr__(self) -> str:
        last = max(self.losses, default=None)
        lived = f"{self.began:.1f} to {self.ended and round(self.ended, 1)}"
        return f"Loop({self.training} {self.attempt} {self.pod} {lived}, {self.run} from {self.start}, step {last})"


class Witness:
    """Keeps the loops that ever were, in the order of their coming."""

    def __init__(self) -> None:
        self.loops: list[Loop] = []
        self.changed = Condition()
        self.address = ""

    def of(self, training: str) -> list[Loop]:
        """Returns the loops of a training, oldest first."""
        return [one for one in self.loops if one.training == training]

    def alive(self, training: str) -> list[Loop]:
        """Returns those that live."""
        return [one for one in self.of(training) if one.ended is None]

    def next(self, training: str, after: int) -> Loop:
        """Waits for the loop that comes after so many others."""
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.of(training)) > after, SECONDS)
            assert came, f"no loop after {self.of(training)}"
        return self.of(training)[after]

    def overlaps(self, training: str) -> list[tuple[Loop, Loop]]:
        """Returns the loops of a training that began before the one before them had ended."""
        return [(a, b) for a, b in pairwise(self.of(training)) if a.ended is None or a.ended > b.began]

    def hear(self, loop: Loop | None, told: dict[str, Any], send: Callable[[bytes], object]) -> Loop:
        """Takes one line of a loop; the first one says which it is."""
        with self.changed:
            if loop is None:
                loop = Loop(began=time.monotonic(), changed=self.changed, send=send, **told)
                self.loops.append(loop)
            elif "asks" in told:
                loop.asks += 1
            elif "step" in told:
                loop.losses[told["step"]] = told["loss"]
            else:
                loop.run, loop.start = told["run"], told["start"]
            self.changed.notify_all()
        return loop

    def lose(self, loop: Loop | None) -> None:
        """Takes it that a loop is gone."""
        with self.changed:
            if loop is not None:
                loop.ended = time.monotonic()
            self.changed.notify_all()


@contextmanager
def witness(host: str) -> Iterator[Witness]:
    """A witness that listens on this address.

    Args:
        host: Where Pods reach it.
    """
    sees = Witness()

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            loop = None
            with suppress(ConnectionError):
                for line in self.rfile:
                    loop = sees.hear(loop, json.loads(line), self.request.sendall)
            sees.lose(loop)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server((host, 0), Connection) as server:
        sees.address = f"{host}:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield sees
        server.shutdown()
