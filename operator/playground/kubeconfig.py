"""Writes kubeconfig files that carry all they need: the authority to check the server by, and one user's credentials.

`playground.controlplane` writes the admin's, the controller manager's and those of service accounts.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from playground.pki import Identity

_NAME = "playground"


def certificate_user(identity: Identity) -> dict[str, str]:
    """The user part of a kubeconfig for a client certificate, embedded."""
    return {
        "client-certificate-data": _encoded(identity.certificate.read_bytes()),
        "client-key-data": _encoded(identity.key.read_bytes()),
    }


def token_user(token: str) -> dict[str, str]:
    """The user part of a kubeconfig for a bearer token."""
    return {"token": token}


def write_kubeconfig(path: Path, url: str, ca_pem: str, user: dict[str, str], namespace: str = "default") -> Path:
    """Write a kubeconfig with one cluster and one user, whole or not at all, readable by its owner only.

    Args:
        path: Where; its folder exists.
        url: Of the API server.
        ca_pem: Certificate of the authority that the server is checked by.
        user: From `certificate_user` or `token_user`.
        namespace: The one that is meant when none is named.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": _cluster(url, ca_pem)}],
        "users": [{"name": _NAME, "user": user}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": namespace}}],
        "current-context": _NAME,
    }
    return write_private(path, yaml.safe_dump(config, sort_keys=False))


def with_user(kubeconfig: str, user: dict[str, str], namespace: str) -> str:
    """Rewrite a kubeconfig with one cluster for one other user: same cluster, same checks, none of the old credentials.

    Args:
        kubeconfig: Text of a flattened kubeconfig.
        user: From `certificate_user` or `token_user`.
        namespace: The one that is meant when none is named.
    """
    config = yaml.safe_load(kubeconfig)
    cluster = config["clusters"][0]
    context = {"cluster": cluster["name"], "user": _NAME, "namespace": namespace}
    config |= {"clusters": [cluster], "users": [{"name": _NAME, "user": user}]}
    config |= {"contexts": [{"name": _NAME, "context": context}], "current-context": _NAME}
    return yaml.safe_dump(config, sort_keys=False)


def write_private(path: Path, text: str) -> Path:
    """Write a file that its owner alone may read, so that no reader ever sees half of it."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return part.replace(path)


def _cluster(url: str, ca_pem: str) -> dict[str, str]:
    return {"server": url, "certificate-authority-data": _encoded(ca_pem.encode())}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
