"""What the tests of the Kubernetes types share: the repository's own files, and a place to apply manifests to."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_operator.api.meta import GROUP, VERSION

REPOSITORY = Path(__file__).parents[2]

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="module")
def shared_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """One namespace for the tests of a module that do not disturb each other: a namespace is slow to make and end."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def manifest(shared_namespace: str) -> Callable[..., Manifest]:
    """Makes a manifest of one of the two kinds, of another name at each call."""

    def make(kind: str, spec: Any, **rest: Any) -> Manifest:
        said = {} if spec is None else {"spec": spec}
        metadata = {"name": f"subject-{uuid.uuid4().hex[:8]}", "namespace": shared_namespace}
        return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, **said, **rest}

    return make


@pytest.fixture
def write_status(kubectl: Kubectl) -> Callable[[Manifest, Mapping[str, Any]], Manifest]:
    """Writes the status of an object as the operator does, and returns the object as stored."""

    def write(subject: Manifest, status: Mapping[str, Any]) -> Manifest:
        patch = json.dumps({"status": status})
        arguments = ("--subresource=status", "--type=merge", "--patch", patch)
        stored: Manifest = kubectl.json("patch", *address(subject), *arguments)
        return stored

    return write


def address(subject: Manifest) -> tuple[str, ...]:
    """The object as kubectl's arguments name it."""
    metadata = subject["metadata"]
    return ("--namespace", metadata["namespace"], subject["kind"], metadata["name"])
