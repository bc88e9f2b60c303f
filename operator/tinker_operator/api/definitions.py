"""What each CustomResourceDefinition says: names, printer columns, and the schema from the types.

The CRD command renders it; tests compare it with what the API server serves.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tinker_operator.api.checkpoint_policy import CheckpointPolicy, CheckpointPolicySpec
from tinker_operator.api.meta import CATEGORY, GROUP, VERSION
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.rules import VALIDATIONS
from tinker_operator.api.run_spec import TrainingRunSpec
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.schema import Schema, structural_schema
from tinker_operator.api.training_run import TrainingRun

API_VERSION_DOC = "Versioned schema of this object: group/version, as the API server knows it."
KIND_DOC = "Kind of this object, as the API server knows it."
NOT_OBSERVED = -1
"""status.observedGeneration of a new object: kstatus, Argo CD and Flux then wait for the operator's first look."""


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of `kubectl get`.

    Attributes:
        name: Heading.
        path: JSONPath of the value.
        type: string, integer or date.
        wide: Shown with `-o wide` only.
    """

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beside the schema of spec and status.

    Attributes:
        root: Type of the whole object; its docstring and rules are the root's.
        spec: Type of spec.
        status: Type of status.
        plural: Plural in URLs; also the name of the file.
        short: Short name for kubectl.
        columns: Printer columns, AGE not counted: it stands before the wide ones.
    """

    root: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    plural: str
    short: str
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.root.__name__


def _ready(field: str) -> str:
    # By type, never by position: the order of conditions is nobody's promise.
    return f'.status.conditions[?(@.type=="Ready")].{field}'


KINDS = (
    Kind(
        TrainingRun,
        TrainingRunSpec,
        TrainingRunStatus,
        plural="trainingruns",
        short="tr",
        columns=(
            Column("Ready", _ready("status")),
            Column("State", _ready("reason")),
            Column("Run", ".status.trainingRunId"),
            Column("Base Model", ".status.baseModel"),
            Column("Recoveries", ".status.recoveries", "integer"),
            Column("Last Checkpoint", ".status.lastCheckpoint.path"),
            Column("Rank", ".status.loraRank", "integer", wide=True),
            Column("Next Attempt", ".status.recovery.nextAttemptTime", wide=True),
            Column("Message", _ready("message"), wide=True),
        ),
    ),
    Kind(
        CheckpointPolicy,
        CheckpointPolicySpec,
        CheckpointPolicyStatus,
        plural="checkpointpolicies",
        short="ckp",
        columns=(
            Column("Ready", _ready("status")),
            Column("State", _ready("reason")),
            Column("Runs", ".status.trainingRuns", "integer"),
            Column("Kept", ".status.keptCount", "integer"),
            Column("Due", ".status.dueCount", "integer"),
            Column("Deleted", ".status.deletedTotal", "integer"),
            Column("Validated", '.status.conditions[?(@.type=="Validated")].reason', wide=True),
            Column("Action", ".spec.retention.action", wide=True),
            Column("Kept Bytes", ".status.keptBytes", "integer", wide=True),
            Column("Due Bytes", ".status.dueBytes", "integer", wide=True),
            Column("Message", _ready("message"), wide=True),
        ),
    ),
)
AGE = Column("Age", ".metadata.creationTimestamp", "date")


def definition(kind: Kind) -> dict[str, Any]:
    """Returns the CustomResourceDefinition of a kind.

    Raises:
        SchemaError: A type says something that the API server cannot hold.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": _names(kind),
            "scope": "Namespaced",
            "preserveUnknownFields": False,
            "versions": [_version(kind)],
        },
    }


def _names(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "shortNames": [kind.short],
        "categories": [CATEGORY],
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in _in_order(kind.columns)],
        "schema": {"openAPIV3Schema": _root_schema(kind)},
    }


def _in_order(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    narrow = tuple(column for column in columns if not column.wide)
    return (*narrow, AGE, *(column for column in columns if column.wide))


def _column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return shown | ({"priority": 1} if column.wide else {})


def _root_schema(kind: Kind) -> Schema:
    """The object's own schema; apiVersion, kind and metadata are the API server's to check."""
    said = kind.root.model_json_schema()
    status = structural_schema(kind.status, defaults=False)
    return {
        "description": said["description"],
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION_DOC},
            "kind": {"type": "string", "description": KIND_DOC},
            "metadata": {"type": "object"},
            "spec": structural_schema(kind.spec, defaults=True),
            "status": status | {"default": {"observedGeneration": NOT_OBSERVED}},
        },
        "required": ["spec"],
    } | {key: said[key] for key in (VALIDATIONS,) if key in said}
