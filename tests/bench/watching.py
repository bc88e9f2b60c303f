"""Notes when hand-overs are written, by one watch over all of a namespace: nobody is asked how far it is.

kubectl passes the API server's stream on line by line, and every line is stamped as it arrives.
"""

import json
import subprocess
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.bench.outcome import Untrue

from playground.kubectl import Kubectl

_EVERY_NAMESPACE_HAS = "kube-root-ca.crt"
_SUFFIX = "-handover"


@dataclass(frozen=True, slots=True)
class Written:
    """A hand-over of a run that was restored.

    Attributes:
        at: When its first appearance arrived, in seconds of the monotonic clock.
        document: It.
    """

    at: float
    document: Mapping[str, Any]


@dataclass
class HandOverWatch:
    """A watch, entered when it runs; only hand-overs after a recovery (attempt 1 or more) are noted.

    Attributes:
        kubectl: As somebody who may watch ConfigMaps.
        namespace: Which.
    """

    kubectl: Kubectl
    namespace: str
    _written: dict[str, Written] = field(default_factory=dict)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _live: bool = False

    def __enter__(self) -> Self:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps?watch=1"
        command = [str(self.kubectl.program), f"--kubeconfig={self.kubectl.kubeconfig}", "get", "--raw", path]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._wait(lambda: self._live, "the watch to begin", 30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.terminate()
        self._child.wait(timeout=10)
        self._reader.join(timeout=10)
        assert self._child.stdout is not None
        self._child.stdout.close()

    def wait_for(self, names: Collection[str], seconds: float) -> Mapping[str, Written]:
        """Returns the hand-overs of these TrainingRuns, once all are written."""
        self._wait(lambda: self._written.keys() >= set(names), f"hand-overs of all {len(names)}", seconds)
        return {name: self._written[name] for name in names}

    def _wait(self, holds: Any, what: str, seconds: float) -> None:
        with self._news:
            if not self._news.wait_for(holds, seconds):
                raise Untrue(f"not within {seconds:g} s: {what}; {len(self._written)} hand-overs were written")

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            now = time.monotonic()
            with self._news:
                self._note(json.loads(line)["object"], now)
                self._news.notify_all()

    def _note(self, found: Mapping[str, Any], now: float) -> None:
        name = str(found["metadata"]["name"])
        self._live = self._live or name == _EVERY_NAMESPACE_HAS
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) not in self._written:
            document = json.loads(found["data"]["handover.json"])
            if document["attempt"] >= 1:
                self._written[name.removesuffix(_SUFFIX)] = Written(now, document)
