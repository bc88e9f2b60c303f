"""Applies the project's custom resource definitions and waits until the API server serves them.

`tinker-playground crds`, the fixtures and the demonstration call it.
"""

from __future__ import annotations

from pathlib import Path

from playground.errors import BadSetting
from playground.kubectl import Kubectl

_ESTABLISHED_SECONDS = 60
_REMEDY = "Run it from a checkout of the project, or name the folder with --crds."


def checkout_crds() -> Path:
    """The crds folder of the checkout that this package runs from.

    Raises:
        BadSetting: It runs from somewhere else, such as an installed wheel, or the folder is empty.
    """
    return checked_folder(Path(__file__).parents[2] / "crds")


def checked_folder(folder: Path) -> Path:
    """Answer the folder if it holds manifests.

    Raises:
        BadSetting: It does not.
    """
    if any(folder.glob("*.yaml")):
        return folder
    raise BadSetting(f"{folder} holds no custom resource definitions.", _REMEDY)


def apply_crds(kubectl: Kubectl, folder: Path) -> tuple[str, ...]:
    """Apply every manifest of the folder on the server's side, and wait until all are established.

    Args:
        kubectl: As somebody who may.
        folder: Holds the definitions.

    Returns:
        Their names, such as `customresourcedefinition.apiextensions.k8s.io/trainingruns.tinker-operator.dev`.

    Raises:
        KubectlFailed: The server refuses one, or does not establish it within a minute.
    """
    applied = kubectl("apply", "--server-side", "-f", folder, "-o", "name").stdout.split()
    waiting = f"--timeout={_ESTABLISHED_SECONDS}s"
    kubectl("wait", "--for=condition=Established", waiting, *applied, seconds=_ESTABLISHED_SECONDS + 10)
    return tuple(applied)
