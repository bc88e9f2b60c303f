"""Which runs a policy lists anew before it does anything that cannot be taken back, or remembers that it will.

A pass is planned on listings that may be some minutes old (`listing_reuse`). What that plan is about to announce, mark,
delete, extend, prove, publish, take back or export is at stake: the shell lists those runs anew and plans again, until
everything at stake rests on listings of this pass.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_concern import Errand
from tinker_operator.core.policy_export import ExportPlan
from tinker_operator.core.policy_journal import DELETIONS_PER_PASS
from tinker_operator.core.policy_publishing import PublishingPlan
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import PolicySeen
from tinker_operator.core.policy_validation import ValidationPlan
from tinker_operator.core.world import (
    DeleteCheckpoint,
    ObservedRun,
    PublishCheckpoint,
    ReadWeights,
    SetCheckpointTtl,
    UnpublishCheckpoint,
)

_ANNOUNCEABLE = 2 * DELETIONS_PER_PASS
"""What goes in a pass, and what is announced in its stead."""


def to_list_anew(
    policy: CheckpointPolicy,
    seen: PolicySeen,
    plan: PolicyPlan,
    *,
    publishing: PublishingPlan,
    validation: ValidationPlan,
    exports: ExportPlan,
) -> frozenset[str]:
    """Returns the ids of the runs that have to be listed in this very pass.

    They are the runs of the checkpoints at stake, and all others that the same TrainingRuns follow: what a rule keeps
    is counted over the whole lineage. A TrainingRun that lists a checkpoint of a run that it does not follow, or whose
    run the service says ended with it, has a say too.

    Args:
        policy: The policy, with its journals.
        seen: What the plans were made from.
        plan: What retention is about to do.
        publishing: What publishing is about to do.
        validation: What validation is about to do.
        exports: What exports are about to do.
    """
    concerns = chain(_publishing(policy, publishing), _validation(policy, validation), _exports(policy, exports))
    paths = frozenset(chain(_retention(policy, plan), concerns))
    if not paths:
        return frozenset()
    runs = frozenset(path.removeprefix("tinker://").partition("/")[0] for path in paths)
    found: set[str] = set()
    for one in seen.governed:
        followed = followed_runs(one.run)
        listed = (it.path for listing in one.answers.values() if isinstance(listing, tuple) for it in listing)
        views = (view.last_checkpoint for view in one.views.values() if isinstance(view, ObservedRun))
        lasts = (last.path for last in views if last is not None)
        if not runs.isdisjoint(followed) or not paths.isdisjoint(chain(listed, lasts)):
            found.update(followed)
    return frozenset(found)


def _retention(policy: CheckpointPolicy, plan: PolicyPlan) -> Iterator[str]:
    marked = {it.path for it in policy.status.marked}
    yield from (it.path for it in policy.status.deleting)
    yield from (it.path for it in plan.plan.actions if isinstance(it, DeleteCheckpoint | SetCheckpointTtl))
    yield from (one.checkpoint.path for one in plan.ripe[:_ANNOUNCEABLE])
    yield from (it.path for it in plan.marks if it.path not in marked)


def _publishing(policy: CheckpointPolicy, plan: PublishingPlan) -> Iterator[str]:
    """What is public and stays so is not at stake."""
    before = policy.status.publishing.checkpoints if policy.status.publishing is not None else ()
    yield from _of_errands(plan.errands)
    yield from (it.path for it in plan.entries if not it.public)
    yield from (it.path for it in set(before) ^ set(plan.entries))


def _validation(policy: CheckpointPolicy, plan: ValidationPlan) -> Iterator[str]:
    yield from _of_errands(plan.errands)
    both = policy.status.validation, plan.section
    yield from (it.in_flight.path for it in both if it is not None and it.in_flight is not None)
    before, after = (frozenset(it.verdicts) if it is not None else frozenset() for it in both)
    yield from (it.path for it in before ^ after)


def _exports(policy: CheckpointPolicy, plan: ExportPlan) -> Iterator[str]:
    yield from (turn.record.path for turn in plan.due)
    yield from (it.path for it in set(policy.status.exports) ^ set(plan.records))


def _of_errands(errands: Iterable[Errand]) -> Iterator[str]:
    """What a proof loads is in its journal."""
    for errand in errands:
        if isinstance(errand.action, ReadWeights | PublishCheckpoint | UnpublishCheckpoint):
            yield errand.action.path
