"""Pods and Jobs that run a piece of Python, and what can be asked about them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from playground.kubectl import Kubectl
from playground.node.images import PYTHON_IMAGE

SECONDS = 60.0
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod_spec(code: str, *, limits: dict[str, str] | None = None, restricted: bool = False) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "python",
        "image": PYTHON_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", code],
        "resources": {"limits": limits or {}},
    }
    if restricted:
        container["securityContext"] = _RESTRICTED
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "containers": [container]}


def pod(namespace: str, spec: dict[str, Any], *, finalizers: tuple[str, ...] = ()) -> str:
    metadata = {"name": "one", "namespace": namespace, "finalizers": list(finalizers)}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def job(namespace: str, spec: dict[str, Any]) -> str:
    metadata = {"name": "one", "namespace": namespace}
    wanted = {"backoffLimit": 0, "template": {"spec": spec}}
    return json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": wanted})


def status(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.json("get", "pod", "one", f"--namespace={namespace}")["status"]
    return found


def container(of: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = (of.get("containerStatuses") or [{"state": {}}])[0]["state"]
    return state


def await_status(
    kubectl: Kubectl, namespace: str, condition: Callable[[dict[str, Any]], object], seconds: float = SECONDS
) -> dict[str, Any]:
    """Poll the status of the Pod until the condition holds, and answer it."""
    deadline = time.monotonic() + seconds
    while not condition(found := status(kubectl, namespace)):
        assert time.monotonic() < deadline, f"still {json.dumps(found, indent=1)}"
        time.sleep(0.2)
    return found
