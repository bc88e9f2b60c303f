"""A TrainingRun that is being deleted: its checkpoints go first where spec.deletionPolicy says so."""

from dataclasses import replace
from functools import partial

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.actuator import perform
from tinker_operator.controllers.finalizers import set_finalizer
from tinker_operator.controllers.held_up import HeldUp
from tinker_operator.controllers.objects import account_of, checkpoint_policies, key_of_run, training_runs, unparsed
from tinker_operator.controllers.observer import answer
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.export_references import with_exports
from tinker_operator.core.farewell import FINALIZER, FarewellSeen, goes, plan_farewell
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.policy_references import References, followed_runs, references
from tinker_operator.core.seen import Unanswered, decided
from tinker_operator.core.telemetry import checkpoints_left
from tinker_operator.core.world import DeleteCheckpoint, DeleteTrainerJob, Fault, ObservedCheckpoint, Performed
from tinker_operator.engine.keys import KubeObject


async def reconcile_deleted(shell: Shell, run: TrainingRun, obj: KubeObject) -> float | None:
    """Deletes what goes with the object, then lets the object go.

    Returns:
        0 to look again at once, None when there is nothing left to do.

    Raises:
        HeldUp: The service or the API server could not be asked; the work queue backs off.
    """
    if FINALIZER not in run.metadata.finalizers:
        return None
    now = shell.clock()
    seen = _seen(shell, run)
    while isinstance(farewell := decided(partial(plan_farewell, run, seen, now)), Unanswered):
        question = farewell.question
        told = await answer(question, obj, shell.api, shell.client_of(run))
        seen = replace(seen, answers={**seen.answers, question: told})
    if farewell.over:
        _refuse(await set_finalizer(run, shell.api, present=False))
        if farewell.fault is not None:
            shell.reporter.tell(key_of_run(run), obj, (checkpoints_left(farewell.fault.message),))
        return None
    performed = [await _deleted(shell, run, action) for action in farewell.actions]
    faults = [one.outcome for one in performed if isinstance(one.outcome, Fault)]
    _refuse(farewell.fault or next(iter(faults), None))
    return AT_ONCE


def _refuse(fault: Fault | None) -> None:
    if fault is not None:
        raise HeldUp(fault.message, retry_after=fault.retry_after)


async def _deleted(shell: Shell, run: TrainingRun, action: DeleteCheckpoint | DeleteTrainerJob) -> Performed:
    due = partial(_still_goes, shell, run, action)
    return Performed(action, await perform(action, run, shell.api, shell.client_of(run), due))


def _seen(shell: Shell, run: TrainingRun) -> FarewellSeen:
    inventory = shell.services.inventory_of(account_of(run))
    views = {run_id: inventory.strict_view(run_id) for run_id in followed_runs(run)}
    return FarewellSeen(shell.cluster_id, views, _others(shell, run), unparsed(shell.store))


def _others(shell: Shell, run: TrainingRun) -> References:
    mine = key_of_run(run)
    others = references(one for one in training_runs(shell.store) if key_of_run(one) != mine)
    return with_exports(others, checkpoint_policies(shell.store), ())


def _still_goes(shell: Shell, run: TrainingRun, action: DeleteCheckpoint | DeleteTrainerJob) -> bool:
    if isinstance(action, DeleteTrainerJob):
        return True
    checkpoint = ObservedCheckpoint(action.path, action.run_id, time=action.expected_time)
    return unparsed(shell.store) is None and goes(checkpoint, _others(shell, run))
