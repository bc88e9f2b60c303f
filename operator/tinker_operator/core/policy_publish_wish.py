"""What is to be public of one TrainingRun, and which policy says so; `policy_publishing` makes it so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.publish_spec import Publish
from tinker_operator.core.metrics import metric_value, rank_of
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_judgement import policy_key
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import Governed, PolicySeen, as_group, governs
from tinker_operator.core.policy_verdicts import identity, known_to
from tinker_operator.core.retention import Kept
from tinker_operator.core.retention_rules import Context, aged, is_good
from tinker_operator.core.world import ObservedCheckpoint

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be public of one TrainingRun, as far as it can be told.

    Attributes:
        listed: Its checkpoints by path; None when they cannot be seen whole, so that nothing changes.
        target: The one that is to be public; None for none.
        retracts: Whether what is published goes although there is no target.
    """

    listed: Mapping[str, ObservedCheckpoint] | None
    target: ObservedCheckpoint | None = None
    retracts: bool = False


def publishes(policy: CheckpointPolicy) -> bool:
    """Tells whether the policy publishes at all: asked to, not suspended, and not on its own way out."""
    asked = policy.spec.publish is not Publish.NONE
    return asked and not policy.spec.suspend and policy.metadata.deletion_timestamp is None


def publisher_of(one: Governed, policy: CheckpointPolicy, seen: PolicySeen) -> tuple[str, str]:
    """Returns namespace and name of the one policy that publishes of this TrainingRun: the oldest, then by name.

    Whoever governs a TrainingRun that follows one of its runs counts too: they list the same checkpoints.

    Args:
        one: The TrainingRun.
        policy: The policy that asks.
        seen: Policies and references.
    """
    followers = [run for run_id in followed_runs(one.run) for run in seen.references.followers.get(run_id, ())]
    others = (it for it in seen.policies if publishes(it) and any(governs(it, run) for run in followers))
    oldest = min((policy, *others), key=lambda it: (it.metadata.creation_timestamp or _EARLIEST, policy_key(it)))
    return policy_key(oldest)


def wish_of(policy: CheckpointPolicy, one: Governed, seen: PolicySeen, plan: PolicyPlan, now: datetime) -> Wish:
    """Returns what the policy wants to be public of a TrainingRun.

    It stays, it is neither empty nor expired nor refused by a recovery; and where the policy proves checkpoints, it has
    proven good.

    Args:
        policy: The policy, one that publishes.
        one: The TrainingRun.
        seen: What was observed.
        plan: What retention makes of it.
        now: The time.
    """
    listed = listed_by_path(one, plan)
    if listed is None:
        return Wish(None)
    context, known = Context(policy.spec.retention, seen.references, now), known_to(policy)
    stay = {it.checkpoint.path for it in plan.judged if isinstance(it.judgement, Kept)}
    fit = [it for it in aged(as_group(one), context) if it.path in stay and is_good(it, context)]
    proven = [it for it in fit if known is None or identity(it) in known.good]
    return Wish(listed, _chosen(policy, proven))


def _chosen(policy: CheckpointPolicy, fit: Sequence[ObservedCheckpoint]) -> ObservedCheckpoint | None:
    """Returns the newest, or the best: of equal values the newer."""
    if policy.spec.publish is Publish.LATEST:
        return next(iter(fit), None)
    best = policy.spec.retention.keep_best
    if best is None:
        return None
    values = ((it, metric_value(it, best.metric)) for it in fit)
    ranked = ((rank_of(value, best.metric), it) for it, value in values if value is not None)
    return min(ranked, key=lambda one: one[0], default=(0.0, None))[1]


def listed_by_path(one: Governed, plan: PolicyPlan) -> Mapping[str, ObservedCheckpoint] | None:
    """Returns the TrainingRun's training checkpoints; None when they cannot be seen whole."""
    if one.run.metadata.name in plan.gaps:
        return None
    return {it.path: it for it in as_group(one).checkpoints}


def lacks(wish: Wish) -> bool:
    """Tells whether something is to be public and there is nothing to choose from."""
    return wish.listed is not None and wish.target is None and not wish.retracts
