"""The hand-over document: what the operator tells a training loop to resume from.

The operator writes it as JSON; a `HandOverSource` fetches the text, `resume` and the waiting loop act on what it says.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tinker_operator.trainer.errors import HandOverMalformed, HandOverVersionUnknown

KEY: Final = "handover.json"
"""Key of the document in its ConfigMap, and so the file's name where the ConfigMap is mounted."""

VERSION: Final = 1
"""The one version this library understands. It may gain fields; a change of meaning makes a new version."""


class Mode(StrEnum):
    """How the operator brings a lost run back, and so what a loop does that lost it."""

    RECREATE = "Recreate"
    """The operator restored a run as proof; the loop waits, and makes a run of its own from the same checkpoint."""
    HAND_OVER = "HandOver"
    """Nobody made a run; the loop waits for the hand-over and makes one, which the operator then follows."""
    RELAUNCH = "Relaunch"
    """The loop is the pod of a Job that the operator replaces: it ends, and its replacement makes the run."""


def _mode(found: object) -> object:
    # A mode of a later release is taken for the default: a loop that waits in vain harms less than one that ends.
    return found if isinstance(found, str) and found in set(Mode) else Mode.RECREATE


def _schedule(found: object) -> object:
    # What is no object is no schedule either, and not the same as none: a loop goes on by the last one it understood.
    return found if isinstance(found, dict) else {} if found is None else {"unreadable": found}


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class TrainingRunRef(_Document):
    """Which TrainingRun the document belongs to.

    Attributes:
        namespace: Namespace of the TrainingRun.
        name: Name of the TrainingRun.
    """

    namespace: str
    name: str


class HandOver(_Document):
    """One state of the hand-over, never changed in place; fields this version does not know are ignored.

    Attributes:
        version: Version of the document.
        training_run: The TrainingRun that the document belongs to.
        attempt: How many recoveries there were; 0 while the first run is well. Never goes down.
        training_run_id: The run that the TrainingRun points at now.
        previous_training_run_id: The run that was lost, after a recovery.
        successor_training_run_id: A run that the operator restored to prove the checkpoint. The SDK attaches to no run
            of another session, so a loop resumes from `checkpoint` and leaves this one alone.
        checkpoint: Training checkpoint to resume from (`tinker://<run>/weights/<name>`), None while there is none.
        restore_optimizer: Whether the optimizer's state comes back with the weights.
        user_metadata: What the loop must set on the run it makes, so that the operator knows it as its own.
        mode: How a lost run of this TrainingRun comes back; what is absent or unknown counts as Recreate.
        schedule: When to save, as the CheckpointPolicy says it; kept as it was found, whatever it holds.
    """

    version: int
    training_run: TrainingRunRef
    attempt: int = Field(ge=0)
    training_run_id: str | None = None
    previous_training_run_id: str | None = None
    successor_training_run_id: str | None = None
    checkpoint: str | None = None
    restore_optimizer: bool = True
    user_metadata: Mapping[str, str] = Field(default_factory=dict)
    mode: Annotated[Mode, BeforeValidator(_mode)] = Mode.RECREATE
    schedule: Annotated[Mapping[str, Any], BeforeValidator(_schedule)] = Field(default_factory=dict)

    @property
    def open_to_this_loop(self) -> bool:
        """Whether a loop that is running goes on from here: it is not replaced, and no other loop took this attempt.

        The current run tells: until a loop has resumed it is still the lost one, or the one that the operator restored.
        """
        if self.mode is Mode.RELAUNCH:
            return False
        left = {self.previous_training_run_id}
        if self.mode is Mode.RECREATE:
            left.add(self.successor_training_run_id)
        return not self.training_run_id or self.training_run_id in left

    def overtakes(self, *, training_run_id: str, attempt: int) -> bool:
        """Whether the run of a loop is left behind: there is a later attempt, and not with this very run.

        Args:
            training_run_id: The loop's run.
            attempt: The attempt that the loop followed.
        """
        kept = self.training_run_id == training_run_id != self.previous_training_run_id
        return self.attempt > attempt and not kept

    @classmethod
    def parse(cls, text: str, *, place: str) -> Self:
        """Read a document.

        Args:
            text: The JSON text.
            place: Where it was found, for the error.

        Raises:
            HandOverMalformed: When the text is not a hand-over.
            HandOverVersionUnknown: When it is one of another version, whatever else it holds.
        """
        document = _object(text, place)
        _require_version(document.get("version"), place)
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise _malformed(place, _first_fault(error)) from error


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _malformed(place, str(error)) from error
    if not isinstance(document, dict):
        raise _malformed(place, f"it is a {type(document).__name__}, not an object")
    return document


def _require_version(found: object, place: str) -> None:
    if isinstance(found, bool) or not isinstance(found, int):
        raise _malformed(place, f"its version is {found!r}, not a number")
    if found != VERSION:
        raise HandOverVersionUnknown(
            f"The hand-over in {place} has version {found}; this library understands version {VERSION}.",
            remedy="Install the tinker-operator release that the operator runs into the image of the training loop.",
        )


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"


def _malformed(place: str, why: str) -> HandOverMalformed:
    return HandOverMalformed(
        f"What lies in {place} is no hand-over document: {why}.",
        remedy="Leave the ConfigMap to the operator; delete it and the operator writes it anew.",
    )
