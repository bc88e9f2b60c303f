"""CheckpointPolicy: observe, plan, act, report. Every branch is in `core`; this is the order of the four."""

from pydantic import ValidationError

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.actuator import perform
from tinker_operator.controllers.held_up import settled
from tinker_operator.controllers.invalid import report_invalid
from tinker_operator.controllers.objects import (
    CHECKPOINT_POLICIES,
    account_of,
    checkpoint_policies,
    training_runs,
    unparsed,
)
from tinker_operator.controllers.observer import answer
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.policy import PolicyPlan, conclude, next_policy_status, plan_policy
from tinker_operator.core.policy_references import followed_runs, references
from tinker_operator.core.policy_seen import Governed, PolicySeen, policy_questions
from tinker_operator.core.run_status import outcome_fault, requeue
from tinker_operator.core.world import Answer, DeleteCheckpoint, Fault, Performed, Question, RunView
from tinker_operator.engine.keys import KubeObject, ObjectKey


async def reconcile_checkpoint_policy(shell: Shell, key: ObjectKey) -> float | None:
    """Brings one CheckpointPolicy forward: lists, judges, deletes what nothing keeps, tells.

    Returns:
        Seconds until the next look; None for not before something changes.

    Raises:
        HeldUp: A listing or a deletion failed; the work queue backs off.
        WriteConflict: The object changed meanwhile.
    """
    obj = shell.store.get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    try:
        policy = CheckpointPolicy.model_validate(obj)
    except ValidationError as error:
        await report_invalid(shell, CHECKPOINT_POLICIES, obj, error)
        return None
    seen = await _observe(shell, policy, obj)
    plan = plan_policy(policy, seen, shell.clock())
    performed = await _act(shell, plan, seen)
    status = next_policy_status(policy, seen, plan, performed, shell.clock())
    await shell.reporter.report(CHECKPOINT_POLICIES, key, obj, status)
    trouble = outcome_fault(performed) or next(iter(plan.gaps.values()), None)
    return settled(requeue(conclude(plan, performed), performed), trouble)


async def _observe(shell: Shell, policy: CheckpointPolicy, obj: KubeObject) -> PolicySeen:
    runs = tuple(training_runs(shell.store))
    unreadable = unparsed(shell.store)
    governed = [
        await _governed(shell, policy, run, obj, unreadable)
        for run in runs
        if run.metadata.namespace == policy.metadata.namespace
    ]
    policies = tuple(checkpoint_policies(shell.store, policy.metadata.namespace))
    return PolicySeen(tuple(governed), policies, references(runs))


async def _governed(
    shell: Shell, policy: CheckpointPolicy, run: TrainingRun, obj: KubeObject, unreadable: Fault | None
) -> Governed:
    inventory = shell.services.inventory_of(account_of(run))
    views: dict[str, RunView] = {run_id: unreadable or inventory.view(run_id) for run_id in followed_runs(run)}
    answers: dict[Question, Answer] = {}
    for question in policy_questions(policy, (run,), answers):
        answers[question] = await answer(question, obj, shell.api, shell.client_of(run))
    return Governed(run, views, answers)


async def _act(shell: Shell, plan: PolicyPlan, seen: PolicySeen) -> tuple[Performed, ...]:
    by_name = {one.run.metadata.name: one.run for one in seen.governed}
    performed: list[Performed] = []
    for action in plan.plan.actions:
        if isinstance(action, DeleteCheckpoint):
            run = by_name[plan.training_run_of(action.path)]
            performed.append(Performed(action, await perform(action, run, shell.api, shell.client_of(run))))
    return tuple(performed)
