"""What the operator is told from outside: the only reader of the environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tinker_operator.controllers.accounts import Credentials, normal_url
from tinker_operator.controllers.deployment import Deployment
from tinker_operator.controllers.tracing import wants_traces
from tinker_operator.core.shards import WHOLE, Shard
from tinker_operator.tinker.budget import USUAL_PACE
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.settings import checked_base_url, checked_key

DEFAULT_BASE_URL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
"""Where the official SDK looks for the service when nothing is said."""
_POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123's label: what the API server takes for the name of a namespace."""
MAX_PORT = 65535
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(:[0-9]{1,5})?")


class InvalidSettings(ValueError):
    """A setting cannot be used; the message is one line that names it and the remedy."""


class Settings(BaseModel):
    """How the operator runs.

    Attributes:
        kubeconfig: Kubeconfig file; None for KUBECONFIG, ~/.kube/config or the pod's own credentials.
        namespaces: Namespaces to watch; empty for all.
        cluster_id: First part of owner keys; None for the uid of namespace kube-system.
        base_url: Base URL of the operator's own service, and of Secrets that name none.
        api_key: The operator's own key; None when every object brings its own.
        allowed_urls: Further base URLs that a Secret may name.
        lease_namespace: Namespace of the leader-election Lease; None to run without election.
        webhooks: Hosts that a hook may call.
        shortest_poll_seconds: Floor of what objects may ask for as their poll interval.
        calls_per_second: Pace of the calls of one connection to the service, in the long run.
        metrics_address: Host and port of /metrics, /healthz and /readyz; None to serve none.
        export_image: Image of the Jobs that export checkpoints; None when policies have to name one.
        shard: The share of the objects that this process works on.
        traces: Whether rounds and requests are told to the collector that OpenTelemetry's variables name.
    """

    model_config = ConfigDict(frozen=True)

    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = ()
    cluster_id: str | None = None
    base_url: str = DEFAULT_BASE_URL
    api_key: SecretStr | None = None
    allowed_urls: tuple[str, ...] = Field(default=())
    lease_namespace: str | None = None
    webhooks: tuple[str, ...] = ()
    shortest_poll_seconds: float = 1.0
    calls_per_second: float = USUAL_PACE
    metrics_address: tuple[str, int] | None = None
    export_image: str | None = None
    shard: Shard = WHOLE
    traces: bool = False

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        *,
        kubeconfig: Path | None,
        namespaces: tuple[str, ...],
        cluster_id: str | None,
        allowed_urls: tuple[str, ...],
        lease_namespace: str | None,
        webhooks: tuple[str, ...] = (),
        shortest_poll_seconds: float = 1.0,
        calls_per_second: float = USUAL_PACE,
        metrics_address: str | None = None,
        shard: str | None = None,
    ) -> Self:
        """Returns the settings from the command line and the environment.

        Raises:
            InvalidSettings: One of them cannot be used.
        """
        base_url = checked_url("TINKER_BASE_URL", environ.get("TINKER_BASE_URL") or DEFAULT_BASE_URL)
        if cluster_id is not None and (not cluster_id or "/" in cluster_id or len(cluster_id) > 100):  # noqa: PLR2004
            raise InvalidSettings("--cluster-id must have 1 to 100 characters and no slash: choose a short name")
        lease_namespace = (
            pod_namespace() if lease_namespace is None else checked_namespace("--lease-namespace", lease_namespace)
        )
        return cls(
            kubeconfig=kubeconfig,
            namespaces=tuple(dict.fromkeys(checked_namespace("--namespace", name) for name in namespaces)),
            cluster_id=cluster_id,
            base_url=base_url,
            api_key=_own_key(environ),
            allowed_urls=tuple(checked_url("--allow-base-url", url) for url in allowed_urls),
            lease_namespace=lease_namespace,
            shard=WHOLE if shard is None else checked_shard("--shard", shard, environ.get("POD_NAME"), lease_namespace),
            webhooks=tuple(checked_host("--allow-webhook", host) for host in webhooks),
            shortest_poll_seconds=shortest_poll_seconds,
            calls_per_second=calls_per_second,
            export_image=environ.get("TINKER_OPERATOR_IMAGE") or None,
            traces=wants_traces(environ),
            metrics_address=None if metrics_address is None else checked_address("--metrics-address", metrics_address),
        )

    def deployment(self) -> Deployment:
        """Returns the settings in the form that the composition root takes."""
        return Deployment(
            kubeconfig=self.kubeconfig,
            namespaces=self.namespaces,
            cluster_id=self.cluster_id,
            own=Credentials(self.base_url, self.api_key) if self.api_key else None,
            default_url=self.base_url,
            allowed_urls=frozenset({self.base_url, *self.allowed_urls}),
            lease_namespace=self.lease_namespace,
            allowed_webhooks=frozenset(self.webhooks),
            shortest_poll_seconds=self.shortest_poll_seconds,
            calls_per_second=self.calls_per_second,
            metrics_address=self.metrics_address,
            export_image=self.export_image,
            shard=self.shard,
            traces=self.traces,
        )


