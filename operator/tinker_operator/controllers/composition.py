"""Puts the operator together: settings in, a running engine out. The one place where every part is named."""

import asyncio
import os
import random
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from tinker_operator.controllers.accounts import Credentials, Keyring
from tinker_operator.controllers.arrivals import Arrivals
from tinker_operator.controllers.bearings import with_bearings
from tinker_operator.controllers.call_metrics import CallMetrics
from tinker_operator.controllers.checkpoint_policy import reconcile_checkpoint_policy
from tinker_operator.controllers.claims import Claims
from tinker_operator.controllers.groups import ROOM, group_of
from tinker_operator.controllers.hooks import HookCaller
from tinker_operator.controllers.inspections import Inspections
from tinker_operator.controllers.jobs import TRAINER_JOBS, trimmed_job
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.policy_metrics import PolicyCollector
from tinker_operator.controllers.poller import Poller
from tinker_operator.controllers.reporter import Reporter
from tinker_operator.controllers.run_metrics import RunCollector
from tinker_operator.controllers.service_metrics import ServiceMetrics
from tinker_operator.controllers.services import Services
from tinker_operator.controllers.sessions import SessionKeeper
from tinker_operator.controllers.sharding import Neighbours, Ownership, leadership
from tinker_operator.controllers.shell import Shell
from tinker_operator.controllers.starting import RESOURCES, unless_stopped, watched_resources, when_answered
from tinker_operator.controllers.telemetry import Telemetry
from tinker_operator.controllers.tracing import traces_of
from tinker_operator.controllers.training_run import reconcile_training_run
from tinker_operator.controllers.views import Views
from tinker_operator.controllers.wakes import wakes
from tinker_operator.core.shards import WHOLE, Shard
from tinker_operator.engine.engine import Engine
from tinker_operator.engine.events import EventRecorder
from tinker_operator.engine.exposition import Exposition
from tinker_operator.engine.fence import Fence
from tinker_operator.engine.health import Health
from tinker_operator.engine.keys import ObjectKey, Resource
from tinker_operator.engine.kopf_source import KopfSource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.outbox import EventOutbox
from tinker_operator.engine.own_queue import OwnQueue
from tinker_operator.engine.store import Store
from tinker_operator.engine.work_metrics import WorkMetrics
from tinker_operator.tinker.budget import USUAL_PACE, Budget, BudgetTerms, Lane, asked_in
from tinker_operator.tinker.exchange import CallWatch
from tinker_operator.tinker.retry import Timekeeper

CLAIMING = frozenset(resource.kind for resource in RESOURCES)
"""Kinds that say what is going to be acted on."""
CROWD = 64
"""Objects that wait for a worker, above which Events make way for statuses."""
log = structlog.get_logger(__name__)


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


class AddressUnusable(Exception):
    """The address of metrics and probes cannot be listened on; the message is one line that says why and the remedy."""


def utc_now() -> datetime:
    """Returns the wall clock: the only place where the operator reads it."""
    return datetime.now(UTC)  # noqa: TID251 - the composition root hands the clock to everybody else


def whole_seconds() -> datetime:
    """Returns the wall clock as status shows it: metav1.Time has no fractions of a second."""
    return utc_now().replace(microsecond=0)


async def run_operator(deployment: Deployment, stop: asyncio.Event) -> None:
    """Runs the operator until asked to stop.

    Args:
        deployment: How it is deployed.
        stop: Set to end within ten seconds.

    Raises:
        LeadershipLost: Another replica may lead; the process must exit.
        AddressUnusable: Metrics and probes cannot be served where they should be.
        CredentialsInvalid: There is no way to reach the API server.
    """
    telemetry, health = Telemetry(CollectorRegistry()), Health(time.monotonic)
    telemetry.show_leading(lambda: health.leading, deployment.shard)
    ProcessCollector(registry=telemetry.registry)
    exposition = await _exposed(deployment, telemetry.registry, health)
    try:
        await _connected(deployment, telemetry, health, stop)
    finally:
        if exposition is not None:
            await exposition.stop()


async def _connected(deployment: Deployment, telemetry: Telemetry, health: Health, stop: asyncio.Event) -> None:
    api = await unless_stopped(KubeApi.connect(deployment.kubeconfig), stop)
    if api is None:
        return
    async with api:
        cluster_id = deployment.cluster_id or await when_answered(api.kube_system_uid, stop)
        resources = await when_answered(partial(watched_resources, api, deployment.namespaces), stop)
        if cluster_id is not None and resources is not None:
            await _run(deployment, api, (telemetry, health), (cluster_id, resources), stop)


