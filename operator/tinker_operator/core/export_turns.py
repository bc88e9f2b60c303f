"""Whose turn it is among the exports of a policy: which begin, and whose Jobs are seen to in a round.

There are never more Jobs at once than `parallelism` says, and never two for one path: they would write the same files.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tinker_operator.api.export_status import EXPORTS_LIMIT, ExportRecord, ExportState
from tinker_operator.core.policy_judgement import Judged

OPEN: Final = (ExportState.PENDING, ExportState.RUNNING)
HELD_UP_SECONDS: Final = 60.0
"""How often one is tried again whose Job cannot be made."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An export whose Job is to be made or looked at; it stood in status when the round began.

    Attributes:
        record: The export.
        make: Whether its Job may be made, or only looked at: it is not wanted any more, and may have one all the same.
    """

    record: ExportRecord
    make: bool


def is_held_up(record: ExportRecord) -> bool:
    """Returns whether its Job cannot be made, for what concerns its TrainingRun alone: others go first."""
    return record.state is ExportState.PENDING and bool(record.message)


def in_turn(opened: Sequence[ExportRecord], most: int, now: datetime) -> tuple[ExportRecord, ...]:
    """Returns the exports that are seen to now: all that run, and as many of the others as may run beside them.

    Of those that are held up another is the first each time, so that none waits for another's trouble to be mended.

    Args:
        opened: Those that stood in status when the round began.
        most: How many Jobs there may be.
        now: The time.
    """
    running = [it for it in opened if it.state is ExportState.RUNNING]
    ready = [it for it in opened if it.state is ExportState.PENDING and not is_held_up(it)]
    held = [it for it in opened if is_held_up(it)]
    first = int(now.timestamp() // HELD_UP_SECONDS) % len(held) if held else 0
    waiting = [*ready, *held[first:], *held[:first]]
    return (*running, *waiting[: max(0, most - len(running))])


def beginning(known: Sequence[ExportRecord], fresh: Iterable[Judged], most: int) -> list[Judged]:
    """Returns the checkpoints whose export begins now.

    Args:
        known: The exports that status knows.
        fresh: The checkpoints that are wanted and not known, in their order.
        most: How many Jobs there may be.
    """
    opened = [it for it in known if it.state in OPEN]
    free = most - sum(not is_held_up(it) for it in opened)
    taken = {it.path for it in opened}
    single = {one.checkpoint.path: one for one in fresh if one.checkpoint.path not in taken}
    return list(single.values())[: max(0, min(free, EXPORTS_LIMIT - len(known)))]
