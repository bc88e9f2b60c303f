"""What happened to checkpoints by background validation and publishing: the difference of two statuses of a policy."""

from collections.abc import Iterator

from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import Verdict
from tinker_operator.api.validation_status import CheckpointFinding, PublishedCheckpoint
from tinker_operator.core.policy_proof import EXPENSIVE
from tinker_operator.core.policy_verdicts import Identity, identity
from tinker_operator.core.telemetry import EventReason, Told


def policy_events(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> tuple[Told, ...]:
    """Returns what happened in the step from one status of a policy to the next.

    A bad checkpoint is told once, however it was found; a good one only where it took a load to know.

    Args:
        before: The status that stood.
        after: The one that was written.
    """
    return (*_judged(before, after), *_published(before, after))


def _judged(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Told]:
    known = {(identity(it), it.verdict, it.level) for it in _verdicts(before)}
    for it in _verdicts(after):
        if (identity(it), it.verdict, it.level) not in known:
            yield from _verdict(it)


def _verdicts(status: CheckpointPolicyStatus) -> tuple[CheckpointFinding, ...]:
    return status.validation.verdicts if status.validation is not None else ()


def _verdict(it: CheckpointFinding) -> Iterator[Told]:
    fields = _fields(it, ("level", str(it.level)), ("verdict", str(it.verdict)))
    if it.verdict is not Verdict.GOOD:
        note = f"{it.path} of TrainingRun {it.training_run} is {it.verdict}: {it.message}"
        yield Told(EventReason.CHECKPOINT_INVALID, note, warning=True, fields=fields)
    elif it.level in EXPENSIVE:
        how = "it loads" if it.level is ValidationLevel.LOAD else "it loads, and its tensors are whole and finite"
        note = f"{it.path} of TrainingRun {it.training_run} is good: {how}."
        yield Told(EventReason.CHECKPOINT_PROVEN, note, fields=fields)


def _published(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Told]:
    was, now = _entries(before), _entries(after)
    for key, it in now.items():
        if it.public and (key not in was or not was[key].public):
            note = f"{it.path} of TrainingRun {it.training_run} is public: everybody may load it."
            yield Told(EventReason.CHECKPOINT_PUBLISHED, note, fields=_fields(it))
    for key, it in was.items():
        if it.public and key not in now:
            note = f"{it.path} of TrainingRun {it.training_run} is not public by this policy any more."
            yield Told(EventReason.CHECKPOINT_UNPUBLISHED, note, fields=_fields(it))


def _entries(status: CheckpointPolicyStatus) -> dict[Identity, PublishedCheckpoint]:
    return {identity(it): it for it in (status.publishing.checkpoints if status.publishing is not None else ())}


def _fields(
    it: CheckpointFinding | PublishedCheckpoint, *more: tuple[str, str | int]
) -> tuple[tuple[str, str | int], ...]:
    return (("checkpoint", it.path), ("training_run", it.training_run), *more)
