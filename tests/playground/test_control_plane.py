"""The control plane is a real one: identities are checked on both sides, RBAC is enforced, the controllers work."""

from __future__ import annotations

import base64
import dataclasses
import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from playground.children import wait_until
from playground.controlplane import ControlPlane
from playground.errors import KubectlFailed
from playground.kubectl import Kubectl

pytestmark = pytest.mark.cluster

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: trainer}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: loop, image: registry.invalid/loop}]
"""


def cluster_of(kubeconfig: Path) -> dict[str, Any]:
    cluster: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return cluster


def user_of(kubeconfig: Path) -> dict[str, str]:
    user: dict[str, str] = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]
    return user


def test_a_test_has_a_namespace_of_its_own(kubectl: Kubectl, namespace: str) -> None:
    """A test works in a namespace that is active and holds nothing of another test."""
    found = kubectl.json("get", "namespace", namespace)

    assert found["status"]["phase"] == "Active"
    assert kubectl.json("get", "secrets", f"--namespace={namespace}")["items"] == []


def test_the_certificate_of_the_api_server_is_one_that_clients_can_check(control_plane: ControlPlane) -> None:
    """The kubeconfig carries the authority, and with it the server is who it says."""
    cluster = cluster_of(control_plane.admin_kubeconfig)
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()

    answer = httpx.get(f"{control_plane.url}/readyz", verify=ssl.create_default_context(cadata=ca), trust_env=False)

    assert (answer.status_code, answer.text) == (200, "ok")
    assert "insecure-skip-tls-verify" not in cluster


def test_a_client_that_does_not_know_the_authority_refuses_the_server(control_plane: ControlPlane) -> None:
    """No certificate of the system's own authorities would do."""
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{control_plane.url}/readyz", trust_env=False)


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        pytest.param("/api/v1/secrets", None, 403, id="a stranger may not read Secrets"),
        pytest.param("/api/v1/secrets", "guess", 401, id="a made-up token is nobody"),
        pytest.param("/version", None, 200, id="a stranger may ask for the version"),
    ],
)
def test_who_may_not_is_refused(control_plane: ControlPlane, path: str, token: str | None, status: int) -> None:
    """Without a good credential the API server gives nothing away."""
    context = ssl.create_default_context(cadata=control_plane.ca_pem)
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    answer = httpx.get(control_plane.url + path, verify=context, headers=headers, trust_env=False)

    assert answer.status_code == status


def test_etcd_talks_to_the_api_server_only(control_plane: ControlPlane) -> None:
    """A client of the cluster's own authority is turned away by etcd: nobody goes past the API server."""
    certificate = control_plane.folder / "pki"
    context = ssl.create_default_context(cafile=certificate / "etcd-ca.crt")
    context.load_cert_chain(certificate / "admin.crt", certificate / "admin.key")
    url = f"https://127.0.0.1:{control_plane.ports.etcd}/version"

    with pytest.raises(httpx.TransportError):
        httpx.get(url, verify=context, trust_env=False)

    context.load_cert_chain(certificate / "etcd-client.crt", certificate / "etcd-client.key")
    assert httpx.get(url, verify=context, trust_env=False).status_code == 200


def test_everything_listens_on_loopback_only(control_plane: ControlPlane) -> None:
    """Another machine finds no open port of ours."""
    ours = [
        each for each in psutil.Process().children(recursive=True) if str(control_plane.folder) in str(each.cmdline())
    ]
    sockets = [socket for process in ours for socket in process.net_connections("inet")]
    listening = {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}

    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(dataclasses.astuple(control_plane.ports))


def test_keys_are_for_their_owner_alone(control_plane: ControlPlane) -> None:
    """No file with a private key may be read by another user of the machine."""
    keys = [*control_plane.folder.glob("pki/*.key"), *control_plane.folder.glob("**/*kubeconfig")]

    assert len(keys) >= 7
    assert {oct(path.stat().st_mode & 0o777) for path in keys} == {"0o600"}