async def _run(
    deployment: Deployment,
    api: KubeApi,
    shown: tuple[Telemetry, Health],
    watched: tuple[str, tuple[Resource, ...]],
    stop: asyncio.Event,
) -> None:
    (telemetry, health), (cluster_id, resources) = shown, watched
    store = Store({TRAINER_JOBS.kind: trimmed_job})
    work = WorkMetrics(telemetry.registry, time.monotonic)
    ownership = Ownership(deployment.shard, store)
    # Two pods on one host may have the same name and pid; the Lease must tell them apart.
    identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    elector = leadership(api, deployment.lease_namespace, deployment.shard, identity, utc_now)
    fence = Fence(elector)
    fenced = api.fenced(fence.to_act)
    keyring = Keyring(api, deployment.own, deployment.default_url, deployment.allowed_urls)
    traces = traces_of(wanted=deployment.traces)
    calls = traces.of_requests(CallMetrics(telemetry.registry, time.monotonic))
    services = _services(deployment, keyring, fence, ServiceMetrics(telemetry.registry), calls)
    group = partial(group_of, store, services)
    queue = OwnQueue(time.monotonic, rng=random.random, group=group, room=ROOM, watch=work, owns=ownership.owns)
    poller = Poller(
        services,
        store,
        queue,
        cluster_id=cluster_id,
        rng=random.random,
        shortest_interval=deployment.shortest_poll_seconds,
        concerns=ownership.concerns,
    )
    recorder = EventRecorder(api.fenced(fence.to_tell), instance=identity, clock=utc_now)
    outbox = EventOutbox(recorder, give_way=lambda: len(queue) > CROWD)
    reporter = Reporter(fenced, store, outbox, telemetry)
    inspections = Inspections(utc_now)
    shell = Shell(
        store,
        fenced,
        services,
        poller,
        reporter,
        Arrivals(store, time.monotonic),
        Claims(store),
        HookCaller(fenced, deployment.allowed_webhooks, leave=fence.to_act),
        inspections,
        cluster_id,
        whole_seconds,
        export_image=deployment.export_image,
    )
    telemetry.registry.register(PolicyCollector(store, shell.figures))
    telemetry.registry.register(RunCollector(store))
    engine = Engine(
        resources,
        work.measured(with_bearings(traces.of_rounds(lambda key: _reconcile(shell, key, views), store), store)),
        api=api,
        store=store,
        queue=queue,
        source=KopfSource(resources, kubeconfig=deployment.kubeconfig, namespaces=deployment.namespaces, clock=utc_now),
        wakes=lambda change: wakes(store, change),
        elector=elector,
        monotonic=time.monotonic,
        namespaces=deployment.namespaces,
        while_leading=(poller.run, SessionKeeper(store, services, owns=ownership.owns).run, inspections.run),
    )
    views = None
    if deployment.shard.count > 1:
        Neighbours(ownership, store, services, poller)
        views = Views(
            store, time.monotonic, listed_from=lambda: engine.listed_from(CLAIMING), list_soon=engine.list_soon
        )
    watches = deployment.namespaces or "all"
    log.info("operator_started", cluster_id=cluster_id, namespaces=watches, shard=str(deployment.shard))
    if deployment.namespaces:
        told = "a checkpoint that only objects of other namespaces refer to counts as unused"
        log.info("references_limited", namespaces=deployment.namespaces, message=told)
    health.begun(engine.vitals)
    try:
        async with outbox:
            await engine.run(stop)
    finally:
        health.ended()
        await services.close()
        await traces.close()
        log.info("operator_ended")


def _services(
    deployment: Deployment, keyring: Keyring, fence: Fence, spent: ServiceMetrics, calls: CallWatch
) -> Services:
    terms = BudgetTerms(calls_per_second=deployment.calls_per_second)
    budget = partial(Budget, terms, Timekeeper(), spent)
    clocks: dict[str, Any] = {"clock": utc_now, "monotonic": time.monotonic}
    services = Services(keyring, **clocks, new_budget=budget, leave=fence.to_act, watch=calls)
    spent.show_held_back(services.held_back)
    return services


async def _exposed(deployment: Deployment, registry: CollectorRegistry, health: Health) -> Exposition | None:
    if deployment.metrics_address is None:
        return None
    host, port = deployment.metrics_address
    exposition = Exposition(registry, health, host, port)
    try:
        log.info("metrics_served", host=host, port=await exposition.start())
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
        told = f"--metrics-address: {host} port {port} cannot be listened on: {why}. Give an address that is free."
        raise AddressUnusable(told) from None
    return exposition


async def _reconcile(shell: Shell, key: ObjectKey, views: Views | None) -> float | None:
    if views is not None:
        views.await_others(key)
    if key.kind == TRAINING_RUNS.kind:
        return await reconcile_training_run(shell, key)
    with asked_in(Lane.BULK):
        return await reconcile_checkpoint_policy(shell, key)
