"""The images that are built here run what they are for, as nobody in particular."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.node.pods import pod_spec

from playground.kubectl import Kubectl
from playground.node.archive import Image
from playground.node.images import operator_image, trainer_image
from playground.node.node import Node
from playground.settings import Settings

RESUME = "import tinker, tinker_operator.trainer as t, os; print(t.resume.__name__, os.getuid())"

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]  # the first build takes minutes on a busy machine


@pytest.mark.parametrize(
    ("make", "program"),
    [
        pytest.param(operator_image, (["tinker-operator", "run", "--help"], "--all-namespaces"), id="the operator"),
        pytest.param(
            trainer_image,
            (["python", "-c", RESUME], "resume 65532"),
            id="a training loop",
        ),
    ],
)
def test_an_image_runs_in_a_restricted_namespace(
    node: Node,
    node_kubectl: Kubectl,
    node_namespace: str,
    make: Callable[[Path], Image],
    program: tuple[list[str], str],
) -> None:
    """Read-only root file system, no capability, not root: the program starts and finds all it imports."""
    command, said = program
    node_kubectl("label", "namespace", node_namespace, "pod-security.kubernetes.io/enforce=restricted")
    name = node.load(make(Settings.from_environ(os.environ).cache))
    spec = pod_spec("", restricted=True)
    spec["containers"][0] |= {"image": name, "command": command}
    spec["containers"][0]["securityContext"] |= {"readOnlyRootFilesystem": True}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "one", "namespace": node_namespace},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }
    node_kubectl.apply(json.dumps(job))

    node_kubectl("wait", "--for=condition=Complete", "job/one", f"--namespace={node_namespace}", "--timeout=50s")

    assert said in node_kubectl("logs", "job/one", f"--namespace={node_namespace}").stdout
