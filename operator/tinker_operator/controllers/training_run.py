"""TrainingRun: observe, plan, act, report. Every branch is in `core`; this is the order of the four."""

from datetime import datetime
from functools import partial

from pydantic import ValidationError

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.actuator import perform
from tinker_operator.controllers.farewell import reconcile_deleted
from tinker_operator.controllers.held_up import settled
from tinker_operator.controllers.invalid import report_invalid
from tinker_operator.controllers.journal import write_run_status
from tinker_operator.controllers.objects import (
    TRAINING_RUNS,
    account_of,
    checkpoint_policies,
    key_of_run,
    unread_schedules,
)
from tinker_operator.controllers.observer import answer
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.identity import followed
from tinker_operator.core.observation import Look, wanted_look
from tinker_operator.core.run_plan import RunPlan, plan_run
from tinker_operator.core.run_status import next_run_status, outcome_fault, requeue
from tinker_operator.core.schedule import deciding
from tinker_operator.core.schedule_unread import is_undecided
from tinker_operator.core.seen import RunSeen, Unanswered, decided
from tinker_operator.core.telemetry import run_events
from tinker_operator.core.world import Action, Fault, Outcome, Performed
from tinker_operator.engine.keys import KubeObject, ObjectKey


async def reconcile_training_run(shell: Shell, key: ObjectKey) -> float | None:
    """Brings one TrainingRun forward by one step.

    Returns:
        Seconds after which it must be looked at even if nothing changes; None for never.

    Raises:
        HeldUp: Something could not be had; the work queue backs off.
        WriteConflict: The object changed meanwhile.
    """
    obj = shell.store.get(key)
    if obj is None:
        return None
    try:
        run = TrainingRun.model_validate(obj)
    except ValidationError as error:
        await report_invalid(shell, TRAINING_RUNS, obj, error)
        return None
    if run.metadata.deletion_timestamp is not None:
        return await reconcile_deleted(shell, run, obj)
    now = shell.clock()
    plan = await _planned(shell, run, obj, now)
    performed = await _act(shell, run, plan.plan.actions)
    status = next_run_status(run, plan, performed, shell.clock())
    if status is not run.status:  # who has nothing to say does not even fill in defaults
        await write_run_status(shell, key, obj, status)
    shell.reporter.tell(key, obj, run_events(run.status, status))
    fault = outcome_fault(performed) or plan.decision.fault
    return settled(requeue(plan.plan, performed), fault)


async def _planned(shell: Shell, run: TrainingRun, obj: KubeObject, now: datetime) -> RunPlan:
    seen = _seen(shell, run)
    while isinstance(plan := decided(partial(plan_run, run, seen, now)), Unanswered):
        question = plan.question
        seen = seen.learned(question, await answer(question, obj, shell.api, shell.client_of(run)))
    return plan


def _seen(shell: Shell, run: TrainingRun) -> RunSeen:
    inventory = shell.inventory_of(run)
    match wanted_look(run, inventory):
        case Look.ONE_RUN:
            shell.poller.soon(account_of(run), followed(run))
        case Look.ALL_RUNS:
            shell.poller.soon(account_of(run))
        case Look.NONE:
            pass
    claimed = shell.claims.had_by(key_of_run(run))
    policies = tuple(checkpoint_policies(shell.store, run.metadata.namespace))
    unread = is_undecided(run, policies, unread_schedules(shell.store))
    waited = shell.arrivals.waited_seconds(run.metadata.uid)
    return RunSeen(
        shell.cluster_id,
        inventory,
        claimed,
        schedule=deciding(run, policies),
        schedule_unread=unread,
        waited_seconds=waited,
    )


async def _performed(shell: Shell, action: Action, run: TrainingRun) -> Outcome:
    return await perform(action, run, shell.api, shell.client_of(run), hooks=shell.hooks, inspections=shell.inspections)


async def _act(shell: Shell, run: TrainingRun, actions: tuple[Action, ...]) -> tuple[Performed, ...]:
    performed: list[Performed] = []
    try:
        for action in actions:
            performed.append(Performed(action, await _performed(shell, action, run)))
            if isinstance(performed[-1].outcome, Fault):
                break
    finally:
        shell.arrivals.acted(key_of_run(run), run.metadata.uid)
    return tuple(performed)
