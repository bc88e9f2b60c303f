"""The unit that retention counts over: one TrainingRun's checkpoints over all runs of its lineage.

Retention judges groups and the policy controller makes them from listings. What listings may hold against each
other (one path twice, with different facts) is settled here, so that rules see each path once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint, ObservedRun

_PINNED = frozenset({"true", "1", "yes"})
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """All checkpoints of one TrainingRun over the runs of its lineage: what a count like keepLast counts over.

    Attributes:
        listed: Everything that each run lists, by run id; other kinds than training are left out of the judgement.
        checkpoints: The training checkpoints among them, each path once, newest first. Made by `group_of`.
        observed: The runs as the service describes them, as far as it does.
        recoverable: Ids of runs that are recovered as soon as the service flags them.
    """

    listed: Mapping[str, tuple[ObservedCheckpoint, ...]]
    checkpoints: tuple[ObservedCheckpoint, ...]
    observed: tuple[ObservedRun, ...] = ()
    recoverable: frozenset[str] = frozenset()


def group_of(
    listed: Mapping[str, tuple[ObservedCheckpoint, ...]],
    observed: Iterable[ObservedRun] = (),
    recoverable: Iterable[str] = (),
) -> Group:
    """Returns the group of these listings; the order within them does not matter.

    Args:
        listed: What each run of the lineage lists, by run id.
        observed: The runs as the service describes them.
        recoverable: Ids of runs that are recovered as soon as the service flags them.
    """
    return Group(listed, _distinct(chain.from_iterable(listed.values())), tuple(observed), frozenset(recoverable))


def narrowed(group: Group, run_ids: Iterable[str]) -> Group:
    """Returns the part of a group that these runs list; a count over a part keeps no less of it than over the whole."""
    wanted = frozenset(run_ids)
    return group_of({run_id: listing for run_id, listing in group.listed.items() if run_id in wanted})


def age_order(checkpoint: ObservedCheckpoint) -> tuple[bool, datetime, str]:
    """Sorts checkpoints oldest first, by path where times are equal; an unknown time counts as newest."""
    return checkpoint.time is None, checkpoint.time or _EARLIEST, checkpoint.path


def is_training(checkpoint: ObservedCheckpoint) -> bool:
    """Tells whether training can resume from it; policies govern no other kind."""
    return checkpoint.kind is CheckpointKind.TRAINING


def is_pinned(checkpoint: ObservedCheckpoint) -> bool:
    """Tells whether its own metadata says `pinned`: true, 1 or yes, in any case."""
    return checkpoint.metadata.get("pinned", "").strip().lower() in _PINNED


def _distinct(listed: Iterable[ObservedCheckpoint]) -> tuple[ObservedCheckpoint, ...]:
    by_path: dict[str, list[ObservedCheckpoint]] = {}
    for checkpoint in listed:
        by_path.setdefault(checkpoint.path, []).append(checkpoint)
    merged = (_merged(entries) for entries in by_path.values() if any(map(is_training, entries)))
    return tuple(sorted(merged, key=age_order, reverse=True))


def _merged(entries: list[ObservedCheckpoint]) -> ObservedCheckpoint:
    """Returns the one checkpoint that these entries of a path are.

    Entries that contradict each other, or are listed under another run than their path names, prove nothing about
    its age: what is left of them has no time, which protects it.
    """
    first = min(entries, key=lambda entry: entry.run_id)
    if all(_is_at_home(entry) and _same(first, entry) for entry in entries):
        return first
    return ObservedCheckpoint(
        path=first.path,
        run_id=first.run_id,
        public=any(entry.public for entry in entries),
        metadata={"pinned": "true"} if any(map(is_pinned, entries)) else {},
    )


def _is_at_home(entry: ObservedCheckpoint) -> bool:
    return entry.path.startswith(f"tinker://{entry.run_id}/")


def _same(one: ObservedCheckpoint, other: ObservedCheckpoint) -> bool:
    facts = ((it.kind, it.time, it.size_bytes, it.public, it.expires_at, it.metadata) for it in (one, other))
    return next(facts) == next(facts)
