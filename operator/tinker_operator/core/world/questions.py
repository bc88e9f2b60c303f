"""What a decision may ask before it is made. A question is also the key of its answer."""

from dataclasses import dataclass

from tinker_operator.core.world.observations import (
    Absent,
    Fault,
    HandOverSeen,
    JobsSeen,
    ObservedCheckpoint,
    ObservedRun,
    WeightsSeen,
)


@dataclass(frozen=True, slots=True)
class CheckpointsOf:
    """Which checkpoints does this run have? Answered by a complete listing, Absent or a Fault."""

    run_id: str


@dataclass(frozen=True, slots=True)
class WeightsOf:
    """What are this checkpoint's weights? Answered by WeightsSeen, Absent or a Fault."""

    path: str


@dataclass(frozen=True, slots=True)
class RunById:
    """Does this run exist? Asked for a successor whose id was journalled before it was made."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ReadHandOver:
    """What does the hand-over ConfigMap say? Answered by HandOverSeen or a Fault."""

    name: str


@dataclass(frozen=True, slots=True)
class TrainerJobs:
    """Which trainer Jobs does this object have? Answered by JobsSeen or a Fault."""


Question = CheckpointsOf | WeightsOf | RunById | ReadHandOver | TrainerJobs
Answer = tuple[ObservedCheckpoint, ...] | WeightsSeen | ObservedRun | HandOverSeen | JobsSeen | Absent | Fault
