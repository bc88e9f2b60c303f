"""A node is what a Pod takes it for: it runs Jobs, gives addresses, tells logs, and lets itself be called."""

from __future__ import annotations

import json
import ssl
from ipaddress import IPv4Address

import httpx
import pytest
from tests.node.pods import await_status, container, job, pod, pod_spec, status

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from playground.node.files import KUBELET_PORT
from playground.node.node import Node

pytestmark = pytest.mark.node

ASK_THE_API = """
import json, os, ssl, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount"
context = ssl.create_default_context(cafile=f"{account}/ca.crt")
token = open(f"{account}/token").read()
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
asked = urllib.request.Request(
    f"{url}/apis/authentication.k8s.io/v1/selfsubjectreviews", json.dumps(review).encode(), headers
)
print(json.load(urllib.request.urlopen(asked, context=context))["status"]["userInfo"]["username"])
"""


def test_a_job_runs_to_its_end(node_kubectl: Kubectl, node_namespace: str) -> None:
    """Exit 0 completes it, and what it printed can be read."""
    node_kubectl.apply(job(node_namespace, pod_spec("print('trained')")))

    node_kubectl("wait", "--for=condition=Complete", "job/one", f"--namespace={node_namespace}", "--timeout=50s")

    assert node_kubectl("logs", "job/one", f"--namespace={node_namespace}").stdout == "trained\n"


def test_a_job_that_fails_tells_its_exit_status(node_kubectl: Kubectl, node_namespace: str) -> None:
    """The status of the container has the number that the program ended with."""
    node_kubectl.apply(pod(node_namespace, pod_spec("raise SystemExit(7)")))

    ended = await_status(node_kubectl, node_namespace, lambda found: found["phase"] == "Failed")

    assert container(ended)["terminated"]["exitCode"] == 7


def test_a_pod_reaches_a_service_of_the_machine(node_kubectl: Kubectl, node_namespace: str, greeter: str) -> None:
    """What listens on the host address answers a Pod."""
    code = f"import urllib.request; print(urllib.request.urlopen('{greeter}').read().decode())"
    node_kubectl.apply(job(node_namespace, pod_spec(code)))

    node_kubectl("wait", "--for=condition=Complete", "job/one", f"--namespace={node_namespace}", "--timeout=50s")

    said = node_kubectl("logs", "job/one", f"--namespace={node_namespace}").stdout
    assert said == "the machine greets its Pods\n"


def test_a_pod_is_somebody_to_the_api_server(node_kubectl: Kubectl, node_namespace: str) -> None:
    """By the address and the certificate that every Pod is given, it reaches the API server as its service account."""
    node_kubectl.apply(job(node_namespace, pod_spec(ASK_THE_API)))

    node_kubectl("wait", "--for=condition=Complete", "job/one", f"--namespace={node_namespace}", "--timeout=50s")

    said = node_kubectl("logs", "job/one", f"--namespace={node_namespace}").stdout.strip()
    assert said == f"system:serviceaccount:{node_namespace}:default"


def test_a_command_runs_in_a_running_pod(node: Node, node_kubectl: Kubectl, node_namespace: str) -> None:
    """`kubectl exec` answers from inside; the Pod has an address of its own, and its user is not root."""
    node_kubectl.apply(pod(node_namespace, pod_spec("import time; time.sleep(600)")))
    node_kubectl("wait", "--for=condition=Ready", "pod/one", f"--namespace={node_namespace}", "--timeout=50s")

    code = "import os, socket; print(os.getuid(), socket.gethostbyname(socket.gethostname()))"
    said = node_kubectl("exec", "one", f"--namespace={node_namespace}", "--", "python", "-c", code).stdout.split()

    address = status(node_kubectl, node_namespace)["podIP"]
    assert said == ["65532", address]
    assert IPv4Address(address) in node.network.subnet


def test_strangers_learn_nothing_from_the_kubelet(node: Node, node_plane: ControlPlane) -> None:
    """The kubelet proves itself with the cluster's certificate, and refuses who proves nothing."""
    context = ssl.create_default_context(cadata=node_plane.ca_pem)

    answer = httpx.get(f"https://{node.network.node_address}:{KUBELET_PORT}/pods", verify=context, trust_env=False)

    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_a_restricted_namespace_takes_what_complies(node_kubectl: Kubectl, node_namespace: str) -> None:
    """Under the restricted Pod Security standard the image runs as it is; a Pod that asks for nothing is refused."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    node_kubectl("label", "namespace", node_namespace, label)
    careless = pod(node_namespace, pod_spec("print('in')"))

    refused = node_kubectl("apply", "-f", "-", stdin=careless, check=False)
    node_kubectl.apply(pod(node_namespace, pod_spec("print('in')", restricted=True)))

    assert "violates PodSecurity" in refused.stderr
    await_status(node_kubectl, node_namespace, lambda found: found["phase"] == "Succeeded")
    assert node_kubectl("logs", "one", f"--namespace={node_namespace}").stdout == "in\n"


def test_the_node_survives_a_restart_of_the_api_server(
    node_plane: ControlPlane, node_kubectl: Kubectl, node_namespace: str
) -> None:
    """What calls the API server from the node's network finds it again at the same address."""
    node_plane.restart_api_server()

    node_kubectl.apply(job(node_namespace, pod_spec("print('after')")))

    node_kubectl("wait", "--for=condition=Complete", "job/one", f"--namespace={node_namespace}", "--timeout=50s")
    events = json.loads(node_kubectl("get", "nodes", "-o", "json").stdout)["items"]
    assert len(events) == 1
