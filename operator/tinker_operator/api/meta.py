"""What both kinds share: names of the API group, the frozen base model, object metadata and conditions.

Every other module of the operator takes these names from here, so that a name is spelled once.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from tinker_operator.api.rules import map_by

GROUP = "tinker-operator.dev"
VERSION = "v1alpha1"
CATEGORY = "tinker"

OWNER_KEY = f"{GROUP}/owner"
"""Key of a remote run's user_metadata: `<cluster>/<namespace>/<name>` of the TrainingRun that it belongs to."""
ATTEMPT_KEY = f"{GROUP}/attempt"
"""Key of a remote run's user_metadata: number of the recovery attempt that it came from, "0" for a created run."""
ORIGIN_KEY = f"{GROUP}/origin"
"""Key of a remote run's user_metadata: the run id that spec adopted, or `create`."""
CHECKPOINT_KEY = f"{GROUP}/checkpoint"
"""Key of a remote run's user_metadata: checkpoint that it was restored from, by the operator or by a loop."""
RESUMED_KEY = f"{GROUP}/resumed-at"
"""Key of a remote run's user_metadata, set by the training loop that made it: RFC 3339 time of the resume."""

VALIDATES_KEY = f"{GROUP}/validates-for"
"""Key of a remote run's user_metadata: the owner for whom a checkpoint is proven in it. Such a run is nobody's."""
RECONCILE_AT = f"{GROUP}/reconcile-at"
"""Annotation: a new value asks for a fresh look and a new budget; status.lastHandledReconcileAt echoes it."""

_RUN_ID = r"[!\"$&-.0->@-\[\]-~]+"
RUN_ID_PATTERN = f"^{_RUN_ID}$"
"""Printable ASCII that keeps its place in a URL. Spelled out: what counts as a space differs between engines, and
an object that the API server accepts must parse here too."""
CHECKPOINT_PATTERN = rf"^tinker://{_RUN_ID}/weights/[A-Za-z0-9._-]+$"
"""A path that training can resume from: sampler and external weights cannot be trained."""


SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""A name of most Kubernetes objects: a DNS subdomain as RFC 1123 has it."""


class ApiModel(BaseModel):
    """A frozen Kubernetes type: camelCase outside, snake_case inside; unknown fields are the API server's business."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued logic."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One aspect of an object's state, in the form of metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=316)] = Field(description="Aspect that is told about, CamelCase.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int = Field(description="metadata.generation that this condition was computed from.", ge=0)
    last_transition_time: datetime = Field(description="When status last changed; a new message does not move it.")
    reason: str = Field(
        description="One CamelCase word for the cause; a closed list, see the README.",
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        max_length=256,
    )
    message: str = Field(description="What happened and what to do about it.", max_length=4096)


Conditions = Annotated[tuple[Condition, ...], Field(json_schema_extra=map_by("type"))]
"""Conditions of a status, at most one for each type."""


class ObjectMeta(ApiModel):
    """The part of metav1.ObjectMeta that decisions read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()


def to_wire(model: ApiModel) -> dict[str, Any]:
    """Returns the JSON form that the API server stores: camelCase, times in RFC 3339, absent fields left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
