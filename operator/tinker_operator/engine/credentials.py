"""Where the API server is and how to prove who we are: one reading, for our own client and for kopf.

Either a kubeconfig or the service account that Kubernetes mounts into a pod. Both can change while the operator runs
(projected tokens are rotated, credential plugins issue short-lived ones), so both are read again once a minute.
"""

import time
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME

from tinker_operator.engine.keys import Monotonic
from tinker_operator.engine.kube_errors import CredentialsInvalid

REREAD_SECONDS = 60.0
_UNUSABLE = (config.ConfigException, OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError)
"""What the reader of a kubeconfig raises: it follows the file's structure without looking whether it is there."""


async def load_credentials(
    kubeconfig: Path | None, monotonic: Monotonic = time.monotonic, *, context: str | None = None
) -> Configuration:
    """The connection to the API server, with credentials that keep themselves fresh.

    Args:
        kubeconfig: A kubeconfig file, whose current context is used. None for the pod's service account or, outside a
            pod, the kubeconfig that kubectl would use.
        monotonic: Clock of the re-reading.
        context: Context of the kubeconfig; None for its current one.

    Raises:
        CredentialsInvalid: There are none, or they cannot be used.
    """
    found = Configuration(host="")  # otherwise a cluster without a server would mean this machine
    try:
        if kubeconfig is None and context is None and _in_pod():
            config.load_incluster_config(found)  # type: ignore[no-untyped-call]  # half of the client has no types
        else:
            await _load_kubeconfig(found, kubeconfig, context, monotonic)
    except _UNUSABLE as fault:
        raise credentials_invalid(kubeconfig, _reason(fault)) from None
    if found.tls_server_name:
        raise credentials_invalid(kubeconfig, "cannot be used: tls-server-name is not supported")
    if wrong := _fault_of_server(found.host):
        raise credentials_invalid(kubeconfig, f"cannot be used: the cluster's server {wrong}")
    return found


def namespace_of_context(kubeconfig: Path | None, context: str | None = None) -> str:
    """The namespace that kubectl would use: that of the context, else `default`.

    Args:
        kubeconfig: As for `load_credentials`.
        context: As for `load_credentials`.

    Raises:
        CredentialsInvalid: There is no such kubeconfig or context.
    """
    try:
        contexts, current = config.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)  # type: ignore[no-untyped-call]  # half of the client has no types
        found = {one["name"]: one["context"] for one in contexts}
        chosen = found[context] if context is not None else current["context"]
        return str(chosen.get("namespace") or "default")
    except KeyError:
        raise credentials_invalid(kubeconfig, f"has no context {context}") from None
    except _UNUSABLE as fault:
        raise credentials_invalid(kubeconfig, _reason(fault)) from None


async def _load_kubeconfig(
    found: Configuration, kubeconfig: Path | None, context: str | None, monotonic: Monotonic
) -> None:
    path = str(kubeconfig) if kubeconfig else None
    loader = await config.load_kube_config(path, context, client_configuration=found, persist_config=False)  # type: ignore[no-untyped-call]  # half of the client has no types
    read_at = monotonic()

    async def reread(configuration: Configuration) -> None:
        nonlocal read_at
        if monotonic() - read_at >= REREAD_SECONDS:
            read_at = monotonic()
            await loader.load_and_set(configuration)

    found.refresh_api_key_hook = reread  # type: ignore[assignment]  # typed by its default alone: None


def _in_pod() -> bool:
    return Path(SERVICE_TOKEN_FILENAME).is_file()


def _reason(fault: Exception) -> str:
    """Tell what is wrong with a file that holds secrets; a parser's error may quote it."""
    kind = type(fault).__name__
    if isinstance(fault, yaml.YAMLError):
        return f"is not valid YAML ({kind})"
    if isinstance(fault, config.ConfigException):
        # It names an entry by its path, and an entry of a list by its whole content: `users/{'token': …`.
        return f"cannot be used: {str(fault).partition('{')[0].rstrip(' /')}"
    return f"cannot be used: {fault if isinstance(fault, OSError) else f'it has not the form of one ({kind})'}"


def _fault_of_server(server: str) -> str:
    """Tell what is wrong with an address without quoting it; empty when nothing is."""
    form = "is not http(s)://host[:port][/prefix]"
    if not server.startswith(("http://", "https://")) or not server.isprintable() or " " in server:
        return form
    try:
        parts = urlsplit(server)
        usable = parts.hostname and parts.port != 0
    except ValueError:
        return form
    return "holds a user, which is never sent" if "@" in parts.netloc else "" if usable else form


def credentials_invalid(kubeconfig: Path | None, why: str) -> CredentialsInvalid:
    """The error of a kubeconfig that cannot be used, with the remedy.

    Args:
        kubeconfig: As for `load_credentials`.
        why: The rest of a sentence that begins with the file. It must quote nothing that is secret.
    """
    where = f"The kubeconfig {kubeconfig}" if kubeconfig else "The kubeconfig of this account"
    return CredentialsInvalid(
        f"{where} {why.rstrip('.')}.",
        "Name a kubeconfig with a current context, or run in a pod with a service account.",
    )
