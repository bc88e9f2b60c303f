"""The decision about a TrainingRun: from everything observed to what is done now.

Read it from the top: each line of `_decide` is one situation, and the first that applies settles it. Silence of the
service comes before anything that could act, so that trouble in reaching a run is never taken for its failure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tinker_operator.api.meta import CHECKPOINT_KEY, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import CheckpointSummary, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import with_recovery, with_status
from tinker_operator.core.candidates import newest_first
from tinker_operator.core.conditions import Finding, Standing, find_condition
from tinker_operator.core.creation import continue_creation
from tinker_operator.core.decision import Decision, decision_findings, held_up, stalled, step
from tinker_operator.core.hand_over import desired_hand_over, hand_over_document, hand_over_name
from tinker_operator.core.identity import Binding, bind, fresh_status, next_lineage, origin_of, owner_of
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.plan import Plan
from tinker_operator.core.recovery import begin_recovery, continue_recovery
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import (
    Absent,
    CheckpointsOf,
    Fault,
    FinishSession,
    HandOverSeen,
    ObservedRun,
    ReadHandOver,
    RunView,
    WriteHandOver,
)

GRACE_POLLS = 3
"""Polls that may fail before a live run is no longer called Ready: one lost answer must not page anybody."""
LAST_REQUEST_EVERY = timedelta(minutes=10)
"""How often status.lastRequestTime may be the only thing that is written."""


HAND_OVER_CHECK_SECONDS = 600.0
"""How often the hand-over of a run at rest is looked at: nobody tells when somebody deletes the ConfigMap."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to do about a TrainingRun now.

    Attributes:
        decision: Journal, standing and actions.
        findings: Every condition, before the outcomes are known.
    """

    decision: Decision
    findings: tuple[Finding, ...]

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
    owned = seen.inventory.owned.get(owner_of(run, seen.cluster_id), ())
    binding = bind(run, owned)
    view = seen.inventory.view(binding.run_id or "")
    current = with_status(run, _told_lost(_known(run, binding, view, owned), view))
    decision = _decide(current, binding, view, seen, now)
    if run.spec.suspend:
        decision = _suspended(current, decision)
    observed = seen.inventory.observed_at is not None
    return RunPlan(decision, decision_findings(decision, _corrupted(run, view), observed=observed))


def _decide(run: TrainingRun, binding: Binding, view: RunView, seen: RunSeen, now: datetime) -> Decision:
    flight = run.status.recovery.in_flight
    if view is None:
        message = "The service has not been asked yet."
        return Decision(run.status, Standing.IN_PROGRESS, Reason.OBSERVING, message)
    if isinstance(view, Fault):
        return _blind(run, view, seen, now)
    if flight is not None:
        return continue_recovery(run, flight, seen, now)
    if seen.claimed_by is not None:
        return _claimed(run, seen.claimed_by)
    if binding.run_id is None:
        return continue_creation(run, seen)
    if view.agreeing < CONFIRMED and (isinstance(view, Absent) or view.corrupted):
        return _as_before(run)
    if isinstance(view, Absent):
        return _not_found(run, binding.run_id)
    if view.corrupted:
        return begin_recovery(run, seen, now)
    return _live(run, seen)


def _known(run: TrainingRun, binding: Binding, view: RunView, owned: Iterable[ObservedRun]) -> TrainingRunStatus:
    """Brings status up to date with what was observed; what could not be observed stays as it was."""
    status = run.status
    if not isinstance(view, ObservedRun):
        return status
    lineage = next_lineage(run, view.run_id, owned)
    source = _source(run, view)
    if status.origin != origin_of(run):
        status = fresh_status(status)
    last = view.last_checkpoint
    facts: Mapping[str, object] = {
        "origin": origin_of(run),
        "training_run_id": view.run_id,
        "attempt": binding.attempt,
        "lineage": lineage,
        "base_model": view.base_model,
        "lora_rank": view.lora_rank,
        "last_checkpoint": CheckpointSummary(path=last.path, time=last.time) if last else None,
        "last_request_time": view.last_request_time,
        "creation": None,
    }
    newest = max(status.recovery.attempt, binding.attempt)
    return with_recovery(status.model_copy(update=facts), attempt=newest, restored_from=source)


def _told_lost(status: TrainingRunStatus, view: RunView) -> TrainingRunStatus:
    if isinstance(view, ObservedRun) and view.corrupted and view.agreeing >= CONFIRMED:
        return status.model_copy(update={"lost_training_run_id": view.run_id})
    return status


def _source(run: TrainingRun, view: ObservedRun) -> str | None:
    """Returns the checkpoint that the current run came from: it is the loop's way back until the run has its own."""
    status = run.status
    if status.origin != origin_of(run):
        return view.metadata.get(CHECKPOINT_KEY)
    if view.run_id == status.training_run_id:
        return status.recovery.restored_from or view.metadata.get(CHECKPOINT_KEY)
    told = status.hand_over.checkpoint if status.hand_over else None
    return view.metadata.get(CHECKPOINT_KEY) or told or status.recovery.restored_from


