"""All that was read from the cluster, from the service and from the training loop, as values.

`gather` makes it, `claims` judges it: between them there is nothing that could be forgotten to be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playground.demonstration.loop_log import Event, Told

_PATH = re.compile(r"tinker://[^/\s]+/[a-z_]+/")
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is for the API server, and what it answered when asked what they may do.

    Attributes:
        user: As `kubectl auth whoami` says.
        bindings: Names of the role bindings that name this service account.
        may: What was asked, in words, and the answer.
    """

    user: str
    bindings: frozenset[str]
    may: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class RunAtService:
    """A training run as the service has it.

    Attributes:
        run_id: Its id.
        corrupted: Whether the service flags it.
        session_alive: Whether the session that it lives in goes on.
    """

    run_id: str
    corrupted: bool
    session_alive: bool

    @property
    def live(self) -> bool:
        """Whether it could be trained on."""
        return self.session_alive and not self.corrupted


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the claims are judged by.

    Attributes:
        operator: The operator's identity.
        loop: The training loop's identity.
        shipped_bindings: Names of the role bindings in deploy/ that name the operator's service account.
        told: What the training loop printed.
        broken: Path of the checkpoint that was broken, the newest of the run when it was corrupted.
        training_run: The TrainingRun.
        policy: The CheckpointPolicy.
        cluster_events: Events about the TrainingRun, oldest first.
        runs: Every run at the service.
        checkpoints: Every checkpoint at the service, newest first.
    """

    operator: Identity
    loop: Identity
    shipped_bindings: frozenset[str]
    told: Told
    broken: str
    training_run: Json
    policy: Json
    cluster_events: tuple[Json, ...]
    runs: tuple[RunAtService, ...]
    checkpoints: tuple[Json, ...]

    @property
    def started(self) -> Event:
        """The loop's first run. Raises LookupError when it never started."""
        return self.told.all("started")[0]

    @property
    def resumed(self) -> Event:
        """The run that the loop went on in. Raises LookupError when it never did."""
        return self.told.all("resumed")[-1]

    @property
    def recovery(self) -> Json:
        """The newest entry of status.recovery.history. Raises LookupError when there is none."""
        record: Json = self.training_run["status"]["recovery"]["history"][-1]
        return record

    @property
    def expected(self) -> str:
        """Path of the checkpoint before the broken one: what the run should have been restored from."""
        saved = [str(it["path"]) for it in self.told.all("saved")]
        return saved[: saved.index(self.broken)][-1] if self.broken in saved else ""

    def metadata_of(self, path: str) -> Mapping[str, str]:
        """The user_metadata of a checkpoint at the service. Raises LookupError when it is not there."""
        found: dict[str, Mapping[str, str]] = {it["tinker_path"]: it["user_metadata"] for it in self.checkpoints}
        return found[path]

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the checkpoints at the service, newest first."""
        return tuple(str(it["tinker_path"]) for it in self.checkpoints)


def short_run(run_id: str) -> str:
    """A run's id, short enough for a line: `3f2a10bc…:train:0` keeps its beginning and its number."""
    session, _, number = run_id.partition(":")
    return f"{session[:8]}…:{number}"


def brief(text: str) -> str:
    """A text with the names of checkpoints in place of their paths."""
    return _PATH.sub("", text)


def short_path(path: str) -> str:
    """The name of a checkpoint without its run."""
    return path.rpartition("/")[2]
