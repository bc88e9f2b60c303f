"""What `-f` gives: a dump to plan from instead of the cluster, or policies to try before they are applied."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.retention_spec import RULE_FIELDS
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.plugin.snapshot import Snapshot, UnreadableDump, restored

_POLICY = "CheckpointPolicy"
_DUMP = "RetentionSnapshot"
_FORMS = f"a {_POLICY} manifest, or a file that --dump wrote"


@dataclass(frozen=True, slots=True)
class Given:
    """What the files hold.

    Attributes:
        snapshot: The dump; None to look at the cluster.
        policies: Policies to try.
    """

    snapshot: Snapshot | None
    policies: tuple[CheckpointPolicy, ...]

    def placed(self, namespace: str) -> "Given":
        """Returns the same with this namespace for policies that name none."""
        return replace(self, policies=tuple(_placed(it, namespace) for it in self.policies))


def _placed(policy: CheckpointPolicy, namespace: str) -> CheckpointPolicy:
    metadata = policy.metadata.model_copy(update={"namespace": policy.metadata.namespace or namespace})
    return policy.model_copy(update={"metadata": metadata})


def read_files(paths: Iterable[Path]) -> Given:
    """Returns what these files hold.

    Raises:
        InvalidSettings: One of them cannot be read, or is neither.
    """
    snapshots: list[Snapshot] = []
    policies: list[CheckpointPolicy] = []
    for path in paths:
        text = _text(path)
        for document in _documents(path, text):
            kind = document.get("kind") if isinstance(document, dict) else None
            if kind == _DUMP:
                snapshots.append(_snapshot(path, text))
            elif kind == _POLICY:
                policies.append(_policy(path, document))
            else:
                raise InvalidSettings(f"-f {path}: is of kind {kind!r}: give {_FORMS}")
    if len(snapshots) > 1:
        raise InvalidSettings("-f: more than one dump was given: give one of them")
    return Given(snapshots[0] if snapshots else None, tuple(policies))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise InvalidSettings(f"-f {path}: {why}: give {_FORMS}") from None


def _documents(path: Path, text: str) -> list[Any]:
    """JSON is read as such: a dump may be big, and a reader of YAML is slow."""
    with suppress(ValueError):
        return [json.loads(text)]
    try:
        return [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError:
        raise InvalidSettings(f"-f {path}: is neither YAML nor JSON: give {_FORMS}") from None


def _snapshot(path: Path, text: str) -> Snapshot:
    try:
        return restored(text)
    except UnreadableDump as error:
        raise InvalidSettings(f"-f {path}: {error}") from None


def _policy(path: Path, document: dict[str, Any]) -> CheckpointPolicy:
    try:
        policy = CheckpointPolicy.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidSettings(
            f"-f {path}: {where}: {first['msg']}: correct it; the API server would refuse it"
        ) from None
    rules = [name for name in RULE_FIELDS if getattr(policy.spec.retention, to_snake(name)) is not None]
    if not rules:
        raise InvalidSettings(f"-f {path}: spec.retention keeps nothing: give one of {', '.join(RULE_FIELDS)}")
    return policy
