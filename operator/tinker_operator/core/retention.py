"""Which checkpoints stay and which nothing keeps: one pure function, `judge`.

The policy controller deletes by it and a dry run prints it. Rules are ORed, so one rule more can only keep more;
`maxTotalBytes` alone takes away, and only what rules alone keep.

Growing it: a rule is a line in `retention_rules`, a protection one in `retention_protections`; `judge` does not change.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.api.retention_spec import Retention
from tinker_operator.core.policy_group import Group, by_kind, is_training
from tinker_operator.core.policy_references import References
from tinker_operator.core.policy_verdicts import Known
from tinker_operator.core.retention_protections import PROTECTIONS
from tinker_operator.core.retention_rules import GUARDS, RULES, Context, Keeper, Paths, paths_of
from tinker_operator.core.world import ObservedCheckpoint

_ORDER = {reason: place for place, reason in enumerate(KeepReason)}
_ALL_GUARDS: Mapping[KeepReason, Keeper] = {**GUARDS, **PROTECTIONS}
Reasons = Mapping[KeepReason, Paths]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one policy says over one group.

    Attributes:
        group: The checkpoints that it speaks of.
        retention: Its rules.
        own: True for the policy that asks; the others can only keep more.
        deletes: Whether it lets a checkpoint go that it does not keep: action Delete and not suspended.
        whole: False for a part of a group: what a budget does cannot be told from a part, so there it does nothing.
        known: What the policy has proven; None where it proves nothing.
    """

    group: Group
    retention: Retention
    own: bool = True
    deletes: bool = True
    whole: bool = True
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """It stays.

    Attributes:
        because: Every rule and protection that keeps it, in the order of KeepReason; never empty.
    """

    because: tuple[KeepReason, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """Nothing keeps it.

    Attributes:
        rule: Why it goes.
    """

    rule: DueRule = DueRule.NOT_KEPT


Judgement = Kept | Due
_DUE: Mapping[DueRule, Due] = {rule: Due(rule) for rule in DueRule}
"""One for each rule, since most of a million checkpoints are due."""


def judge(claims: Iterable[Claim], references: References, now: datetime) -> Mapping[str, Judgement]:
    """Returns what becomes of each checkpoint of the asking policy's groups, by path.

    A path in several groups is due only if it is due in each. Another policy's claim keeps what its rules keep, or
    everything it governs if it does not delete; both show as OtherPolicy.

    Args:
        claims: The asking policy's (own) and the other policies' claims, in any order.
        references: What all TrainingRuns refer to.
        now: The time to judge at, timezone-aware.
    """
    said = tuple(claims)
    own = (claim.group for claim in said if claim.own)
    judged = dict.fromkeys(it.path for group in own for it in group.checkpoints)
    because: dict[str, set[KeepReason]] = {}
    beyond: set[str] = set()
    for claim in said:
        kept, dropped = _said(claim, Context(claim.retention, references, now, claim.known))
        beyond |= dropped if claim.own else frozenset()
        for reason, paths in kept.items():
            for path in paths & judged.keys():
                because.setdefault(path, set()).add(reason if claim.own else KeepReason.OTHER_POLICY)
    return {path: _judgement(because.get(path), budget=path in beyond) for path in judged}


def _said(claim: Claim, context: Context) -> tuple[Reasons, Paths]:
    """Returns what the claim keeps, by reason, and what its budget has no room for.

    Protections hold for every policy alike, so only the asking policy applies them; a budget counts them always.
    """
    if not claim.own and not claim.deletes:
        return {KeepReason.OTHER_POLICY: paths_of(claim.group.checkpoints)}, frozenset()
    rules = _kept_by(RULES, claim.group, context)
    if claim.retention.max_total_bytes is None or not claim.whole:
        guards = _kept_by(_ALL_GUARDS if claim.own else GUARDS, claim.group, context)
        return {**rules, **guards}, frozenset()
    guards = _kept_by(_ALL_GUARDS, claim.group, context)
    dropped = _beyond(claim.retention.max_total_bytes, claim.group, _union(rules), _union(guards))
    return {**{reason: paths - dropped for reason, paths in rules.items()}, **guards}, dropped


def _kept_by(keepers: Mapping[KeepReason, Keeper], group: Group, context: Context) -> Reasons:
    """Each kind is counted by itself."""
    parts = by_kind(group)
    return {reason: frozenset().union(*(keeper(part, context) for part in parts)) for reason, keeper in keepers.items()}


def _union(reasons: Reasons) -> Paths:
    return frozenset().union(*reasons.values())


def _beyond(budget: int, group: Group, by_rules: Paths, guarded: Paths) -> Paths:
    """Returns what has to go for the rest to fit, oldest first; what has no size would free nothing and stays.

    Training checkpoints are fitted in first, as if there were nothing else: no other type can push one out.
    """
    kept = [it for it in reversed(group.checkpoints) if it.path in by_rules or it.path in guarded]
    training = [it for it in kept if is_training(it)]
    dropped = _dropped(budget, training, guarded)
    if len(training) == len(kept):
        return dropped
    held = sum(it.size_bytes or 0 for it in training if it.path not in dropped)
    return dropped | _dropped(budget - held, [it for it in kept if not is_training(it)], guarded)


def _dropped(budget: int, oldest_first: Sequence[ObservedCheckpoint], guarded: Paths) -> AbstractSet[str]:
    over = sum(it.size_bytes or 0 for it in oldest_first) - budget
    dropped: set[str] = set()
    for it in oldest_first:
        if over > 0 and it.size_bytes and it.path not in guarded:
            dropped.add(it.path)
            over -= it.size_bytes
    return dropped


def _judgement(reasons: AbstractSet[KeepReason] | None, *, budget: bool) -> Judgement:
    if reasons:
        return Kept(tuple(sorted(reasons, key=_ORDER.__getitem__)))
    return _DUE[DueRule.MAX_TOTAL_BYTES if budget else DueRule.NOT_KEPT]
