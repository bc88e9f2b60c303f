"""How one operator process is deployed: the command reads it from its settings, the composition root builds by it."""

from dataclasses import dataclass
from pathlib import Path

from tinker_operator.controllers.accounts import Credentials
from tinker_operator.core.shards import WHOLE, Shard
from tinker_operator.tinker.budget import USUAL_PACE


@dataclass(frozen=True, slots=True)
class Deployment:
    """How one operator process is deployed.

    Attributes:
        kubeconfig: Kubeconfig file; None for KUBECONFIG, ~/.kube/config or the pod's own credentials.
        namespaces: Namespaces to watch; empty for all.
        cluster_id: First part of owner keys; None for the uid of namespace kube-system.
        own: The operator's own credentials; None when every object brings its own.
        default_url: Base URL for Secrets that name none.
        allowed_urls: Base URLs that a Secret may name.
        lease_namespace: Namespace of the leader-election Lease; None to run without election.
        allowed_webhooks: Hosts that a hook may call.
        shortest_poll_seconds: Floor of what objects may ask for as their poll interval.
        metrics_address: Host and port of /metrics, /healthz and /readyz; None to serve none.
        export_image: Image of the Jobs that export checkpoints; None when policies have to name one.
        calls_per_second: Pace of the calls of one connection to the service, in the long run.
        shard: The share of the objects that this process works on.
        traces: Whether rounds and requests are told to the collector that OpenTelemetry's variables name.
    """

    kubeconfig: Path | None
    namespaces: tuple[str, ...]
    cluster_id: str | None
    own: Credentials | None
    default_url: str
    allowed_urls: frozenset[str]
    lease_namespace: str | None
    allowed_webhooks: frozenset[str] = frozenset()
    shortest_poll_seconds: float = 1.0
    metrics_address: tuple[str, int] | None = None
    export_image: str | None = None
    calls_per_second: float = USUAL_PACE
    shard: Shard = WHOLE
    traces: bool = False
