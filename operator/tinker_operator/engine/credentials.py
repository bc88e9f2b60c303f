"""Where the API server is and how to prove who we are: one reading, for our own client and for kopf.

Either a kubeconfig or the service account that Kubernetes mounts into a pod. Both can change while the operator runs
(projected tokens are rotated, credential plugins issue short-lived ones), so both are read again once a minute.
"""

import time
from pathlib import Path

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME

from tinker_operator.engine.keys import Monotonic
from tinker_operator.engine.kube_errors import CredentialsInvalid

REREAD_SECONDS = 60.0


async def load_credentials(kubeconfig: Path | None, monotonic: Monotonic = time.monotonic) -> Configuration:
    """The connection to the API server, with credentials that keep themselves fresh.

    Args:
        kubeconfig: A kubeconfig file, whose current context is used. None for the pod's service account or, outside a
            pod, the kubeconfig that kubectl would use.
        monotonic: Clock of the re-reading.

    Raises:
        CredentialsInvalid: There are none, or they cannot be used.
    """
    found = Configuration()
    try:
        if kubeconfig is None and _in_pod():
            config.load_incluster_config(found)  # type: ignore[no-untyped-call]  # half of the client has no types
        else:
            await _load_kubeconfig(found, kubeconfig, monotonic)
    except (config.ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as fault:
        raise _invalid(kubeconfig, fault) from None
    if found.tls_server_name:
        raise _invalid(kubeconfig, ValueError("tls-server-name is not supported"))
    return found


async def _load_kubeconfig(found: Configuration, kubeconfig: Path | None, monotonic: Monotonic) -> None:
    path = str(kubeconfig) if kubeconfig else None
    loader = await config.load_kube_config(path, client_configuration=found, persist_config=False)  # type: ignore[no-untyped-call]  # half of the client has no types
    read_at = monotonic()

    async def reread(configuration: Configuration) -> None:
        nonlocal read_at
        if monotonic() - read_at >= REREAD_SECONDS:
            read_at = monotonic()
            await loader.load_and_set(configuration)

    found.refresh_api_key_hook = reread  # type: ignore[assignment]  # typed by its default alone: None


def _in_pod() -> bool:
    return Path(SERVICE_TOKEN_FILENAME).is_file()


def _invalid(kubeconfig: Path | None, fault: Exception) -> CredentialsInvalid:
    where = f"The kubeconfig {kubeconfig}" if kubeconfig else "The kubeconfig of this account"
    # A parser's error quotes the file, and the file holds secrets: only its kind is told.
    why = (
        f"is not valid YAML ({type(fault).__name__})"
        if isinstance(fault, yaml.YAMLError)
        else f"cannot be used: {fault}"
    )
    return CredentialsInvalid(
        f"{where} {why.rstrip('.')}.",
        "Name a kubeconfig with a current context, or run in a pod with a service account.",
    )