def _blind(run: TrainingRun, fault: Fault, seen: RunSeen, now: datetime) -> Decision:
    ready = find_condition(run.status.conditions, ConditionType.READY)
    since = seen.inventory.observed_at
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
    known = run.status.origin == origin_of(run)
    if known and ready is not None and ready.status is ConditionStatus.TRUE:
        return Decision(run.status, Standing.CURRENT, Reason(ready.reason), ready.message)
    message = "The newest look at the service does not show the run alive; the next one has to agree."
    return Decision(run.status, Standing.IN_PROGRESS, Reason.CONFIRMING, message)


def _not_found(run: TrainingRun, run_id: str) -> Decision:
    message = (
        f"Complete listings of the service do not contain run {run_id}. Compare spec.run.trainingRunId with "
        "`tinker run list`: the full id is <session>:train:<n>, and the key must belong to its owner."
    )
    return stalled(run.status, Reason.RUN_NOT_FOUND, message)


def _claimed(run: TrainingRun, by: str) -> Decision:
    message = (
        f"TrainingRun {by} is older and follows the same run; two of them would restore it twice. "
        "Delete one of the two, or let this one follow another run."
    )
    recheck = Plan(wake_after=run.spec.poll_interval_seconds)
    return Decision(run.status, Standing.STALLED, Reason.RUN_CLAIMED, message, recheck)


def _live(run: TrainingRun, seen: RunSeen) -> Decision:
    status = with_recovery(run.status, exhausted_generation=None, next_attempt_time=None)
    message = f"Run {status.training_run_id} is alive and not corrupted."
    if status.session is not None and status.session.training_run_id != status.training_run_id:
        done = FinishSession(status.session.session_id, success=True, detail=f"handed over to {status.training_run_id}")
        return step(status, Reason.HANDING_OVER, message, done)
    status = _with_newest(status, seen)
    answer = seen.ask(ReadHandOver(hand_over_name(run)))
    if isinstance(answer, Fault):
        return held_up(status, Reason.HANDING_OVER, message, answer)
    if isinstance(answer, HandOverSeen) and answer.foreign:
        message = (
            f"ConfigMap {hand_over_name(run)} exists and does not belong to this TrainingRun. Delete or rename it, "
            "so that the hand-over can be written."
        )
        recheck = Plan(wake_after=run.spec.poll_interval_seconds)
        return Decision(status, Standing.STALLED, Reason.HAND_OVER_CONFLICT, message, recheck)
    desired = desired_hand_over(run, status)
    document = hand_over_document(run, desired, seen.cluster_id)
    if isinstance(answer, HandOverSeen) and answer.document == document:
        at_rest = status.model_copy(update={"hand_over": desired})
        return Decision(at_rest, Standing.CURRENT, Reason.LIVE, message, Plan(wake_after=HAND_OVER_CHECK_SECONDS))
    version = answer.version if isinstance(answer, HandOverSeen) else None
    written = step(status, Reason.HANDING_OVER, message, WriteHandOver(desired, document, version))
    told = status.hand_over
    if told is not None and told.attempt == desired.attempt:
        return replace(written, standing=Standing.CURRENT, reason=Reason.LIVE)
    return written


def _with_newest(status: TrainingRunStatus, seen: RunSeen) -> TrainingRunStatus:
    """Where the service does not tell a run's newest checkpoint, the listing does."""
    if status.last_checkpoint is not None:
        return status
    listed = seen.ask(CheckpointsOf(status.training_run_id or ""))
    newest = newest_first(listed)[:1] if isinstance(listed, tuple) else ()
    last = CheckpointSummary(path=newest[0].path, time=newest[0].time) if newest else None
    return status.model_copy(update={"last_checkpoint": last})


def _suspended(run: TrainingRun, decision: Decision) -> Decision:
    message = "spec.suspend is true: nothing is done about this run until it is false. It is still observed."
    return Decision(run.status, Standing.HELD, Reason.SUSPENDED, message, Plan(), decision.fault)


def _corrupted(run: TrainingRun, view: RunView) -> Finding:
    def finding(status: ConditionStatus, reason: Reason, message: str) -> Finding:
        return Finding(ConditionType.CORRUPTED, status, reason, message)

    before = find_condition(run.status.conditions, ConditionType.CORRUPTED)
    match view:
        case ObservedRun(corrupted=True, agreeing=agreeing) if agreeing >= CONFIRMED:
            message = f"The service flags run {view.run_id} as corrupted; it does not come back by itself."
            return finding(ConditionStatus.TRUE, Reason.RUN_CORRUPTED, message)
        case ObservedRun(corrupted=False):
            return finding(ConditionStatus.FALSE, Reason.NOT_CORRUPTED, "The service does not flag the run.")
        case ObservedRun() if before is not None and before.status is ConditionStatus.FALSE:
            return finding(before.status, Reason(before.reason), before.message)
        case _:
            message = "There is no well-formed, confirmed observation of the run to tell from."
            return finding(ConditionStatus.UNKNOWN, Reason.NOT_OBSERVED, message)
