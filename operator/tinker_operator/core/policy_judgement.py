"""From what a policy saw to a judgement on each checkpoint: who has a say, and what may be deleted of it.

Between the observation (`policy_seen`) and the plan (`policy`); the rules themselves are in `retention`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import DueRule
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.policy_group import Group, age_order, governing, kinds_of, narrowed
from tinker_operator.core.policy_references import References, followed_runs, run_key
from tinker_operator.core.policy_seen import Governed, PolicySeen, as_group, governs, lets_go
from tinker_operator.core.policy_verdicts import known_to
from tinker_operator.core.retention import Claim, Due, Judgement, judge
from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint

_EARLIEST = datetime.min.replace(tzinfo=UTC)

Governing = Callable[[TrainingRun], tuple[CheckpointPolicy, ...]]
"""Returns the policies that govern a TrainingRun."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A governed checkpoint and what becomes of it.

    Attributes:
        checkpoint: The checkpoint.
        training_run: Name of the TrainingRun that it belongs to, the first by name if several follow its run.
        judgement: Kept, and why; or Due.
        withheld: True when a TrainingRun with an incomplete view follows its run too: not to be deleted now.
    """

    checkpoint: ObservedCheckpoint
    training_run: str
    judgement: Judgement
    withheld: bool = False


def judge_governed(
    policy: CheckpointPolicy, governed: Iterable[Governed], incomplete: Iterable[str], seen: PolicySeen, now: datetime
) -> tuple[Judged, ...]:
    """Returns the checkpoints of the TrainingRuns whose view is complete, newest first, each with its judgement.

    Args:
        policy: The policy that asks.
        governed: The TrainingRuns that it governs, sorted by name.
        incomplete: Names of those whose view is not complete. They still have a say over what they share.
        seen: Policies and references.
        now: The time to judge at.
    """
    kinds = kinds_of(policy.spec.retention)
    groups = {one.run.metadata.name: (one, as_group(one, kinds)) for one in governed}
    unclear = frozenset(incomplete)
    others = _by_labels(other for other in seen.policies if policy_key(other) != policy_key(policy))
    claims = (
        claim for one, group in groups.values() for claim in _claims(policy, one.run, group, seen.references, others)
    )
    judgements = judge(claims, seen.references, now)
    withheld = _shared_with(unclear, groups)
    owned: dict[str, Judged] = {}
    for name in (name for name in groups if name not in unclear):
        for it in groups[name][1].checkpoints:
            owned.setdefault(it.path, Judged(it, name, judgements[it.path], it.path in withheld))
    return tuple(sorted(owned.values(), key=lambda one: age_order(one.checkpoint), reverse=True))


def deletable(judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """Returns what a policy that deletes may delete, in order: what nothing keeps, then what is beyond a budget.

    Oldest first in each. What rules keep goes last: while anything else is left, its place would go to that.

    Args:
        judged: What `judge_governed` returned.
    """
    due = [(one, one.judgement.rule) for one in reversed(judged) if isinstance(one.judgement, Due) and not one.withheld]
    return tuple(one for one, _ in sorted(due, key=lambda it: it[1] is DueRule.MAX_TOTAL_BYTES))


def deleter_of(run_id: str, kind: CheckpointKind, policy: CheckpointPolicy, seen: PolicySeen) -> tuple[str, str]:
    """Returns namespace and name of the one policy that deletes what is due of a run, so that nothing counts twice.

    It is the oldest, then the first by name, of the policies that delete checkpoints of the kind and that govern a
    TrainingRun which follows the run. The answer depends on the cluster alone, hence all of them agree; the others
    show it as due.

    Args:
        run_id: A run with checkpoints that the asking policy may delete.
        kind: Their kind.
        policy: The policy that asks, one of those.
        seen: Policies and references.
    """
    followers = seen.references.followers.get(run_id, ())
    here = (it for it in seen.policies if any(governs(it, run) for run in followers))
    others = (it for it in here if lets_go(it) and kind in kinds_of(it.spec.retention))
    oldest = min((policy, *others), key=lambda it: (it.metadata.creation_timestamp or _EARLIEST, policy_key(it)))
    return policy_key(oldest)


def policy_key(policy: CheckpointPolicy) -> tuple[str, str]:
    """Returns namespace and name: the identity of a CheckpointPolicy."""
    return policy.metadata.namespace, policy.metadata.name


def _claims(
    policy: CheckpointPolicy, run: TrainingRun, group: Group, known: References, others: Governing
) -> Iterable[Claim]:
    yield Claim(group, policy.spec.retention, known=known_to(policy))
    yield from _others_say(others, run, group)
    for sharer in _sharers(run, known):
        if not governs(policy, sharer):
            yield from _others_say(others, sharer, narrowed(group, followed_runs(sharer)), whole=False)


def _by_labels(policies: Iterable[CheckpointPolicy]) -> Governing:
    """Returns which of the policies govern a TrainingRun: found once for all that carry the same labels."""
    given = tuple(policies)
    known: dict[tuple[str, frozenset[tuple[str, str]]], tuple[CheckpointPolicy, ...]] = {}

    def governing_ones(run: TrainingRun) -> tuple[CheckpointPolicy, ...]:
        key = run.metadata.namespace, frozenset(run.metadata.labels.items())
        if key not in known:
            known[key] = tuple(it for it in given if governs(it, run))
        return known[key]

    return governing_ones


def _others_say(others: Governing, run: TrainingRun, group: Group, *, whole: bool = True) -> Iterable[Claim]:
    for other in others(run):
        retention = other.spec.retention
        part = governing(group, kinds_of(retention))
        yield Claim(part, retention, own=False, deletes=lets_go(other), whole=whole, known=known_to(other))


def _sharers(run: TrainingRun, references: References) -> Iterable[TrainingRun]:
    """Other TrainingRuns that follow a run of this one; those that the policy governs have a group of their own."""
    followers = (other for run_id in followed_runs(run) for other in references.followers.get(run_id, ()))
    return {run_key(other): other for other in followers if run_key(other) != run_key(run)}.values()


def _shared_with(unclear: frozenset[str], groups: Mapping[str, tuple[Governed, Group]]) -> frozenset[str]:
    runs = {run_id for name in unclear for run_id in followed_runs(groups[name][0].run)}
    listings = (group.listed.get(run_id, ()) for _, group in groups.values() for run_id in runs)
    return frozenset(checkpoint.path for listing in listings for checkpoint in listing)
