"""What can go wrong when a training loop resumes, and what its author does about it.

Raised by the rest of this package, caught by the user's loop::

    TrainerError
    ├── SettingInvalid (ValueError)     an argument or TINKER_OPERATOR_HANDOVER makes no sense
    ├── HandOverUnreadable              the place of the hand-over does not answer       transient
    ├── HandOverMalformed               what lies there is no hand-over document         transient
    ├── HandOverVersionUnknown          written by a newer operator than this library
    ├── HandOverForbidden               the pod may not read the ConfigMap
    ├── NoNextHandOver (TimeoutError)   a run was lost and no recovery arrived in time
    ├── HandOverLate (TimeoutError)     the hand-over of this pod's attempt did not arrive in time
    ├── CheckpointUnusable              the checkpoint is gone, or the service refuses to load it
    │   └── CheckpointUnfit             it is sound, but of another model or rank, or does not say its step
    ├── Superseded                      a later attempt goes on elsewhere
    └── RunLost                         the service flagged the run as corrupted

A *transient* error may be gone at the next look: waiting goes on, and only the deadline turns it into a failure.
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tinker_operator.trainer.handover import HandOver


class TrainerError(Exception):
    """Base of every error of this package.

    Attributes:
        message: What happened, one sentence.
        remedy: What to do about it, one sentence.
    """

    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class SettingInvalid(TrainerError, ValueError):
    """A setting or an argument makes no sense; nothing was attempted."""


class HandOverUnreadable(TrainerError):
    """The place of the hand-over does not answer: an API server that restarts, a volume that is not there yet."""

    transient = True


class HandOverMalformed(TrainerError):
    """The text is no hand-over document; a file that is being written right now looks like this for a moment."""

    transient = True


class HandOverVersionUnknown(TrainerError):
    """The document has a version this library was not written for, so none of its fields may be trusted."""


class HandOverForbidden(TrainerError):
    """The API server refuses to let this pod read the ConfigMap."""


class NoNextHandOver(TrainerError, TimeoutError):
    """No recovery was handed over before the deadline."""


class HandOverLate(TrainerError, TimeoutError):
    """The hand-over of the attempt that this pod was started for did not arrive before the deadline."""


class CheckpointUnusable(TrainerError):
    """The checkpoint cannot be resumed from: it is gone, or the service refuses to load it. Another one may do."""


class CheckpointUnfit(CheckpointUnusable):
    """This loop cannot use the checkpoint: it is of another model or rank, or does not say its step.

    Its lineage is alike, so no waiting mends that: the loop or its TrainingRun has to change.
    """


class Superseded(TrainerError):
    """A later attempt is under way, so this loop's run is left behind and must not be trained or saved any more.

    Attributes:
        handover: The hand-over of the later attempt.
        attempt: Its attempt.
    """

    def __init__(self, handover: "HandOver") -> None:
        super().__init__(
            f"Attempt {handover.attempt} of the training run {handover.training_run.name} goes on elsewhere.",
            remedy="End this loop: what it would train and save belongs to a run that was left behind.",
        )
        self.handover = handover
        self.attempt = handover.attempt


class RunLost(TrainerError):
    """The service says that the run is corrupted; that is for good, only another run can go on.

    Attributes:
        training_run_id: The run that is gone.
        error_class: Name of the SDK's exception that the loop met first.
    """

    def __init__(self, training_run_id: str, *, error_class: str) -> None:
        super().__init__(
            f"The training run {training_run_id} is corrupted.",
            remedy="Resume from the next hand-over; in mode Relaunch, end: the operator starts the loop that does.",
        )
        self.training_run_id = training_run_id
        self.error_class = error_class
