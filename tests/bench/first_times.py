"""Notes when each object of a kind first looks as it should, by one watch over a namespace: nobody is asked twice.

kubectl passes the API server's stream on line by line, and every line is stamped as it arrives.
"""

import json
import subprocess
import threading
import time
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
        looks_right: Tells whether an object looks as it should.
    """

    kubectl: Kubectl
    path: str
    looks_right: Callable[[Mapping[str, Any]], bool]
    _times: dict[str, float] = field(default_factory=dict)
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

    def wait_for(self, names: Collection[str], seconds: float) -> Mapping[str, float]:
        """Returns when each of these objects first looked as it should, on the monotonic clock, once all have.

        Raises:
            Untrue: Not all did in time.
        """
        wanted = set(names)
        with self._news:
            if not self._news.wait_for(lambda: self._has(wanted), seconds):
                left = len(wanted - self._times.keys())
                raise Untrue(f"not within {seconds:g} s: {left} of {len(wanted)} do not look as they should")
            return {name: self._times[name] for name in names}

    def _has(self, wanted: AbstractSet[str]) -> bool:
        """The lengths first: they are compared at each event, the names only when there are enough of them."""
        return len(self._times) >= len(wanted) and self._times.keys() >= wanted

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
            if self.looks_right(event["object"]):
                self._times.setdefault(str(event["object"]["metadata"]["name"]), now)
            self._news.notify_all()
