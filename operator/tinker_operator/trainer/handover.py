"""The hand-over document: what the operator tells a training loop to resume from.

The operator writes it as JSON; a `HandOverSource` fetches the text, `resume` and the waiting loop act on what it says.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tinker_operator.trainer.errors import HandOverMalformed, HandOverVersionUnknown

KEY: Final = "handover.json"
"""Key of the document in its ConfigMap, and so the file's name where the ConfigMap is mounted."""

VERSION: Final = 1
"""The one version this library understands. It may gain fields; a change of meaning makes a new version."""


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
