"""What deploy/ makes, as objects: rendered by the kustomize that is in kubectl."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from playground.kubectl import Kubectl

DEPLOY = Path(__file__).parents[2] / "deploy"
CLUSTER_WIDE = DEPLOY / "overlays" / "cluster-wide"
ONE_NAMESPACE = DEPLOY / "overlays" / "one-namespace"
SHARDED = DEPLOY / "overlays" / "sharded"
ACCOUNT = "tinker-operator"

Manifest = dict[str, Any]
Name = tuple[str, str, str]


def name_of(manifest: Manifest) -> Name:
    """Returns kind, namespace and name."""
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def by_name(manifests: Iterable[Manifest]) -> dict[Name, Manifest]:
    """Returns objects by kind, namespace and name; two of the same name fail."""
    found: dict[Name, Manifest] = {}
    for manifest in manifests:
        assert found.setdefault(name_of(manifest), manifest) is manifest
    return found


def kustomized(kubectl: Kubectl, folder: Path) -> dict[Name, Manifest]:
    """Returns what `kubectl kustomize` makes of a folder."""
    return by_name(yaml.safe_load_all(kubectl("kustomize", folder).stdout))


def overlay(folder: Path, on: Path, **more: Any) -> Path:
    """Writes a user's overlay on one of ours, with more of kustomize's fields, and returns its folder."""
    relative = Path(*[".."] * len(folder.resolve().parts[1:])) / on.resolve().relative_to("/")
    wanted = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [str(relative)]}
    folder.mkdir(exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted | more), encoding="utf-8")
    return folder
