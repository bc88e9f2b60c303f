"""What a hand-over says of saves while a policy that may decide on them cannot be read.

A newer release may have words that this one does not know. Then nothing can be said of the schedule, which is not the
same as that there is none: what stands in the hand-over stays until the policy can be read.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import to_wire
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.schedule import Deciding, eldest, seniority
from tinker_operator.core.world import Answer, HandOverSeen

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class UnreadPolicy:
    """A CheckpointPolicy that does not parse, as far as it can be read.

    Attributes:
        namespace: Where it is.
        name: Its name.
        created: When it was made; None when that cannot be read, so that it may be the oldest.
        labels: Labels that a TrainingRun must carry; empty where they cannot be read, which governs all.
    """

    namespace: str
    name: str
    created: datetime | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What the hand-over says of saves.

    Attributes:
        policy: Name of the CheckpointPolicy that it comes from; None where nobody remembers.
        schedule: As the trainer library reads it.
    """

    policy: str | None
    schedule: Mapping[str, object]


def is_undecided(run: TrainingRun, policies: Iterable[CheckpointPolicy], unread: Iterable[UnreadPolicy]) -> bool:
    """Returns whether a policy that cannot be read decides when the TrainingRun saves, or may.

    Args:
        run: The TrainingRun.
        policies: Those that can be read.
        unread: Those with a schedule that cannot; a readable one that is older decides all the same.
    """
    oldest = eldest(run, policies)
    mine = (it for it in unread if it.namespace == run.metadata.namespace)
    governing = (it for it in mine if it.labels.items() <= run.metadata.labels.items())
    return any(
        oldest is None or ((it.created or _EARLIEST), (it.namespace, it.name)) < seniority(oldest) for it in governing
    )


def words_of(
    held: Deciding | None, standing: Answer, status: TrainingRunStatus, *, is_unread: bool = False
) -> Words | None:
    """Returns what the hand-over is to say of saves; None for nothing.

    Args:
        held: The schedule that holds, of the policies that can be read.
        standing: The hand-over as it is.
        status: Knows which policy that came from.
        is_unread: Whether a policy that cannot be read may decide.
    """
    if not is_unread:
        return None if held is None else Words(held.policy, to_wire(held.schedule))
    schedule = _schedule_in(standing)
    if schedule is None:
        return None
    return Words(status.hand_over.schedule_policy if status.hand_over else None, schedule)


def _schedule_in(standing: Answer) -> Mapping[str, object] | None:
    if not isinstance(standing, HandOverSeen):
        return None
    try:
        document = json.loads(standing.document or "")
    except ValueError:
        return None
    found = document.get("schedule") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else None
