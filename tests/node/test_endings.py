"""However a Pod ends, its status tells why."""

from __future__ import annotations

import pytest
from tests.node.pods import await_status, container, pod, pod_spec

from playground.kubectl import Kubectl

pytestmark = pytest.mark.node

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
GREEDY = "block = bytearray(400_000_000); print(len(block))"
FULL = """
import time
open("/scratch/file", "wb").write(bytes(8_000_000))
time.sleep(600)
"""
KEEP = "tests.example/keep"


def test_too_much_memory_is_told_as_such(node_kubectl: Kubectl, node_namespace: str) -> None:
    """A container over its memory limit is killed, with the reason OOMKilled."""
    node_kubectl.apply(pod(node_namespace, pod_spec(GREEDY, limits={"memory": "64Mi"})))

    ended = await_status(node_kubectl, node_namespace, lambda found: found["phase"] == "Failed")

    terminated = container(ended)["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


def test_an_evicted_pod_is_told_as_such(node_kubectl: Kubectl, node_namespace: str) -> None:
    """A Pod that fills its volume beyond the limit is evicted by the kubelet: it failed, with the reason Evicted."""
    spec = pod_spec(FULL)
    spec["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    node_kubectl.apply(pod(node_namespace, spec))

    ended = await_status(node_kubectl, node_namespace, lambda found: found["phase"] == "Failed", 90)

    assert ended["reason"] == "Evicted"
    assert "scratch" in ended["message"]


def test_a_pod_that_does_not_hear_sigterm_is_seen_to_hang(node_kubectl: Kubectl, node_namespace: str) -> None:
    """Between its deletion and the end of its grace it runs on; then it is killed, and its status says so."""
    node_kubectl.apply(pod(node_namespace, pod_spec(DEAF), finalizers=(KEEP,)))
    within = f"--namespace={node_namespace}"
    node_kubectl("wait", "--for=condition=Ready", "pod/one", within, "--timeout=50s")
    await_status(node_kubectl, node_namespace, lambda _: "deaf" in node_kubectl("logs", "one", within).stdout)

    node_kubectl("delete", "pod", "one", within, "--wait=false", "--grace-period=4")
    hanging = node_kubectl.json("get", "pod", "one", within)
    ended = await_status(node_kubectl, node_namespace, lambda found: found["phase"] == "Failed")
    node_kubectl("patch", "pod", "one", within, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')

    assert hanging["metadata"]["deletionTimestamp"]
    assert "running" in container(hanging["status"])
    assert container(ended)["terminated"]["exitCode"] == 137
