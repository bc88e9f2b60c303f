"""Whose run is it: owner keys, and which of the runs that carry one is the current one.

Three ways lead to the current run, and all three must agree after any crash: the id in status, the id that spec
adopts, and the owner key that every successor carries at the service. The last one is what makes a cluster that
was rebuilt from Git find its runs again, and what tells when a training loop has gone on in a run of its own:

    spec adopts R0 ──corrupted──▶ operator restores S1 (attempt 1) ──hand-over──▶ the loop resumes in R2
                                  owner, attempt=1                              owner, attempt=1, resumed-at=…

R2 is then current: it is the run that trains. S1 was the proof that the checkpoint loads, and its session ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from tinker_operator.api.meta import ATTEMPT_KEY, GROUP, ORIGIN_KEY, OWNER_KEY, RESUMED_KEY
from tinker_operator.api.run_status import LINEAGE_LIMIT
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.world import ObservedRun

CREATE_ORIGIN = "create"
"""Origin of a run that the operator makes: there is no id before it exists."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Which run is current.

    Attributes:
        run_id: Its id; None while a run is still to be created.
        attempt: The recovery attempt that it came from.
    """

    run_id: str | None
    attempt: int


def origin_of(run: TrainingRun) -> str:
    """Returns what spec.run names: the adopted run's id, or `create`."""
    return run.spec.run.training_run_id or CREATE_ORIGIN


def followed(run: TrainingRun) -> str | None:
    """Returns the id of the run that the object follows now: in status if it is bound, else the adopted one."""
    bound = run.status.origin == origin_of(run)
    return (run.status.training_run_id if bound else None) or run.spec.run.training_run_id


def owner_of(run: TrainingRun, cluster_id: str) -> str:
    """Returns the owner key's value, `<cluster>/<namespace>/<name>`: the same after a rebuild from Git."""
    return f"{cluster_id}/{run.metadata.namespace}/{run.metadata.name}"


def ownership(run: TrainingRun, cluster_id: str, attempt: int) -> dict[str, str]:
    """Returns the metadata that marks a remote run as this object's, for this attempt."""
    return {OWNER_KEY: owner_of(run, cluster_id), ATTEMPT_KEY: str(attempt), ORIGIN_KEY: origin_of(run)}


def session_key(run: TrainingRun, purpose: str) -> str:
    """Returns the idempotency key of a session: the same for the same object and purpose, also after a crash."""
    return str(uuid5(NAMESPACE_URL, f"{GROUP}/{run.metadata.uid}/{purpose}"))


def bind(run: TrainingRun, owned: Iterable[ObservedRun]) -> Binding:
    """Returns the current run: the newest among the one in status, the one in spec and those with the owner key.

    Newest is the highest attempt; within an attempt a run that a loop resumed in comes after the operator's own,
    and a later resume after an earlier one. A run of another origin belongs to an earlier spec and is passed over.
    Once status is bound, only runs of its attempt count: an attempt under way, or one that failed, is not current.

    Args:
        run: The object.
        owned: Runs that carry its owner key.
    """
    origin = origin_of(run)
    bound = run.status.origin == origin and run.status.training_run_id is not None
    before = (
        Binding(run.status.training_run_id, run.status.attempt) if bound else Binding(run.spec.run.training_run_id, 0)
    )
    kin = [observed for observed in owned if observed.metadata.get(ORIGIN_KEY) == origin]
    ages = {observed.run_id: age_of(observed.metadata, observed.run_id) for observed in kin}
    start = ages.get(before.run_id or "", (before.attempt, "", ""))
    newest = max((age for age in ages.values() if not bound or age[0] == before.attempt), default=start)
    return Binding(newest[2], newest[0]) if newest > start else before


def age_of(metadata: Mapping[str, str], run_id: str) -> tuple[int, str, str]:
    """Returns the order of an owned run among its kin: attempt, resume time, id as the last tie-break."""
    attempt = metadata.get(ATTEMPT_KEY, "")
    return (int(attempt) if attempt.isdecimal() else 0, metadata.get(RESUMED_KEY, ""), run_id)


def next_lineage(run: TrainingRun, current: str, owned: Iterable[ObservedRun] = ()) -> tuple[str, ...]:
    """Returns the lineage with the current run at its end.

    A lineage that is not in status, because the object is new or was rebuilt, is put together from the adopted run
    and the runs that carry the owner key, in the order that they were made.

    Args:
        run: The object.
        current: The run that it follows now.
        owned: Runs that carry its owner key.
    """
    origin = origin_of(run)
    known = list(run.status.lineage)
    if run.status.origin != origin:
        ages = (age_of(one.metadata, one.run_id) for one in owned if one.metadata.get(ORIGIN_KEY) == origin)
        known = [*filter(None, (run.spec.run.training_run_id,)), *(age[2] for age in sorted(ages))]
    return (*(run_id for run_id in dict.fromkeys(known) if run_id != current), current)[-LINEAGE_LIMIT:]
