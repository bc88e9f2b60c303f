"""Whose run is it: owner keys, and which of the runs that carry one is the current one.

Three ways lead to the current run, and all three must agree after any crash: the id in status, the id that spec
adopts, and the owner key that every successor carries at the service. The last one is what makes a cluster that
was rebuilt from Git find its runs again, and what tells when a training loop has gone on in a run of its own:

    spec adopts R0 ──corrupted──▶ operator restores S1 (attempt 1) ──hand-over──▶ the loop resumes in R2
                                  owner, attempt=1                              owner, attempt=1, resumed-at=…

R2 is then current: it is the run that trains. S1 was the proof that the checkpoint loads, and its session ends.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import NAMESPACE_URL, uuid5

from tinker_operator.api.meta import ATTEMPT_KEY, GROUP, ORIGIN_KEY, OWNER_KEY, RESUMED_KEY
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import RecoveryRecord, RecoveryResult
from tinker_operator.api.run_status import LINEAGE_LIMIT, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.discovery import discovered, newer_than_followed
from tinker_operator.core.inventory import Inventory
from tinker_operator.core.world import ObservedRun

CREATE_ORIGIN = "create"
"""Origin of a run that the operator makes: there is no id before it exists."""
DISCOVER_ORIGIN = "discover"
"""Origin of a run that was found by its metadata, followed by a colon and a digest of what was asked for."""
JOB_NAME_LIMIT = 63
"""Characters of a Job's name, which becomes a label of its pods."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Which run is current.

    Attributes:
        run_id: Its id; None while a run is still to be created.
        attempt: The recovery attempt that it came from.
        is_told: Whether status says so already.
    """

    run_id: str | None
    attempt: int
    is_told: bool = True


def origin_of(run: TrainingRun) -> str:
    """Returns what spec.run names: the adopted run's id, `create`, or `discover` with a digest of the metadata."""
    source = run.spec.run
    if source.discover is not None:
        asked = json.dumps(source.discover.user_metadata, sort_keys=True)
        return f"{DISCOVER_ORIGIN}:{sha256(asked.encode()).hexdigest()[:12]}"
    return source.training_run_id or CREATE_ORIGIN


def followed(run: TrainingRun) -> str | None:
    """Returns the id of the run that the object follows now: in status if it is bound, else the adopted one."""
    bound = run.status.origin == origin_of(run)
    return (run.status.training_run_id if bound else None) or run.spec.run.training_run_id


def owner_of(run: TrainingRun, cluster_id: str) -> str:
    """Returns the owner key's value, `<cluster>/<namespace>/<name>`: the same after a rebuild from Git."""
    return owner_key(cluster_id, run.metadata.namespace, run.metadata.name)


def owner_key(cluster_id: str, namespace: str, name: str) -> str:
    """Returns the same, of a TrainingRun that is known by its name alone."""
    return f"{cluster_id}/{namespace}/{name}"


def ownership(run: TrainingRun, cluster_id: str, attempt: int) -> dict[str, str]:
    """Returns the metadata that marks a remote run as this object's, for this attempt."""
    return {OWNER_KEY: owner_of(run, cluster_id), ATTEMPT_KEY: str(attempt), ORIGIN_KEY: origin_of(run)}


def session_key(run: TrainingRun, purpose: str) -> str:
    """Returns the idempotency key of a session: the same for the same object and purpose, also after a crash."""
    return str(uuid5(NAMESPACE_URL, f"{GROUP}/{run.metadata.uid}/{purpose}"))


def job_name(run: TrainingRun, attempt: int) -> str:
    """Returns the name of the Job of an attempt: the same whenever it is asked for, and no other object's."""
    ending = f"-a{attempt}"
    name = run.metadata.name
    if "." not in name and len(name) + len(ending) <= JOB_NAME_LIMIT:
        return name + ending
    return clipped_name(run, f"-{sha256(name.encode()).hexdigest()[:8]}{ending}")


def clipped_name(run: TrainingRun, ending: str) -> str:
    """Returns the object's name with an ending, as short as the name of a Job has to be."""
    return run.metadata.name.replace(".", "-")[: JOB_NAME_LIMIT - len(ending)].rstrip("-") + ending


