"""Who is told of a recovery, or that recovery has given up: calls journalled before they are made, at least once each.

A call is made in a round that has nothing else to do, so that a slow receiver never holds a recovery up. One that fails
is shown and repeated for a day; it never undoes what it tells of.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from tinker_operator.api.hook_spec import Hook
from tinker_operator.api.hook_status import PENDING_LIMIT, HooksStatus, Occasion, PendingHook
from tinker_operator.api.meta import GROUP, to_wire
from tinker_operator.api.recovery_status import RecoveryResult
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.decision import Decision
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.world import CallHook, HookFailed, Outcome

BODY_VERSION = 1
GIVE_UP_AFTER = timedelta(days=1)
FIRST_WAIT_SECONDS = 5
LONGEST_WAIT_SECONDS = 600


def with_due(run: TrainingRun, before: TrainingRunStatus, after: TrainingRunStatus, now: datetime) -> TrainingRunStatus:
    """Returns the status with the calls journalled that the step from one status to the next makes due.

    Args:
        run: The object.
        before: Its status until now.
        after: The status that is going to be written.
        now: When the calls become due.
    """
    due = tuple(_due(run, before, after, now))
    if not due:
        return after
    hooks = after.hooks or HooksStatus()
    pending = (*hooks.pending, *due)
    surplus = max(0, len(pending) - PENDING_LIMIT)
    told = {"pending": pending[surplus:], "given_up": hooks.given_up + surplus}
    return after.model_copy(update={"hooks": hooks.model_copy(update=told)})


def _due(run: TrainingRun, before: TrainingRunStatus, after: TrainingRunStatus, now: datetime) -> Iterator[PendingHook]:
    recovery = run.spec.recovery
    ended = after.recovery.history[-1:]
    if ended and ended != before.recovery.history[-1:] and ended[0].result is RecoveryResult.RECOVERED:
        lost = ended[0].from_training_run_id
        attempt = ended[0].attempt
        yield from (_pending(run, hook, Occasion.RECOVERED, (attempt, lost), now) for hook in recovery.on_recovery)
    spent = after.recovery.exhausted_generation
    if spent is not None and spent != before.recovery.exhausted_generation:
        told = (after.recovery.attempt, after.training_run_id or "")
        yield from (_pending(run, hook, Occasion.GAVE_UP, told, now) for hook in recovery.on_failure)


def _pending(run: TrainingRun, hook: Hook, occasion: Occasion, told: tuple[int, str], now: datetime) -> PendingHook:
    attempt, lost = told
    named = f"{GROUP}/{run.metadata.uid}/{occasion}/{attempt}/{lost}/{run.metadata.generation}/{hook.name}"
    return PendingHook(
        id=str(uuid5(NAMESPACE_URL, named)), hook=hook.name, occasion=occasion, attempt=attempt, since=now
    )


def with_calls(run: TrainingRun, decision: Decision, cluster_id: str, now: datetime) -> Decision:
    """Returns the decision with the next call that is due, if it has nothing else to do.

    Args:
        run: The object.
        decision: What is decided about its run.
        cluster_id: Goes into the body.
        now: The time of the decision.
    """
    status = _without_lapsed(run, decision.journal, now)
    if status is not decision.journal:
        # A round of its own, so that what was given up is not told of as delivered.
        return replace(decision, journal=status, plan=_no_later(decision, AT_ONCE))
    pending = [one for one in status.hooks.pending if _may_be_told(status, one)] if status.hooks else []
    if not pending or decision.plan.actions or decision.plan.wake_after == AT_ONCE:
        return replace(decision, journal=status)
    first = min(pending, key=lambda one: one.next_try_time or one.since)
    wait = ((first.next_try_time or first.since) - now).total_seconds()
    # A longer wait than there is was journalled by a clock that has been put back since.
    if 0 < wait <= LONGEST_WAIT_SECONDS:
        return replace(decision, journal=status, plan=_no_later(decision, wait))
    hook = _named(run, first)
    if hook is None:
        return replace(decision, journal=status)
    plan = _no_later(decision, AT_ONCE)
    call = CallHook(first.id, hook, _body(run, status, first, cluster_id))
    return replace(decision, journal=status, plan=replace(plan, actions=(call,)))


def told(status: TrainingRunStatus, call: CallHook, outcome: Outcome, now: datetime) -> TrainingRunStatus:
    """Returns the status after a call: struck off, or to be repeated later."""
    hooks = status.hooks or HooksStatus()
    this = next((one for one in hooks.pending if one.id == call.id), None)
    if this is None:
        return status
    rest = tuple(one for one in hooks.pending if one.id != call.id)
    if not isinstance(outcome, HookFailed):
        done = {"pending": rest, "delivered": hooks.delivered + 1}
        return status.model_copy(update={"hooks": hooks.model_copy(update=done)})
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS << min(this.tries, 10))
    again = this.model_copy(
        update={
            "tries": this.tries + 1,
            "next_try_time": now + timedelta(seconds=wait),
            "message": outcome.message[:1024],
        }
    )
    return status.model_copy(update={"hooks": hooks.model_copy(update={"pending": (*rest, again)})})


def _without_lapsed(run: TrainingRun, status: TrainingRunStatus, now: datetime) -> TrainingRunStatus:
    """Gives up what a day of tries did not tell, and what the spec no longer names."""
    hooks = status.hooks
    if hooks is None:
        return status
    lapsed = [one for one in hooks.pending if now - one.since > GIVE_UP_AFTER or _named(run, one) is None]
    if not lapsed:
        return status
    left = {
        "pending": tuple(one for one in hooks.pending if one not in lapsed),
        "given_up": hooks.given_up + len(lapsed),
        "last_failure": f"{lapsed[-1].hook}: {lapsed[-1].message or 'the spec no longer names it.'}"[:1024],
    }
    return status.model_copy(update={"hooks": hooks.model_copy(update=left)})


def _named(run: TrainingRun, pending: PendingHook) -> Hook | None:
    recovery = run.spec.recovery
    hooks = recovery.on_recovery if pending.occasion is Occasion.RECOVERED else recovery.on_failure
    return next((hook for hook in hooks if hook.name == pending.hook), None)


def _may_be_told(status: TrainingRunStatus, pending: PendingHook) -> bool:
    """A recovery is told of when it is handed over: whoever is told may start the loop. One that is past is told of."""
    handed_over = status.hand_over.attempt if status.hand_over else -1
    past = status.attempt != pending.attempt
    return pending.occasion is Occasion.GAVE_UP or past or handed_over >= pending.attempt


def _no_later(decision: Decision, seconds: float) -> Plan:
    wake = decision.plan.wake_after
    return replace(decision.plan, wake_after=seconds if wake is None else min(wake, seconds))


def _body(run: TrainingRun, status: TrainingRunStatus, pending: PendingHook, cluster_id: str) -> str:
    record = next((one for one in status.recovery.history if one.attempt == pending.attempt), None)
    body = {
        "version": BODY_VERSION,
        "id": pending.id,
        "occasion": str(pending.occasion),
        "cluster": cluster_id,
        "trainingRun": {"namespace": run.metadata.namespace, "name": run.metadata.name, "uid": run.metadata.uid},
        "trainingRunId": status.training_run_id,
        "attempt": pending.attempt,
        "time": pending.since.isoformat(),
        "recovery": to_wire(record) if record is not None else None,
    }
    return json.dumps(body, sort_keys=True)
