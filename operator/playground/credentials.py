"""All keys and certificates that one control plane needs, made at once.

`playground.controlplane` calls `make_credentials`; `playground.components` names the files on the command lines. etcd
has a certificate authority of its own: a client of the API server must not be able to go past it. The cluster's
authority stays in memory, for the certificates of a node that joins later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from playground.pki import Authority, Identity, service_account_key
from playground.settings import SERVICE_ADDRESS


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files that the components prove and check identities with.

    Attributes:
        authority: The cluster's authority.
        api_server: Serving certificate of the API server.
        kubelet_client: The API server's client certificate for kubelets.
        admin: Client certificate of the administrator.
        controller_manager: Client certificate of the controller manager.
        etcd_ca: Certificate of etcd's own authority.
        etcd: Serving certificate of etcd.
        etcd_client: The API server's client certificate for etcd.
        service_accounts: Key that signs and checks the tokens of service accounts.
    """

    authority: Authority
    api_server: Identity
    kubelet_client: Identity
    admin: Identity
    controller_manager: Identity
    etcd_ca: Path
    etcd: Identity
    etcd_client: Identity
    service_accounts: Path

    @property
    def ca(self) -> Path:
        """Certificate of the cluster's authority."""
        return self.authority.path


def make_credentials(folder: Path, now: datetime) -> Credentials:
    """Make them all in `folder`, which is made, for its owner's eyes only.

    Args:
        folder: Must not exist.
        now: The time from which on they hold, aware.
    """
    folder.mkdir(mode=0o700)
    cluster, etcd = Authority("ca", folder, now), Authority("etcd-ca", folder, now)
    return Credentials(
        authority=cluster,
        api_server=cluster.issue_server("kube-apiserver", addresses=(SERVICE_ADDRESS,)),
        kubelet_client=cluster.issue_client("kubelet-client", "kube-apiserver", ("system:masters",)),
        admin=cluster.issue_client("admin", "admin", ("system:masters",)),
        controller_manager=cluster.issue_client("controller-manager", "system:kube-controller-manager"),
        etcd_ca=etcd.path,
        etcd=etcd.issue_server("etcd", own_client=True),
        etcd_client=etcd.issue_client("etcd-client", "kube-apiserver"),
        service_accounts=service_account_key(folder / "service-accounts.key"),
    )