def bind(run: TrainingRun, owned: Iterable[ObservedRun], inventory: Inventory) -> Binding:
    """Returns the current run: the one in status or spec, or a newer one among those with the owner key.

    A bound object leaves its run only for one that a training loop resumed in later. An object that is not bound,
    because it is new or its status was lost, takes the newest of its kin: the highest attempt, then the latest
    resume. A run of another origin belongs to an earlier spec, and one of an attempt that failed is dead. Without kin,
    it is the adopted run, or the newest that is discovered.

    Args:
        run: The object.
        owned: Runs that carry its owner key.
        inventory: All runs that can be seen.
    """
    origin = origin_of(run)
    kin = [
        one
        for one in owned
        if one.metadata.get(ORIGIN_KEY) == origin and _is_asked_for(run, one) and not _is_being_made(run, one)
    ]
    if run.status.origin == origin and run.status.training_run_id is not None:
        newer = newer_than_followed(run, inventory)
        return _later_resume(run, kin) if newer is None else Binding(newer.run_id, run.status.attempt)
    flight = run.status.recovery.in_flight
    dead = {record.attempt for record in run.status.recovery.history if record.result is not RecoveryResult.RECOVERED}
    dead |= {flight.attempt} if flight is not None else set()
    ages = [age_of(one.metadata, one.run_id) for one in kin]
    newest = max((age for age in ages if age[0] not in dead or age[1]), default=None)
    if newest is None or newest[2] == run.spec.run.training_run_id:
        found = next(iter(discovered(run, inventory)), None)
        return Binding(found.run_id if found else run.spec.run.training_run_id, 0)
    return Binding(newest[2], newest[0])


def _is_asked_for(run: TrainingRun, one: ObservedRun) -> bool:
    """A created run is only found again as what spec asks for; another model or rank is another run."""
    create = run.spec.run.create
    if create is None:
        return True
    return one.base_model == create.base_model and one.lora_rank in {None, create.lora.rank}


def _is_being_made(run: TrainingRun, one: ObservedRun) -> bool:
    """A run is listed before it has loaded: while its creation is journalled, only the answer to that proves it.

    One of an earlier try that failed is nobody's, for its session was finished.
    """
    creation = run.status.creation
    tried = creation is not None and (creation.session_id is not None or creation.sessions > 1)
    return tried and RESUMED_KEY not in one.metadata


def _later_resume(run: TrainingRun, kin: Iterable[ObservedRun]) -> Binding:
    status = run.status
    before = Binding(status.training_run_id, status.attempt)
    resumes = {one.run_id: age_of(one.metadata, one.run_id) for one in kin}
    since = resumes.get(before.run_id or "", (0, "", ""))[1]
    # A run that was followed before is never gone back to: it was lost, or left for a later one.
    unknown = [age for run_id, age in resumes.items() if run_id not in status.lineage]
    later = [age for age in unknown if age[1] > since and _belongs(run, age)]
    newest = max(later, key=lambda age: (age[1], age[2]), default=None)
    return Binding(newest[2], max(newest[0], status.attempt)) if newest is not None else before


def _belongs(run: TrainingRun, age: tuple[int, str, str]) -> bool:
    """A resume belongs to the present attempt, or overtook it: the loop did not wait for the new hand-over.

    Or the loop went on from an attempt that was called off after it had been handed over: nobody told the loop.
    """
    status = run.status
    if status.recovery.in_flight is None and age[0] > status.attempt:
        return any(record.attempt == age[0] and _was_left_to_a_loop(record) for record in status.recovery.history)
    started = [record.started_at for record in status.recovery.history if record.attempt == status.attempt]
    overtook = bool(started) and age[1] >= started[-1].astimezone(UTC).isoformat()
    return age[0] == status.attempt or (age[0] == status.attempt - 1 and overtook)


def _was_left_to_a_loop(record: RecoveryRecord) -> bool:
    return record.result is RecoveryResult.ABANDONED and record.mode is RecoveryMode.HAND_OVER


def age_of(metadata: Mapping[str, str], run_id: str) -> tuple[int, str, str]:
    """Returns the order of an owned run among its kin: attempt, resume time in UTC, id as the last tie-break."""
    attempt = metadata.get(ATTEMPT_KEY, "")
    return (int(attempt) if attempt.isdecimal() else 0, _resumed(metadata.get(RESUMED_KEY, "")), run_id)


def _resumed(text: str) -> str:
    try:
        resumed = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return (resumed if resumed.tzinfo else resumed.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


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


def fresh_status(status: TrainingRunStatus) -> TrainingRunStatus:
    """Returns the status of an object that begins to follow another run: what was counted stays, the rest is gone.

    An attempt for the former run has failed, whatever the new one is: what a loop makes of it is of another origin.
    """
    flight = status.recovery.in_flight
    if flight is not None and flight.failure is None:
        ended = {"failure": RecoveryResult.ABANDONED, "failure_message": "spec.run names another run now."}
        flight = flight.model_copy(update=ended)
    return TrainingRunStatus(
        observed_generation=status.observed_generation,
        conditions=status.conditions,
        session=status.session,
        recovery=status.recovery.model_copy(update={"restored_from": None, "in_flight": flight}),
        recoveries=status.recoveries,
        failed_attempts=status.failed_attempts,
        hooks=status.hooks,
        last_handled_reconcile_at=status.last_handled_reconcile_at,
    )
