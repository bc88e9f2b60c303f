"""Which objects a change in the cluster wakes.

The object itself, the policies that a run's state bears on, the TrainingRuns that a policy's schedule governs or did,
and the TrainingRun that a Job was made for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.controllers.jobs import TRAINER_JOBS, owning_run
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS, parsed
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Change, Store
from tinker_operator.engine.wakes import essential

_BEARING = ("trainingRunId", "lineage", "lastCheckpoint", "recovery", "handOver")
"""Fields of a TrainingRun's status that decide what a policy may delete."""


def wakes(store: Store, change: Change) -> Iterator[ObjectKey]:
    """Yields the keys to work on after this change.

    Args:
        store: Tells which policies there are.
        change: What happened; an echo of an own status write wakes nobody but the policies that it bears on.
    """
    if change.key.kind == TRAINER_JOBS.kind:
        yield from _trained(change)
        return
    if essential(change):
        yield change.key
    if change.key.kind == TRAINING_RUNS.kind and (
        essential(change) or _bearing(change.before) != _bearing(change.after)
    ):
        yield from (key for key in _policies(store, change.key.namespace) if _selects(store.get(key), change))
    elif change.key.kind == CHECKPOINT_POLICIES.kind and essential(change):
        yield from (key for key in _policies(store, change.key.namespace) if key != change.key)
        yield from _scheduled(store, change)


def _trained(change: Change) -> Iterator[ObjectKey]:
    """The TrainingRun of a Job that came, went, ended, or is being deleted; its pods' counts are no news."""
    run = next((owner for one in (change.after, change.before) if one and (owner := owning_run(one))), None)
    if run is not None and _fate(change.before) != _fate(change.after):
        yield run


def _fate(job: KubeObject | None) -> tuple[object, ...]:
    if job is None:
        return ()
    conditions = (job.get("status") or {}).get("conditions") or ()
    stands = [(one.get("type"), one.get("status")) for one in conditions]
    return (job["metadata"]["uid"], job["metadata"].get("deletionTimestamp"), stands)


def _policies(store: Store, namespace: str) -> Iterator[ObjectKey]:
    yield from (key for key in tuple(store.by_kind(CHECKPOINT_POLICIES.kind)) if key.namespace == namespace)


def _selects(policy: KubeObject | None, change: Change) -> bool:
    """Tells whether the policy governed the TrainingRun before the change, or does after it."""
    wanted = _selector(policy)
    versions = (version for version in (change.before, change.after) if version is not None)
    return any(wanted.items() <= (version["metadata"].get("labels") or {}).items() for version in versions)


def _scheduled(store: Store, change: Change) -> Iterator[ObjectKey]:
    """The TrainingRuns whose save schedule the policy decides, or decided: their hand-over may have to change."""
    timings = [_timing(one) for one in (change.before, change.after)]
    if timings[0] == timings[1]:
        return
    for key, run in tuple(store.by_kind(TRAINING_RUNS.kind).items()):
        mine = key.namespace == change.key.namespace
        labels = (run["metadata"].get("labels") or {}).items()
        if mine and any(timing is not None and timing.selected.items() <= labels for timing in timings):
            yield key


@dataclass(frozen=True)
class _Timing:
    """What of a policy bears on when the loops of its TrainingRuns save."""

    uid: str
    selected: Mapping[str, str]
    schedule: Mapping[str, object]
    readable: bool


def _timing(policy: KubeObject | None) -> _Timing | None:
    spec = (policy or {}).get("spec") or {}
    if policy is None or not spec.get("schedule") or policy["metadata"].get("deletionTimestamp"):
        return None
    return _Timing(policy["metadata"]["uid"], _selector(policy), spec["schedule"], _is_readable(policy))


def _is_readable(policy: KubeObject) -> bool:
    """A policy that cannot be read leaves hand-overs as they stand: whatever makes it readable is news to its runs."""
    return parsed(CheckpointPolicy, policy) is not None


def _selector(policy: KubeObject | None) -> Mapping[str, str]:
    spec = (policy or {}).get("spec") or {}
    return (spec.get("selector") or {}).get("matchLabels") or {}


def _bearing(obj: KubeObject | None) -> tuple[object, ...]:
    status = (obj or {}).get("status") or {}
    return tuple(status.get(field) for field in _BEARING)