def test_a_service_account_may_what_its_role_says_and_no_more(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """RBAC is on: a token without rights is refused, with a role it may exactly that."""
    kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}")
    path = control_plane.service_account_kubeconfig(namespace, "reader", tmp_path / "kubeconfig")
    reader = Kubectl(kubectl.program, path)
    with pytest.raises(KubectlFailed, match="cannot list resource"):
        reader("get", "configmaps")

    kubectl("create", "role", "read", "--verb=list", "--resource=configmaps", f"--namespace={namespace}")
    subject = f"--serviceaccount={namespace}:reader"
    kubectl("create", "rolebinding", "read", "--role=read", subject, f"--namespace={namespace}")

    assert wait_until(lambda: reader("get", "configmaps", check=False).returncode == 0, 10)
    assert reader("get", "secrets", check=False).returncode != 0
    assert reader("get", "configmaps", "--namespace=default", check=False).returncode != 0


def test_the_kubeconfig_of_a_service_account_has_its_token_and_nothing_else(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """No credential of the administrator is in it, and the server is checked just as well."""
    kubectl("create", "serviceaccount", "bare", f"--namespace={namespace}")

    path = control_plane.service_account_kubeconfig(namespace, "bare", tmp_path / "kubeconfig", seconds=600)

    assert list(user_of(path)) == ["token"]
    assert cluster_of(path) == cluster_of(control_plane.admin_kubeconfig)
    who = Kubectl(kubectl.program, path).json("auth", "whoami")["status"]["userInfo"]["username"]
    assert who == f"system:serviceaccount:{namespace}:bare"


def test_a_service_account_that_does_not_exist_gets_no_kubeconfig(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """The API server's own answer is the message."""
    with pytest.raises(KubectlFailed, match='serviceaccounts "nobody" not found'):
        control_plane.service_account_kubeconfig(namespace, "nobody", tmp_path / "kubeconfig")

    assert not (tmp_path / "kubeconfig").exists()


def test_a_job_gets_a_pod_with_the_token_of_its_service_account(kubectl: Kubectl, namespace: str) -> None:
    """The Job controller and the admission of service accounts work: a Pod appears, pending, with its token mounted."""
    kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", stdin=JOB)

    def pods() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = kubectl.json("get", "pods", f"--namespace={namespace}")["items"]
        return found

    assert wait_until(lambda: len(pods()) == 1, 20)
    pod = pods()[0]
    assert pod["status"]["phase"] == "Pending"
    assert pod["spec"]["serviceAccountName"] == "default"
    assert "kube-api-access" in json.dumps(pod["spec"]["volumes"])


def test_what_an_object_owns_goes_with_it(kubectl: Kubectl, namespace: str) -> None:
    """The garbage collector works: with its owner, a ConfigMap goes."""
    kubectl("create", "configmap", "owner", f"--namespace={namespace}")
    owner = kubectl.json("get", "configmap", "owner", f"--namespace={namespace}")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "owned", "namespace": namespace, "ownerReferences": [reference]}
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))

    kubectl("delete", "configmap", "owner", f"--namespace={namespace}")

    def owned() -> int:
        return kubectl("get", "configmap", "owned", f"--namespace={namespace}", check=False).returncode

    assert wait_until(lambda: owned() != 0, 20)


def test_a_namespace_goes_with_all_that_is_in_it(kubectl: Kubectl) -> None:
    """The namespace controller works."""
    kubectl("create", "namespace", "short-lived")
    kubectl("create", "configmap", "inside", "--namespace=short-lived")

    kubectl("delete", "namespace", "short-lived", "--timeout=30s")

    assert kubectl("get", "namespace", "short-lived", check=False).returncode != 0


def test_the_version_is_the_one_that_was_asked_for(kubectl: Kubectl) -> None:
    """Server and kubectl are of one minor version, and know it, which a build could forget."""
    versions = kubectl.json("version")

    assert versions["serverVersion"]["gitVersion"].startswith("v1.35.")
    assert versions["clientVersion"]["gitVersion"] == versions["serverVersion"]["gitVersion"]


def test_the_definitions_of_the_project_are_served(kubectl: Kubectl, crds: tuple[str, ...]) -> None:
    """After the fixture, every definition of crds/ is established."""
    assert len(crds) >= 2
    for name in crds:
        conditions = kubectl.json("get", name)["status"]["conditions"]
        assert {"Established": "True"}.items() <= {each["type"]: each["status"] for each in conditions}.items()
