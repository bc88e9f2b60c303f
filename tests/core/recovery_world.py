"""The world around one TrainingRun for the model-based tests: a service, a cluster, training loops, and what is proven.

`World` is `FakeService` with Jobs whose pods may hang, loads that take their time, and a memory of every proof that
was made, so that a test can tell whether a checkpoint that is restored or handed over was proven as it was asked for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tests.core.builders import FIRST, FakeService

from tinker_operator.api.meta import RESUMED_KEY, VALIDATES_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_spec import TrainingRunSpec
from tinker_operator.core.world import (
    Action,
    Answer,
    CreateTrainerJob,
    DeleteTrainerJob,
    Done,
    Fault,
    InspectExport,
    JobPhase,
    JobSeen,
    Outcome,
    Question,
    RestoreRun,
    RunMade,
    StillPending,
    WeightsOf,
)

OTHER = "other:train:0"
TRAINER = {"template": {"spec": {"template": {"spec": {"containers": [{"name": "loop", "image": "i"}]}}}}}
WITH_PODS = frozenset({JobPhase.RUNNING, JobPhase.DELETING})
CONFLICT = Fault(Reason.TRAINER_CONFLICT, "A former Job is being deleted. The new one is made when it is gone.")


@dataclass
class World(FakeService):
    """A service and a cluster.

    Attributes:
        slow: How many times the next new load is answered with StillPending.
        weighed: Paths whose weights were asked for.
        loaded: Paths that were loaded in a session apart.
        inspected: Paths whose export was found sound.
        most_jobs: The most Jobs with pods that there ever were at once.
    """

    slow: int = 0
    weighed: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    inspected: set[str] = field(default_factory=set)
    most_jobs: int = 0

    def answer(self, question: Question) -> Answer:
        """Answers, and remembers what was weighed."""
        if isinstance(question, WeightsOf):
            self.weighed.add(question.path)
        return super().answer(question)

    def perform(self, action: Action) -> Outcome:
        """Does what is asked, and remembers what it proved."""
        outcome = self._done(action)
        match action, outcome:
            case RestoreRun(checkpoint=path, metadata=metadata), RunMade() if VALIDATES_KEY in metadata:
                self.loaded.add(path)
            case InspectExport(checkpoint=path), Done():
                self.inspected.add(path)
            case _:
                pass
        self.most_jobs = max(self.most_jobs, sum(job.phase in WITH_PODS for job in self.jobs.values()))
        return outcome

    def _done(self, action: Action) -> Outcome:
        match action:
            case CreateTrainerJob(name=name) if name in self.jobs and self.jobs[name].phase is JobPhase.DELETING:
                return CONFLICT
            case DeleteTrainerJob(name=name, uid=uid):
                return self._delete(name, uid)
            case RestoreRun(session_id=session, model_seq_id=number) if (
                self.slow and self.down is None and (session, number) not in self.outcomes
            ):
                self.slow -= 1
                return StillPending()
            case _:
                return super().perform(action)

    def _delete(self, name: str, uid: str) -> Outcome:
        job = self.jobs.get(name)
        if job is not None and job.uid == uid:
            hangs = self.pods_hang and job.phase in WITH_PODS
            self.jobs = {other: one for other, one in self.jobs.items() if other != name}
            self.jobs |= {name: replace(job, phase=JobPhase.DELETING)} if hangs else {}
        return Done()

    def job_is(self, phase: JobPhase, now: datetime, *, reason: str = "") -> None:
        """A running Job ends, or is deleted by somebody."""
        for name, job in tuple(self.jobs.items()):
            if job.phase is JobPhase.RUNNING:
                self.jobs[name] = replace(job, phase=phase, finished_at=now, reason=reason, exit_code=1)

    def job_of(self, attempt: int) -> JobSeen | None:
        """Returns the Job of an attempt."""
        return next((job for job in self.jobs.values() if job.attempt == attempt), None)

    def resumes(self, document: str, now: datetime) -> str:
        """A loop makes its run from what it read, whenever that was; returns the run's id."""
        self.loops += 1
        metadata = {**json.loads(document)["userMetadata"], RESUMED_KEY: now.isoformat()}
        run_id = f"loop{self.loops}:train:0"
        self.add_run(run_id, metadata=metadata, last_request_time=now)
        return run_id


def proven(spec: TrainingRunSpec, world: World, path: str, *, apart: bool) -> bool:
    """Tells whether a checkpoint was proven as spec asks; `apart` where the restoring load is no proof of its own."""
    return {
        "Listed": True,
        "Metadata": path in world.weighed,
        "Load": path in world.weighed and (not apart or path in world.loaded),
        "Archive": path in world.weighed and path in world.inspected,
    }[spec.recovery.validation]


RUNS: Mapping[str, Mapping[str, Any]] = {
    "first": {"trainingRunId": FIRST},
    "other": {"trainingRunId": OTHER},
    "typo": {"trainingRunId": "typo:train:0"},
    "create": {"create": {"baseModel": "Qwen/Qwen3-8B", "lora": {"rank": 8}}},
    "discover": {"discover": {"userMetadata": {"experiment": "math"}}},
}
STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "latest": {"checkpointStrategy": "Latest"},
    "best": {"checkpointStrategy": "Best", "metric": {"name": "loss"}},
    "specific": {"checkpointStrategy": "Specific", "checkpoint": f"tinker://{FIRST}/weights/step-20"},
}
HOOK = {"name": "chat", "webhook": {"urlSecretRef": {"name": "hooks", "key": "url"}}}


def spec_of(wish: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns spec and spec.recovery of a wish: what a user may write, by the rules of the API server."""
    mode = wish["mode"]
    spec = {
        "run": RUNS[wish["run"]],
        "suspend": wish["suspend"],
        "managementPolicy": wish["managementPolicy"],
        "deletionPolicy": wish["deletionPolicy"],
        **({"trainer": TRAINER} if mode == "Relaunch" else {}),
    }
    recovery = {
        "enabled": wish["enabled"],
        "mode": mode,
        "maxAttempts": wish["maxAttempts"],
        "validation": wish["validation"],
        "onMissing": wish["onMissing"],
        "jitter": wish["jitter"],
        "retryOn": wish["retryOn"],
        **STRATEGIES[wish["strategy"]],
        **({"onRecovery": [HOOK], "onFailure": [HOOK]} if wish["hooks"] else {}),
    }
    return spec, recovery


CLASSES = ["CheckpointInvalid", "BackendUnavailable", "Timeout", "SessionLost", "Conflict", "TrainerFailed"]
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "run": ("first", "first", "other", "create", "discover", "typo"),
    "mode": ("Recreate", "Relaunch", "HandOver"),
    "enabled": (True, True, True, False),
    "suspend": (False, False, False, True),
    "managementPolicy": ("Full", "Full", "Full", "ObserveOnly"),
    "deletionPolicy": ("Retain", "Delete"),
    "maxAttempts": (1, 2, 3, 20),
    "validation": ("Listed", "Metadata", "Load", "Archive"),
    "onMissing": ("Stall", "Recover"),
    "jitter": ("None", "Full"),
    "retryOn": (CLASSES, CLASSES, []),
    "strategy": ("latest", "latest", "best", "specific"),
    "hooks": (True, False),
}
"""What a user may wish for, field by field."""
PLAIN: Mapping[str, Any] = {name: of[0] for name, of in CHOICES.items()} | {"maxAttempts": 20, "validation": "Metadata"}
"""What is wished for at first, and again in the end."""
