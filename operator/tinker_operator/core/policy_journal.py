"""The journal of a CheckpointPolicy: what it is about to delete stands in its status one round before it goes.

The plan (`policy`) reads and writes it. The status write that carries it is refused when the policy was edited
meanwhile, so nothing goes that was not announced under the policy as it stands, and while status cannot be written
nothing goes at all.

What becomes of an announced checkpoint:

- its deletion succeeded: it is counted;
- a later, complete listing of its run does not show it: it is counted, for the round that deleted it ended before it
  could tell (a crash, a lost answer, a refused write). Who deleted it cannot be told then; it had been announced;
- it turns out to be gone, saved anew or kept right before its deletion, within a round: dropped, not counted;
- it is listed and not due any more, or its run is gone or followed by nobody: dropped, not counted;
- its run cannot be seen whole now: it stays until it can.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.policy_status import DeletingCheckpoint
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import Governed
from tinker_operator.core.world import CheckpointsOf

DELETIONS_PER_PASS = 10
"""Entries of the journal, so deletions of one pass: few enough that a change of mind is heeded soon."""


@dataclass(frozen=True, slots=True)
class Fates:
    """What is known of announced checkpoints that are not to be deleted now; the others are dropped.

    Attributes:
        vanished: A complete listing does not show them any more: they count as deleted.
        unclear: Their run cannot be seen whole: they stay announced.
    """

    vanished: tuple[DeletingCheckpoint, ...] = ()
    unclear: tuple[DeletingCheckpoint, ...] = ()


def fates(journal: Iterable[DeletingCheckpoint], governed: Sequence[Governed], incomplete: Container[str]) -> Fates:
    """Returns what became of the announced checkpoints, by the listings of this round.

    Args:
        journal: What was announced.
        governed: The TrainingRuns that the policy governs.
        incomplete: Names of those whose view is not complete.
    """
    vanished: list[DeletingCheckpoint] = []
    unclear: list[DeletingCheckpoint] = []
    for entry in journal:
        seen = [one for one in governed if _run_of(entry.path) in followed_runs(one.run)]
        whole = [one for one in seen if one.run.metadata.name not in incomplete]
        if any(_shown(entry.path, one) is True for one in seen):
            continue
        if any(_shown(entry.path, one) is False for one in whole):
            vanished.append(entry)
        elif len(whole) < len(seen):
            unclear.append(entry)
    return Fates(tuple(vanished), tuple(unclear))


def announced(journal: Iterable[DeletingCheckpoint], pending: Iterable[Judged]) -> tuple[Judged, ...]:
    """Returns what may be deleted now: what is pending and was announced as it is, in the order of `pending`."""
    known = {(entry.path, entry.time, entry.size_bytes) for entry in journal}
    return tuple(one for one in pending if _identity(one) in known)


def next_journal(
    journal: Iterable[DeletingCheckpoint], unclear: tuple[DeletingCheckpoint, ...], left: Sequence[Judged]
) -> tuple[DeletingCheckpoint, ...]:
    """Returns what is to be announced: what is unclear, what was announced and is still left, and more up to ten.

    Args:
        journal: What was announced.
        unclear: Entries whose fate is not known.
        left: What is left to delete after this pass, oldest first.
    """
    first = {one.checkpoint.path for one in announced(journal, left)}
    chosen = sorted(left, key=lambda one: one.checkpoint.path not in first)[: max(0, DELETIONS_PER_PASS - len(unclear))]
    wanted = {one.checkpoint.path for one in chosen}
    return (*unclear, *(_entry(one) for one in left if one.checkpoint.path in wanted))


def _shown(path: str, one: Governed) -> bool | None:
    """Tells whether the listing of its run shows the path; None when there is no listing."""
    listing = one.answers.get(CheckpointsOf(_run_of(path)))
    return any(it.path == path for it in listing) if isinstance(listing, tuple) else None


def _run_of(path: str) -> str:
    return path.removeprefix("tinker://").partition("/")[0]


def _identity(one: Judged) -> tuple[str, datetime | None, int | None]:
    return one.checkpoint.path, one.checkpoint.time, one.checkpoint.size_bytes


def _entry(one: Judged) -> DeletingCheckpoint:
    path, time, size = _identity(one)
    return DeletingCheckpoint(path=path, time=time, training_run=one.training_run, size_bytes=size)
