"""Which checkpoints stay and which nothing keeps: one pure function, `judge`, and its table of reasons.

The policy controller deletes by it and a dry run prints it. Rules are ORed, so one rule more can only keep more.

Growing it: a rule or a protection is a function from a group and its context to the paths that it keeps, and a line
in `RULES` or `PROTECTIONS`. Nothing else changes, `judge` least of all.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.checkpoint_policy import KeepReason, Retention
from tinker_operator.core.policy_group import Group, is_pinned
from tinker_operator.core.policy_references import References
from tinker_operator.core.world import ObservedCheckpoint

_ORDER = {reason: place for place, reason in enumerate(KeepReason)}


@dataclass(frozen=True, slots=True)
class Claim:
    """What one policy says over one group.

    Attributes:
        group: The checkpoints that it speaks of.
        retention: Its rules.
        own: True for the policy that asks; the others can only keep more.
        deletes: Whether it lets a checkpoint go that it does not keep: action Delete and not suspended.
    """

    group: Group
    retention: Retention
    own: bool = True
    deletes: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """What a keeper may read beside the group.

    Attributes:
        retention: The rules' numbers.
        references: What all TrainingRuns refer to.
        now: The time to judge at.
    """

    retention: Retention
    references: References
    now: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """It stays.

    Attributes:
        because: Every rule and protection that keeps it, in the order of KeepReason; never empty.
    """

    because: tuple[KeepReason, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """Nothing keeps it."""


Judgement = Kept | Due
Paths = AbstractSet[str]
Keeper = Callable[[Group, Context], Paths]
"""Returns the paths that it keeps; a path that is not judged does no harm."""


def judge(claims: Iterable[Claim], references: References, now: datetime) -> Mapping[str, Judgement]:
    """Returns what becomes of each training checkpoint of the asking policy's groups, by path.

    A path in several groups is due only if it is due in each. Another policy's claim keeps what its rules keep, or
    everything it governs if it does not delete; both show as OtherPolicy.

    Args:
        claims: The asking policy's (own) and the other policies' claims, in any order.
        references: What all TrainingRuns refer to.
        now: The time to judge at, timezone-aware.
    """
    said = tuple(claims)
    own = (claim.group for claim in said if claim.own)
    because: dict[str, set[KeepReason]] = {it.path: set() for group in own for it in group.checkpoints}
    for claim in said:
        for reason, path in _keeps(claim, Context(claim.retention, references, now)):
            if path in because:
                because[path].add(reason)
    return {path: _judgement(reasons) for path, reasons in because.items()}


def is_good(checkpoint: ObservedCheckpoint, context: Context) -> bool:
    """Tells whether training could resume from it, for all that is known: not empty, not expired, never refused."""
    expired = checkpoint.expires_at is not None and checkpoint.expires_at <= context.now
    return checkpoint.size_bytes != 0 and not expired and checkpoint.path not in context.references.refused


def _keeps(claim: Claim, context: Context) -> Iterable[tuple[KeepReason, str]]:
    """Protections hold for every policy alike, so only the asking policy applies them."""
    keepers = (*RULES, *PROTECTIONS) if claim.own else RULES if claim.deletes else ((KeepReason.OTHER_POLICY, _all),)
    for reason, keeper in keepers:
        for path in keeper(claim.group, context):
            yield reason if claim.own else KeepReason.OTHER_POLICY, path


def _judgement(reasons: AbstractSet[KeepReason]) -> Judgement:
    return Kept(tuple(sorted(reasons, key=_ORDER.__getitem__))) if reasons else Due()


def _has_age(checkpoint: ObservedCheckpoint, context: Context) -> bool:
    return checkpoint.time is not None and checkpoint.time <= context.now


def _all(group: Group, _context: Context) -> Paths:
    return _paths(group.checkpoints)


def _paths(checkpoints: Iterable[ObservedCheckpoint]) -> Paths:
    return {checkpoint.path for checkpoint in checkpoints}


# The rules. Only checkpoints of a known, past time are counted: one from the future would take the place of a real one.


def _keep_last(group: Group, context: Context) -> Paths:
    aged = [checkpoint for checkpoint in group.checkpoints if _has_age(checkpoint, context)]
    return _paths(aged[: context.retention.keep_last])


def _minimum_good(group: Group, context: Context) -> Paths:
    good = [it for it in group.checkpoints if _has_age(it, context) and is_good(it, context)]
    return _paths(good[: context.retention.minimum_good])


# The protections.


def _newest_of_runs(group: Group, context: Context) -> Mapping[str, str]:
    aged = [it for it in group.checkpoints if _has_age(it, context)]
    return {it.run_id: it.path for it in reversed(aged)}


def _newest(group: Group, context: Context) -> Paths:
    return set(_newest_of_runs(group, context).values())


def _recovering(group: Group, context: Context) -> AbstractSet[str]:
    flagged = group.recoverable & {run.run_id for run in group.observed if run.corrupted}
    return {run_id for run_id in group.listed if run_id in flagged or run_id in context.references.recovering}


def _corrupted_run(group: Group, context: Context) -> Paths:
    recovering = _recovering(group, context)
    troubled = [run for run in group.observed if run.corrupted or run.run_id in recovering]
    told = {run.last_checkpoint.path for run in troubled if run.last_checkpoint is not None}
    newest = _newest_of_runs(group, context)
    listed = {newest[run.run_id] for run in troubled if run.run_id in newest}
    return told | listed | _named(KeepReason.CORRUPTED_RUN)(group, context)


def _recovery_in_flight(group: Group, context: Context) -> Paths:
    candidates = {it.path for run_id in _recovering(group, context) for it in group.listed[run_id]}
    return candidates | _named(KeepReason.RECOVERY_IN_FLIGHT)(group, context)


def _named(reason: KeepReason) -> Keeper:
    def keeps(group: Group, context: Context) -> Paths:
        named = context.references.named.get(reason)
        return {it.path for it in group.checkpoints if it.path in named} if named else frozenset()

    return keeps


def _if(test: Callable[[ObservedCheckpoint, Context], bool]) -> Keeper:
    return lambda group, context: _paths(it for it in group.checkpoints if test(it, context))


RULES: tuple[tuple[KeepReason, Keeper], ...] = (
    (KeepReason.KEEP_LAST, _keep_last),
    (KeepReason.MINIMUM_GOOD, _minimum_good),
)
"""What a policy's numbers keep; each policy its own."""

PROTECTIONS: tuple[tuple[KeepReason, Keeper], ...] = (
    (KeepReason.NEWEST, _newest),
    (KeepReason.CORRUPTED_RUN, _corrupted_run),
    (KeepReason.RECOVERY_IN_FLIGHT, _recovery_in_flight),
    (KeepReason.RECOVERY_SOURCE, _named(KeepReason.RECOVERY_SOURCE)),
    (KeepReason.HANDED_OVER, _named(KeepReason.HANDED_OVER)),
    (KeepReason.SPECIFIC, _named(KeepReason.SPECIFIC)),
    (KeepReason.PUBLISHED, _if(lambda it, _context: it.public)),
    (KeepReason.PINNED, _if(lambda it, _context: is_pinned(it))),
    (KeepReason.FUTURE_TIME, _if(lambda it, context: not _has_age(it, context))),
)
"""What stays whatever the numbers say."""
