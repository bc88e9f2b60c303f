"""What a pass of a CheckpointPolicy comes to in numbers: the controller shows them as metrics.

Numbers are of the TrainingRuns whose view is complete, as in status. Nothing here decides anything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_group import is_training
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.retention import Due, Kept
from tinker_operator.core.retention_rules import RULES, is_past
from tinker_operator.core.world import DeleteCheckpoint, Done, Performed, SetCheckpointTtl


@dataclass(frozen=True, slots=True)
class Amount:
    """How many checkpoints, and their bytes as far as the service tells sizes."""

    checkpoints: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """A pass in numbers.

    Attributes:
        kept: What stays.
        due: What nothing keeps.
        expiring: What of the kept the service deletes by itself within a day.
        kept_by_reason: How many each reason keeps; one may have several.
        protected: How many each protection keeps that no rule keeps; one may have several protections.
        newest: Time of the newest training checkpoint, by the name of the TrainingRun.
        unseen: How many TrainingRuns could not be seen whole.
    """

    kept: Amount = Amount()
    due: Amount = Amount()
    expiring: Amount = Amount()
    kept_by_reason: Mapping[KeepReason, int] = field(default_factory=dict)
    protected: Mapping[KeepReason, int] = field(default_factory=dict)
    newest: Mapping[str, datetime] = field(default_factory=dict)
    unseen: int = 0


def figures(plan: PolicyPlan, performed: Iterable[Performed], now: datetime) -> Figures:
    """Returns the pass in numbers, as things stand after its deletions.

    Args:
        plan: The plan of the pass.
        performed: What came of its actions.
        now: The time: what is ahead of it is newest of nothing.
    """
    done = [it.action for it in performed if isinstance(it.outcome, Done)]
    gone = {action.path for action in done if isinstance(action, DeleteCheckpoint)}
    extended = {action.path for action in done if isinstance(action, SetCheckpointTtl)}
    left = [one for one in plan.judged if one.checkpoint.path not in gone]
    because = [one.judgement.because for one in left if isinstance(one.judgement, Kept)]
    return Figures(
        kept=_amount(one for one in left if isinstance(one.judgement, Kept)),
        due=_amount(one for one in left if isinstance(one.judgement, Due)),
        expiring=_amount(one for one in plan.soon if one.checkpoint.path not in extended),
        kept_by_reason=Counter(reason for reasons in because for reason in reasons),
        protected=Counter(reason for reasons in because if RULES.keys().isdisjoint(reasons) for reason in reasons),
        newest=_newest(left, now),
        unseen=len(plan.gaps),
    )


def deletions(plan: PolicyPlan, performed: Iterable[Performed]) -> Mapping[DueRule, int]:
    """Returns how many checkpoints this pass deleted, by the rule that let them go.

    Args:
        plan: The plan of the pass.
        performed: What came of its actions.
    """
    rules = {one.checkpoint.path: one.judgement.rule for one in plan.pending if isinstance(one.judgement, Due)}
    done = (it.action for it in performed if isinstance(it.outcome, Done))
    return Counter(rules[it.path] for it in done if isinstance(it, DeleteCheckpoint) and it.path in rules)


def _amount(judged: Iterable[Judged]) -> Amount:
    sizes = [one.checkpoint.size_bytes or 0 for one in judged]
    return Amount(len(sizes), sum(sizes))


def _newest(judged: Iterable[Judged], now: datetime) -> Mapping[str, datetime]:
    newest: dict[str, datetime] = {}
    for one in judged:
        time = one.checkpoint.time
        if time is not None and is_past(time, now) and is_training(one.checkpoint):
            newest[one.training_run] = max(time, newest.get(one.training_run, time))
    return newest
