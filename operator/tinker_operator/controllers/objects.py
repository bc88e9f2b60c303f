"""Objects of the store as types, and the few questions that the shell has about them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import OWN_ACCOUNT, Account
from tinker_operator.core.policy_references import References, references
from tinker_operator.core.schedule_unread import UnreadPolicy
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.store import Store

TRAINING_RUNS = Resource(GROUP, VERSION, "trainingruns", "TrainingRun")
CHECKPOINT_POLICIES = Resource(GROUP, VERSION, "checkpointpolicies", "CheckpointPolicy")

M = TypeVar("M", bound=ApiModel)


def account_of(run: TrainingRun) -> Account:
    """Returns whose key the object uses."""
    reference = run.spec.credentials_ref
    return Account(run.metadata.namespace, reference.name) if reference else OWN_ACCOUNT


def parsed(model: type[M], obj: KubeObject | None) -> M | None:
    """Returns the object as its type; None when it does not exist or does not parse, which its own controller tells."""
    if obj is None:
        return None
    try:
        return model.model_validate(obj)
    except ValidationError:
        return None


def training_runs(store: Store, namespace: str | None = None) -> Iterator[TrainingRun]:
    """Yields every TrainingRun that parses, of one namespace or of all."""
    every = store.gathered(TRAINING_RUNS.kind, _every_run)
    return (run for run in every if namespace in {None, run.metadata.namespace})


def known_references(store: Store) -> References:
    """Returns what all TrainingRuns that parse refer to."""
    return store.gathered(TRAINING_RUNS.kind, _every_reference)


def unparsed(store: Store) -> Fault | None:
    """Returns a fault when a TrainingRun or a CheckpointPolicy anywhere does not parse: nothing goes then.

    What the one refers to, and what the other keeps, is unknown.
    """
    runs = store.gathered(TRAINING_RUNS.kind, _broken_runs)
    broken = [*runs, *store.gathered(CHECKPOINT_POLICIES.kind, _broken_policies)]
    if not broken:
        return None
    names = ", ".join(f"{key.kind} {key.namespace}/{key.name}" for key in broken[:3])
    message = f"What must stay is unknown, since this does not parse: {names}. Correct or delete it."
    return Fault(Reason.INVALID_SPEC, message, needs_user=True)


def checkpoint_policies(store: Store, namespace: str | None = None) -> Iterator[CheckpointPolicy]:
    """Yields every CheckpointPolicy that parses, of one namespace or of all."""
    return _all(store, CHECKPOINT_POLICIES, _AS_POLICY, namespace)


def unread_schedules(store: Store) -> Iterator[UnreadPolicy]:
    """Yields every CheckpointPolicy with a schedule that does not parse, wherever in it the trouble is."""
    for key in store.gathered(CHECKPOINT_POLICIES.kind, _broken_policies):
        obj = store.get(key) or {}
        metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
        if spec.get("schedule") is not None and not metadata.get("deletionTimestamp"):
            labels = (spec.get("selector") or {}).get("matchLabels")
            created = _time(metadata.get("creationTimestamp"))
            yield UnreadPolicy(key.namespace, key.name, created, labels if isinstance(labels, dict) else {})


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


_AS_RUN = partial(parsed, TrainingRun)
_AS_POLICY = partial(parsed, CheckpointPolicy)


def _broken(store: Store, resource: Resource, read: Callable[[KubeObject], object]) -> list[ObjectKey]:
    return sorted(key for key in store.by_kind(resource.kind) if store.derived(key, read) is None)


def _broken_runs(store: Store) -> list[ObjectKey]:
    return _broken(store, TRAINING_RUNS, _AS_RUN)


def _broken_policies(store: Store) -> list[ObjectKey]:
    return _broken(store, CHECKPOINT_POLICIES, _AS_POLICY)


def _every_run(store: Store) -> tuple[TrainingRun, ...]:
    return tuple(_all(store, TRAINING_RUNS, _AS_RUN, None))


def _every_reference(store: Store) -> References:
    return references(training_runs(store))


def _all(
    store: Store, resource: Resource, read: Callable[[KubeObject], M | None], namespace: str | None
) -> Iterator[M]:
    for key in tuple(store.by_kind(resource.kind)):
        if namespace in {None, key.namespace} and (one := store.derived(key, read)) is not None:
            yield one


def key_of_run(run: TrainingRun) -> ObjectKey:
    """Returns the work queue's name for the object."""
    return ObjectKey(TRAINING_RUNS.kind, run.metadata.namespace, run.metadata.name)
