"""Notes when each object of a kind first looks as it should, by one watch over a namespace: nobody is asked twice.

kubectl passes the API server's stream on line by line, and every line is stamped as it arrives.
"""

import json
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.bench.outcome import Untrue

from playground.kubectl import Kubectl


@dataclass
class FirstTimes:
    """A watch from the moment that it is entered on.

    Attributes:
        kubectl: As somebody who may watch them.
        path: Of the collection at the API server.
        looks: Name of a state → tells whether an object is in it.
    """

    kubectl: Kubectl
    path: str
    looks: Mapping[str, Callable[[Mapping[str, Any]], bool]]
    _times: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    _news: threading.Condition = field(default_factory=threading.Condition)
    _version: str = ""
    _over: bool = False

    def __enter__(self) -> Self:
        listed = json.loads(self.kubectl("get", "--raw", f"{self.path}?limit=1").stdout)
        self._version = listed["metadata"]["resourceVersion"]
        self._begin()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._news:
            self._over = True
            self._child.terminate()
        self._reader.join(timeout=10)

    def _begin(self) -> None:
        path = f"{self.path}?watch=1&resourceVersion={self._version}"
        command = [str(self.kubectl.program), f"--kubeconfig={self.kubectl.kubeconfig}", "get", "--raw", path]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait_for(self, state: str, names: Collection[str], seconds: float) -> Mapping[str, float]:
        """Returns when each of these objects was first in a state, on the monotonic clock, once all have been.

        Raises:
            Untrue: Not all did in time.
        """
        times = self.within(state, names, seconds)
        if left := len(set(names) - times.keys()):
            raise Untrue(f"not within {seconds:g} s: {left} of {len(names)} are not {state}")
        return times

    def within(self, state: str, names: Collection[str], seconds: float) -> Mapping[str, float]:
        """Returns when each of these objects was first in a state: all of them, or those that were within some time."""
        wanted = set(names)
        with self._news:
            times = self._times[state]
            self._news.wait_for(lambda: _has(times, wanted), seconds)
            return {name: times[name] for name in names if name in times}

    def _read(self) -> None:
        """The API server ends the watch of whoever reads too slowly: then it goes on where it was."""
        while not self._over:
            assert self._child.stdout is not None
            with self._child, self._child.stdout as lines:
                for line in lines:
                    self._note(json.loads(line), time.monotonic())
            with self._news:
                if not self._over:
                    self._begin()

    def _note(self, event: Mapping[str, Any], now: float) -> None:
        with self._news:
            self._over = self._over or event["type"] == "ERROR"
            if self._over:
                return
            self._version = event["object"]["metadata"]["resourceVersion"]
            for state, is_so in self.looks.items():
                if is_so(event["object"]):
                    self._times[state].setdefault(str(event["object"]["metadata"]["name"]), now)
            self._news.notify_all()


def _has(times: Mapping[str, float], wanted: AbstractSet[str]) -> bool:
    """The lengths first: they are compared at each event, the names only when there are enough of them."""
    return len(times) >= len(wanted) and times.keys() >= wanted