def checked_url(name: str, url: str) -> str:
    """Returns the URL in its normal form.

    Raises:
        InvalidSettings: No call can be made to it. The message does not hold it, since people write keys into URLs.
    """
    if fault := _fault_of(url):
        raise InvalidSettings(f"{name}: {fault}: give http(s)://host[:port][/prefix] of a Tinker service")
    return normal_url(url)


def _fault_of(url: str) -> str | None:
    try:
        checked_base_url(url)
        port = urlsplit(url.strip()).port
    except CallNotPossible as error:
        return error.message
    except ValueError:
        return "The host or the port of the URL cannot be read"
    return "The port of the URL is 0" if port == 0 else None


def checked_host(name: str, host: str) -> str:
    """Returns the host as it is compared: in lower case.

    Raises:
        InvalidSettings: It is no host, host:port or *.domain.
    """
    if not _HOST.fullmatch(host.lower()):
        raise InvalidSettings(f"{name} {host!r} is no host: give <host>, <host>:<port> or *.<domain>, without https://")
    return host.lower()


def checked_address(name: str, address: str) -> tuple[str, int]:
    """Returns host and port.

    Raises:
        InvalidSettings: It is no host:port.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > MAX_PORT:
        raise InvalidSettings(f"{name} {address!r} is no address: give <host>:<port>, or :<port> for every interface")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - a pod is scraped from outside


def checked_namespace(name: str, namespace: str) -> str:
    """Returns the namespace. An empty one is refused: the API server would take it for all of them.

    Raises:
        InvalidSettings: It cannot be the name of a namespace.
    """
    if not _LABEL.fullmatch(namespace):
        raise InvalidSettings(
            f"{name} {namespace!r} is no name of a namespace: give one of at most 63 small letters, digits and "
            "hyphens, and repeat the option for more"
        )
    return namespace


def checked_shard(name: str, shard: str, pod: str | None, lease_namespace: str | None) -> Shard:
    """Returns the shard.

    Raises:
        InvalidSettings: It is none, or nothing would keep two processes from taking it for theirs.
    """
    try:
        found = Shard.read(shard, pod)
    except ValueError as error:
        raise InvalidSettings(f"{name} {shard!r}: {error}: give 0/3, 1/3 or 2/3, or auto/3 in a StatefulSet") from None
    if found.count > 1 and lease_namespace is None:
        raise InvalidSettings(f"{name} needs the Leases of an election: give --lease-namespace, too")
    return found


def _own_key(environ: Mapping[str, str]) -> SecretStr | None:
    key = SecretStr(environ.get("TINKER_API_KEY") or "")
    if not key.get_secret_value().strip():
        return None
    try:
        return checked_key(key)
    except CallNotPossible as error:
        raise InvalidSettings(str(error).rstrip(".")) from None


def pod_namespace() -> str | None:
    """Returns the namespace of the pod that this runs in, None outside of one."""
    try:
        return _POD_NAMESPACE_FILE.read_text().strip() or None
    except OSError:
        return None
