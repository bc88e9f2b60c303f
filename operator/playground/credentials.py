"""All keys and certificates that one control plane needs, made at once.

`playground.controlplane` calls `make_credentials`; `playground.components` names the files on the command lines. etcd
has a certificate authority of its own: a client of the API server must not be able to go past it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from playground.pki import Authority, Identity, service_account_key


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files that the components prove and check identities with.

    Attributes:
        ca: Certificate of the cluster's authority.
        api_server: Serving certificate of the API server.
        admin: Client certificate of the administrator.
        controller_manager: Client certificate of the controller manager.
        etcd_ca: Certificate of etcd's own authority.
        etcd: Serving certificate of etcd.
        etcd_client: The API server's client certificate for etcd.
        service_accounts: Key that signs and checks the tokens of service accounts.
    """

    ca: Path
    api_server: Identity
    admin: Identity
    controller_manager: Identity
    etcd_ca: Path
    etcd: Identity
    etcd_client: Identity
    service_accounts: Path


def make_credentials(folder: Path, now: datetime) -> Credentials:
    """Make them all in `folder`, which is made, for its owner's eyes only.

    Args:
        folder: Must not exist.
        now: The time from which on they hold, aware.
    """
    folder.mkdir(mode=0o700)
    cluster, etcd = Authority("ca", folder, now), Authority("etcd-ca", folder, now)
    return Credentials(
        ca=cluster.path,
        api_server=cluster.issue_server("kube-apiserver"),
        admin=cluster.issue_client("admin", "admin", ("system:masters",)),
        controller_manager=cluster.issue_client("controller-manager", "system:kube-controller-manager"),
        etcd_ca=etcd.path,
        etcd=etcd.issue_server("etcd", own_client=True),
        etcd_client=etcd.issue_client("etcd-client", "kube-apiserver"),
        service_accounts=service_account_key(folder / "service-accounts.key"),
    )
