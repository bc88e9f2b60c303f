"""The command lines of etcd, kube-apiserver and kube-controller-manager.

`playground.controlplane` starts them. A flag stands here only when its default would not do, with the reason where it
is not plain.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from playground.credentials import Credentials
from playground.settings import SERVICE_RANGE

LOOPBACK = "127.0.0.1"
_ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Ports:
    """Free ports on loopback.

    Attributes:
        api_server: HTTPS port of the API server.
        etcd: Client port of etcd.
        etcd_peer: Peer port of etcd, which a single member opens but nobody uses.
    """

    api_server: int
    etcd: int
    etcd_peer: int


def free_ports() -> Ports:
    """Ask the kernel for ports on loopback that nobody uses, each another.

    Somebody may take one before a component does; `ControlPlane.start` then begins again.
    """
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(3)]
    try:
        api_server, etcd, peer = (each.getsockname()[1] for each in sockets)
        return Ports(api_server, etcd, peer)
    finally:
        for each in sockets:
            each.close()


def etcd_command(program: Path, state: Path, ports: Ports, credentials: Credentials) -> list[str | Path]:
    """One member of etcd, that loses its last writes in a power cut and is several times faster for it."""
    client, peer = f"https://{LOOPBACK}:{ports.etcd}", f"https://{LOOPBACK}:{ports.etcd_peer}"
    return [
        program,
        f"--data-dir={state}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={credentials.etcd.certificate}",
        f"--key-file={credentials.etcd.key}",
        f"--trusted-ca-file={credentials.etcd_ca}",
        "--client-cert-auth",
        f"--peer-cert-file={credentials.etcd.certificate}",
        f"--peer-key-file={credentials.etcd.key}",
        f"--peer-trusted-ca-file={credentials.etcd_ca}",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server_command(program: Path, ports: Ports, credentials: Credentials) -> list[str | Path]:
    """The API server with RBAC, client certificates and service account tokens; strangers see health and version."""
    keys = credentials.service_accounts
    return [
        program,
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",  # or a machine without any other interface could not start it
        "--endpoint-reconciler-type=none",  # an Endpoints object must not name loopback, and no Pod will use it
        f"--secure-port={ports.api_server}",
        f"--tls-cert-file={credentials.api_server.certificate}",
        f"--tls-private-key-file={credentials.api_server.key}",
        f"--client-ca-file={credentials.ca}",
        f"--etcd-servers=https://{LOOPBACK}:{ports.etcd}",
        f"--etcd-cafile={credentials.etcd_ca}",
        f"--etcd-certfile={credentials.etcd_client.certificate}",
        f"--etcd-keyfile={credentials.etcd_client.key}",
        "--authorization-mode=Node,RBAC",  # Node: a kubelet reads the Secrets of its own Pods, and no others
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-certificate-authority={credentials.ca}",
        f"--kubelet-client-certificate={credentials.kubelet_client.certificate}",
        f"--kubelet-client-key={credentials.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",  # nothing here resolves the name of a node
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={keys}",
        f"--service-account-signing-key-file={keys}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged=true",
        "--shutdown-watch-termination-grace-period=1s",  # or one open watch delays the end by a minute
    ]


def controller_manager_command(program: Path, kubeconfig: Path, credentials: Credentials) -> list[str | Path]:
    """The controller manager: garbage collection, namespaces, service accounts, Jobs; it serves nothing itself."""
    return [
        program,
        f"--kubeconfig={kubeconfig}",
        f"--root-ca-file={credentials.ca}",
        f"--service-account-private-key-file={credentials.service_accounts}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",  # the default of 20 makes the first service accounts wait in line for seconds
        "--kube-api-burst=400",
    ]
