"""The decision about a TrainingRun: from everything observed to what is done now.

Read it from the top: each line of `_decide` is one situation, and the first that applies settles it. Silence of the
service comes before anything that could act, so that trouble in reaching a run is never taken for its failure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_spec import OnMissing
from tinker_operator.api.recovery_status import Cause
from tinker_operator.api.run_spec import ManagementPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import with_status
from tinker_operator.core.conditions import Finding, Standing, find_condition, findings_of
from tinker_operator.core.creation import continue_creation
from tinker_operator.core.decision import Decision, decision_findings, held_up, stalled, step
from tinker_operator.core.farewell import FINALIZER, wants_finalizer
from tinker_operator.core.freshness import judge_freshness, with_freshness
from tinker_operator.core.hooks import with_calls
from tinker_operator.core.identity import Binding, bind, origin_of, owner_of
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.live import keep_alive
from tinker_operator.core.observation import corrupted_finding, heeded, known
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.recovery import begin_recovery, continue_recovery
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import Absent, Fault, ObservedRun, RunView, SetFinalizer

GRACE_POLLS = 3
"""Polls that may fail before a live run is no longer called Ready: one lost answer must not page anybody."""
SILENT_SECONDS = 15.0
"""How long nothing is said of an object whose service is being looked at: what is said then is worth more."""
LAST_REQUEST_EVERY = timedelta(minutes=10)
"""How often status.lastRequestTime may be the only thing that is written."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to do about a TrainingRun now.

    Attributes:
        decision: Journal, standing and actions.
        findings: Every condition, before the outcomes are known.
        silent: True when status stays as it is, since the next look is about to tell more.
    """

    decision: Decision
    findings: tuple[Finding, ...]
    silent: bool = False

    @property
    def plan(self) -> Plan:
        """What to do, and when to look again."""
        return self.decision.plan


def plan_run(run: TrainingRun, seen: RunSeen, now: datetime) -> RunPlan:
    """Decides about a TrainingRun.

    Args:
        run: The object as the API server has it.
        seen: What was observed.
        now: The time of the decision.

    Raises:
        Unanswered: Something must be read first; decide again with the answer.
    """
    asked = with_status(run, heeded(run))
    owned = seen.inventory.owned.get(owner_of(run, seen.cluster_id), ())
    binding = bind(asked, owned, seen.inventory)
    # What is being made must show in the newest look, or it would be made twice; only a run at rest bears a doubt.
    at_rest = run.status.recovery.in_flight is None and not _creates(run)
    view = (seen.inventory.view if at_rest else seen.inventory.strict_view)(binding.run_id or "")
    current = with_status(asked, known(asked, binding, view, owned))
    is_told = run.status.training_run_id == binding.run_id and run.status.origin == origin_of(run)
    binding = replace(binding, is_told=is_told)
    if wants_finalizer(run) is not (FINALIZER in run.metadata.finalizers):
        decision = _bound_to_its_checkpoints(current, view)
    elif run.spec.suspend:
        decision = _suspended(current, view)
    elif run.spec.management_policy is ManagementPolicy.OBSERVE_ONLY:
        decision = _observed_only(current, binding, view, seen, now)
    else:
        decision = with_calls(current, _decide(current, binding, view, seen, now), seen.cluster_id, now)
    if told := _told_before(run, seen):
        return RunPlan(decision, told)
    if silence := _silence(run, decision, seen):
        return RunPlan(
            replace(decision, plan=Plan(wake_after=silence)), findings_of(run.status.conditions), silent=True
        )
    looked = seen.inventory.observed_at
    watched = run.spec.management_policy is not ManagementPolicy.OBSERVE_ONLY
    held, unread = (seen.schedule, seen.schedule_unread) if watched else (None, False)
    fresh = judge_freshness(run, decision.journal, view, held, looked=looked, now=now, is_unread=unread)
    findings = decision_findings(decision, corrupted_finding(current, view), observed=looked is not None)
    return RunPlan(with_freshness(decision, fresh), (*findings, *fresh.findings))


def _told_before(run: TrainingRun, seen: RunSeen) -> tuple[Finding, ...]:
    """Returns what stands in status while it is all that can be said: an operator that starts has not looked yet.

    It must not tell of a healthy run that it is not Ready, and write that to every object of the cluster.
    """
    unasked = seen.inventory.observed_at is None and seen.inventory.fault is None
    status = run.status
    told = status.observed_generation == run.metadata.generation and status.origin == origin_of(run)
    return findings_of(status.conditions) if unasked and told else ()


def _silence(run: TrainingRun, decision: Decision, seen: RunSeen) -> float | None:
    """Returns for how many seconds more nothing is said: a word that the next one replaces is a write in vain.

    That is so before the first look, and after a recovery until the successor has shown in one.
    """
    left = SILENT_SECONDS - seen.waited_seconds
    if decision.reason is Reason.OBSERVING and seen.inventory.observed_at is None and left > 0:
        return left
    ready = find_condition(run.status.conditions, ConditionType.READY)
    recovered = ready is not None and ready.reason == Reason.RECOVERING and run.status.recovery.in_flight is None
    if recovered and decision.reason is Reason.CONFIRMING and not decision.plan.actions:
        return None if seen.inventory.knows(run.status.training_run_id) else SILENT_SECONDS
    return None


def _decide(run: TrainingRun, binding: Binding, view: RunView, seen: RunSeen, now: datetime) -> Decision:
    flight = run.status.recovery.in_flight
    if view is None:
        return _not_asked(run)
    if isinstance(view, Fault):
        return _blind(run, view, seen, now)
    if flight is not None:
        return continue_recovery(run, flight, seen, now)
    if seen.claimed_by is not None:
        return _claimed(run, seen.claimed_by)
    if binding.run_id is None:
        return _unbound(run, seen)
    if view.agreeing < CONFIRMED and (isinstance(view, Absent) or view.corrupted):
        return _as_before(run)
    if isinstance(view, Absent):
        return _missing(run, binding.run_id, seen, now)
    if view.corrupted:
        return begin_recovery(run, seen, now, Cause.CORRUPTED)
    if run.status.hand_over is None and not binding.is_told:
        # Of ten thousand objects that begin at once, all are told what they follow before the first is handed over.
        return step(run.status, Reason.HANDING_OVER, f"Run {binding.run_id} is alive and not corrupted.")
    return keep_alive(run, view, seen, now)


def _creates(run: TrainingRun) -> bool:
    """Tells whether a run is being made. One that was refused is not, until the spec is another one."""
    creation = run.status.creation
    refused = creation is not None and creation.refused_generation == run.metadata.generation
    return creation is not None and not (refused and run.status.session is None)


def _bound_to_its_checkpoints(run: TrainingRun, view: RunView) -> Decision:
    """Comes before all else, alone: it changes the object, so that no status can be written in the same round."""
    message = "The finalizer that spec.deletionPolicy asks for is being set or removed."
    lost = isinstance(view, ObservedRun) and view.corrupted
    before = Decision(run.status, Standing.IN_PROGRESS, Reason.CONFIRMING, message) if lost else _as_before(run)
    return replace(before, plan=Plan((SetFinalizer(wants_finalizer(run)),), wake_after=AT_ONCE))


def _not_asked(run: TrainingRun) -> Decision:
    message = "The service has not been asked yet."
    return Decision(run.status, Standing.IN_PROGRESS, Reason.OBSERVING, message)


def _unbound(run: TrainingRun, seen: RunSeen) -> Decision:
    if run.spec.run.discover is None:
        return continue_creation(run, seen)
    message = "No run at the service carries the metadata of spec.run.discover yet; the first that does is followed."
    return Decision(run.status, Standing.IN_PROGRESS, Reason.DISCOVERING, message)


def _blind(run: TrainingRun, fault: Fault, seen: RunSeen, now: datetime) -> Decision:
    ready = find_condition(run.status.conditions, ConditionType.READY)
    since = seen.inventory.observed_at or seen.inventory.failing_since
    grace = timedelta(seconds=GRACE_POLLS * run.spec.poll_interval_seconds)
    was_ready = ready is not None and ready.status is ConditionStatus.TRUE and run.status.origin == origin_of(run)
    if ready is None or not was_ready or since is None or fault.needs_user:
        return held_up(run.status, fault.reason, fault.message, fault)
    left = (since + grace - now).total_seconds()
    if left <= 0:
        return held_up(run.status, fault.reason, fault.message, fault)
    plan = Plan(wake_after=left)
    return Decision(run.status, Standing.CURRENT, Reason(ready.reason), ready.message, plan, fault)


def _as_before(run: TrainingRun) -> Decision:
    ready = find_condition(run.status.conditions, ConditionType.READY)
    bound = run.status.origin == origin_of(run)
    if bound and ready is not None and ready.status is ConditionStatus.TRUE:
        return Decision(run.status, Standing.CURRENT, Reason(ready.reason), ready.message)
    message = "The newest look at the service does not show the run alive; the next one has to agree."
    return Decision(run.status, Standing.IN_PROGRESS, Reason.CONFIRMING, message)


def _missing(run: TrainingRun, run_id: str, seen: RunSeen, now: datetime) -> Decision:
    """Only a run that was once seen can be recovered: an id that never existed is a mistake in the spec."""
    was_there = run.status.origin == origin_of(run) and run.status.training_run_id == run_id
    if was_there and run.spec.recovery.on_missing is OnMissing.RECOVER:
        return begin_recovery(run, seen, now, Cause.MISSING)
    return _not_found(run, run_id)


def _not_found(run: TrainingRun, run_id: str) -> Decision:
    message = (
        f"Complete listings of the service do not contain run {run_id}. Compare spec.run.trainingRunId with "
        "`tinker run list`: the full id is <session>:train:<n>, and the key must belong to its owner. "
        "spec.recovery.onMissing: Recover restores a run that was there and is gone."
    )
    return stalled(run.status, Reason.RUN_NOT_FOUND, message)


def _claimed(run: TrainingRun, by: str) -> Decision:
    message = (
        f"TrainingRun {by} has the same run, by age or because it went on from it; two of them would restore it twice. "
        "Delete one of the two, or let this one follow another run."
    )
    recheck = Plan(wake_after=run.spec.poll_interval_seconds)
    return Decision(run.status, Standing.STALLED, Reason.RUN_CLAIMED, message, recheck)


def _suspended(run: TrainingRun, view: RunView) -> Decision:
    message = "spec.suspend is true: nothing is done about this run until it is false. It is still observed."
    fault = view if isinstance(view, Fault) else None
    return Decision(run.status, Standing.HELD, Reason.SUSPENDED, message, Plan(), fault)


def _observed_only(run: TrainingRun, binding: Binding, view: RunView, seen: RunSeen, now: datetime) -> Decision:
    """Tells what is seen, and does nothing about it, now or later."""
    if view is None:
        return _not_asked(run)
    if isinstance(view, Fault):
        return replace(_blind(run, view, seen, now), journal=run.status)
    if binding.run_id is None:
        return stalled(run.status, Reason.OBSERVE_ONLY, "There is no run to observe, and ObserveOnly makes none.")
    if view.agreeing < CONFIRMED and (isinstance(view, Absent) or view.corrupted):
        return _as_before(run)
    if isinstance(view, Absent):
        return _not_found(run, binding.run_id)
    if view.corrupted:
        message = f"The service flags run {view.run_id} as corrupted, and spec.managementPolicy is ObserveOnly."
        return stalled(run.status, Reason.OBSERVE_ONLY, message)
    message = f"Run {view.run_id} is alive and not corrupted. It is only observed."
    return Decision(run.status, Standing.CURRENT, Reason.LIVE, message)
