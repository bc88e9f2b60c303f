"""A policy's other concerns: background validation and publishing, after retention and beside it.

Each planned on what retention saw; here they perform what was journalled before, and add their sections of status.
Their trouble stays theirs: nothing here raises, and nothing here holds a deletion back or lets one go.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.controllers.actuator import perform
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, parsed
from tinker_operator.controllers.policy_listings import changing
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.conditions import next_conditions
from tinker_operator.core.policy import plan_policy
from tinker_operator.core.policy_concern import Errand, Returned, soonest
from tinker_operator.core.policy_concern_findings import publishing_finding, validation_finding
from tinker_operator.core.policy_publishing import (
    PublishingPlan,
    next_publishing,
    plan_publishing,
    publishing_wake,
)
from tinker_operator.core.policy_seen import PolicySeen
from tinker_operator.core.policy_validation import (
    ValidationPlan,
    next_validation,
    validation_wake,
)
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import ObjectKey

Look = Callable[[], PolicySeen]
"""Returns what is known at this very moment; it does not await."""


@dataclass(frozen=True, slots=True)
class Concerned:
    """What came of the concerns in one pass.

    Attributes:
        validation: What was planned of it.
        proven: What came of that.
        publishing: What was planned of it.
        published: What came of that.
    """

    validation: ValidationPlan
    proven: tuple[Returned, ...]
    publishing: PublishingPlan
    published: tuple[Returned, ...]


async def act_on_concerns(
    shell: Shell,
    policy: CheckpointPolicy,
    seen: PolicySeen,
    plans: tuple[PublishingPlan, ValidationPlan],
    look: Look,
) -> Concerned:
    """Performs what the concerns ask for in this pass.

    Args:
        shell: What the controllers work with.
        policy: The policy, with its journals.
        seen: What retention saw.
        plans: What the concerns make of it.
        look: Sees anew, right before something becomes public.
    """
    publishing, validation = plans
    published = await _run(shell, policy, seen, publishing.errands, look)
    proven = await _run(shell, policy, seen, validation.errands, look)
    return Concerned(validation, proven, publishing, published)


def with_concerns(
    shell: Shell, policy: CheckpointPolicy, status: CheckpointPolicyStatus, done: Concerned
) -> tuple[CheckpointPolicyStatus, float | None]:
    """Returns the status with what the concerns have to tell, and the seconds until they want to be looked at again.

    Args:
        shell: What the controllers work with.
        policy: The policy, with the status before this pass.
        status: The status that retention writes.
        done: What came of the concerns.
    """
    now, generation = shell.clock(), policy.metadata.generation
    validation = next_validation(done.validation, done.proven, now)
    publishing = next_publishing(done.publishing, done.published, now)
    told = (
        validation_finding(policy, validation),
        publishing_finding(policy, done.publishing, publishing),
    )
    findings = [finding for finding in told if finding is not None]
    conditions = next_conditions(policy.status.conditions, findings, generation=generation, now=now)
    update = {"conditions": (*status.conditions, *conditions), "validation": validation, "publishing": publishing}
    wake = soonest(
        validation_wake(policy, done.validation, validation, now),
        publishing_wake(done.publishing, publishing, done.published, now),
    )
    return status.model_copy(update=update), wake


async def _run(
    shell: Shell, policy: CheckpointPolicy, seen: PolicySeen, errands: Iterable[Errand], look: Look
) -> tuple[Returned, ...]:
    """Runs errands one after the other; the first that meets trouble is the last of this pass."""
    runs = {one.run.metadata.name: one.run for one in seen.governed}
    returned: list[Returned] = []
    for errand in errands:
        run = runs[errand.training_run]
        with changing(shell, run):
            outcome = await perform(
                errand.action,
                run,
                shell.api,
                shell.client_of(run),
                partial(_still_wanted, shell, policy, errand, look),
                inspections=shell.inspections,
            )
        returned.append(Returned(errand, outcome))
        if isinstance(outcome, Fault):
            break
    return tuple(returned)


def _still_wanted(shell: Shell, planned: CheckpointPolicy, errand: Errand, look: Look) -> bool:
    """Judges once more on what is known now; asked right before something becomes public or is taken back."""
    key = ObjectKey(CHECKPOINT_POLICIES.kind, planned.metadata.namespace, planned.metadata.name)
    policy, seen, now = parsed(CheckpointPolicy, shell.store.get(key)), look(), shell.clock()
    if policy is None or policy.metadata.uid != planned.metadata.uid:
        return False
    if policy.metadata.generation != planned.metadata.generation:
        return False
    return errand in plan_publishing(policy, seen, plan_policy(policy, seen, now), now).errands
