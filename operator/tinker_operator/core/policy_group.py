"""The unit that retention counts over: one TrainingRun's checkpoints over all runs of its lineage.

Retention judges groups and the policy controller makes them from listings. What listings may hold against each
other (one path twice, with different facts) is settled here, so that rules see each path once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain

from tinker_operator.api.retention_spec import CheckpointType, Retention
from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint, ObservedRun

_PINNED = frozenset({"true", "1", "yes"})
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_KINDS: Mapping[CheckpointType, CheckpointKind] = {
    CheckpointType.TRAINING: CheckpointKind.TRAINING,
    CheckpointType.SAMPLER: CheckpointKind.SAMPLER,
    CheckpointType.EXTERNAL: CheckpointKind.EXTERNAL,
}
_FILED_UNDER: Mapping[str, CheckpointKind] = {
    "weights": CheckpointKind.TRAINING,
    "sampler_weights": CheckpointKind.SAMPLER,
    "external_weights": CheckpointKind.EXTERNAL,
}
"""What the middle part of a path says of its kind; a dialect of the service may have another word for training."""

Kinds = frozenset[CheckpointKind]
TRAINING_ONLY: Kinds = frozenset({CheckpointKind.TRAINING})


@dataclass(frozen=True, slots=True)
class Group:
    """All checkpoints of one TrainingRun over the runs of its lineage: what a count like keepLast counts over.

    Attributes:
        listed: Everything that each run lists, by run id; other kinds than `kinds` are left out of the judgement.
        checkpoints: The checkpoints of `kinds` among them, each path once, newest first. Made by `group_of`.
        observed: The runs as the service describes them, as far as it does.
        recoverable: Ids of runs that are recovered as soon as the service flags them.
    """

    listed: Mapping[str, tuple[ObservedCheckpoint, ...]]
    checkpoints: tuple[ObservedCheckpoint, ...]
    observed: tuple[ObservedRun, ...] = ()
    recoverable: frozenset[str] = frozenset()
    kinds: Kinds = TRAINING_ONLY


def kinds_of(retention: Retention) -> Kinds:
    """Returns the kinds of checkpoints that these rules govern; never an unknown one."""
    return frozenset(_KINDS[it] for it in retention.checkpoint_types)


def group_of(
    listed: Mapping[str, tuple[ObservedCheckpoint, ...]],
    observed: Iterable[ObservedRun] = (),
    recoverable: Iterable[str] = (),
    kinds: Kinds = TRAINING_ONLY,
) -> Group:
    """Returns the group of these listings; the order within them does not matter.

    Args:
        listed: What each run of the lineage lists, by run id.
        observed: The runs as the service describes them.
        recoverable: Ids of runs that are recovered as soon as the service flags them.
        kinds: What is judged.
    """
    checkpoints = _distinct(chain.from_iterable(listed.values()), kinds)
    return Group(listed, checkpoints, tuple(observed), frozenset(recoverable), kinds)


def governing(group: Group, kinds: Kinds) -> Group:
    """Returns the same group, of which these kinds are judged."""
    same = kinds == group.kinds
    return group if same else group_of(group.listed, group.observed, group.recoverable, kinds)


def by_kind(group: Group) -> Sequence[Group]:
    """Returns the group in parts of one kind each: what a rule counts over."""
    if len(group.kinds) == 1:
        return (group,)
    parts: dict[CheckpointKind, list[ObservedCheckpoint]] = {}
    for checkpoint in group.checkpoints:
        parts.setdefault(checkpoint.kind, []).append(checkpoint)
    return [replace(group, checkpoints=tuple(part)) for part in parts.values()]


def narrowed(group: Group, run_ids: Iterable[str]) -> Group:
    """Returns the part of a group that these runs list; a count over a part keeps no less of it than over the whole."""
    wanted = frozenset(run_ids)
    listed = {run_id: listing for run_id, listing in group.listed.items() if run_id in wanted}
    return group_of(listed, kinds=group.kinds)


def age_order(checkpoint: ObservedCheckpoint) -> tuple[bool, datetime, str]:
    """Sorts checkpoints oldest first, by path where times are equal; an unknown time counts as newest."""
    return checkpoint.time is None, checkpoint.time or _EARLIEST, checkpoint.path


def is_training(checkpoint: ObservedCheckpoint) -> bool:
    """Tells whether training can resume from it."""
    return checkpoint.kind is CheckpointKind.TRAINING


def is_pinned(checkpoint: ObservedCheckpoint) -> bool:
    """Tells whether its own metadata says `pinned`: true, 1 or yes, in any case."""
    return checkpoint.metadata.get("pinned", "").strip().lower() in _PINNED


def _distinct(listed: Iterable[ObservedCheckpoint], kinds: Kinds) -> tuple[ObservedCheckpoint, ...]:
    """Nearly every path is listed once: such an entry costs no list."""
    once: dict[str, ObservedCheckpoint] = {}
    more: dict[str, list[ObservedCheckpoint]] = {}
    for checkpoint in listed:
        first = once.setdefault(checkpoint.path, checkpoint)
        if first is not checkpoint:
            more.setdefault(checkpoint.path, [first]).append(checkpoint)
    single = [it for path, it in once.items() if it.kind in kinds and path not in more]
    alone = [it if _is_at_home(it) else _merged([it]) for it in single]
    several = [_merged(entries) for entries in more.values() if any(entry.kind in kinds for entry in entries)]
    return tuple(sorted((*alone, *several), key=age_order, reverse=True))


def _merged(entries: list[ObservedCheckpoint]) -> ObservedCheckpoint:
    """Returns the one checkpoint that these entries of a path are.

    Entries that contradict each other, or are listed under another run or kind than their path names, prove nothing
    about its age: what is left of them has no time, which protects it.
    """
    first = min(entries, key=lambda entry: entry.run_id)
    if all(_is_at_home(entry) and _same(first, entry) for entry in entries):
        return first
    return ObservedCheckpoint(
        path=first.path,
        run_id=first.run_id,
        kind=first.kind if all(entry.kind is first.kind for entry in entries) else CheckpointKind.TRAINING,
        public=any(entry.public for entry in entries),
        metadata={"pinned": "true"} if any(map(is_pinned, entries)) else {},
    )


def _is_at_home(entry: ObservedCheckpoint) -> bool:
    """The kind of a path in the words of the service decides what a deletion hits, so the type must agree with it."""
    if entry.kind is CheckpointKind.TRAINING and entry.path.startswith(f"tinker://{entry.run_id}/weights/"):
        return True
    home = f"tinker://{entry.run_id}/"
    word, _, name = entry.path.removeprefix(home).partition("/")
    filed = _FILED_UNDER.get(word, CheckpointKind.TRAINING if name else CheckpointKind.UNKNOWN)
    return entry.path.startswith(home) and filed is entry.kind


def _same(one: ObservedCheckpoint, other: ObservedCheckpoint) -> bool:
    facts = ((it.kind, it.time, it.size_bytes, it.public, it.expires_at, it.metadata) for it in (one, other))
    return next(facts) == next(facts)
