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
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from tinker_operator.controllers.accounts import Keyring
from tinker_operator.controllers.arrivals import Arrivals
from tinker_operator.controllers.bearings import with_bearings
from tinker_operator.controllers.call_metrics import CallMetrics
from tinker_operator.controllers.checkpoint_policy import reconcile_checkpoint_policy
from tinker_operator.controllers.claims import Claims
from tinker_operator.controllers.deployment import Deployment
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
from tinker_operator.controllers.tracing import RoundsAndRequests, traces_of
from tinker_operator.controllers.training_run import reconcile_training_run
from tinker_operator.controllers.views import Views
from tinker_operator.controllers.wakes import wakes
from tinker_operator.engine.engine import Engine
from tinker_operator.engine.events import EventRecorder
from tinker_operator.engine.exposition import exposed
from tinker_operator.engine.fence import Fence, Leadership
from tinker_operator.engine.health import Health
from tinker_operator.engine.keys import ObjectKey, Resource
from tinker_operator.engine.kopf_source import KopfSource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.outbox import EventOutbox
from tinker_operator.engine.own_queue import OwnQueue
from tinker_operator.engine.store import Store
from tinker_operator.engine.work_metrics import WorkMetrics
from tinker_operator.engine.workqueue import WorkQueue
from tinker_operator.tinker.budget import Budget, BudgetTerms, Lane, asked_in
from tinker_operator.tinker.retry import Timekeeper

CLAIMING = frozenset(resource.kind for resource in RESOURCES)
"""Kinds that say what is going to be acted on."""
CROWD = 16
"""Objects that are worked on or wait for it, above which Events make way for statuses."""
log = structlog.get_logger(__name__)


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
    async with exposed(deployment.metrics_address, telemetry.registry, health):
        await _connected(deployment, telemetry, health, stop)


async def _connected(deployment: Deployment, telemetry: Telemetry, health: Health, stop: asyncio.Event) -> None:
    api = await unless_stopped(KubeApi.connect(deployment.kubeconfig), stop)
    if api is None:
        return
    async with api:
        cluster_id = deployment.cluster_id or await when_answered(api.kube_system_uid, stop)
        resources = await when_answered(partial(watched_resources, api, deployment.namespaces), stop)
        if cluster_id is not None and resources is not None:
            await _run(deployment, api, (telemetry, health), (cluster_id, resources), stop)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What every part of a running operator stands on."""

    deployment: Deployment
    api: KubeApi
    telemetry: Telemetry
    cluster_id: str
    resources: tuple[Resource, ...]
    store: Store
    ownership: Ownership
    identity: str
    elector: Leadership | None
    fence: Fence
    traces: RoundsAndRequests


def _ground(
    deployment: Deployment, api: KubeApi, telemetry: Telemetry, watched: tuple[str, tuple[Resource, ...]]
) -> _Ground:
    cluster_id, resources = watched
    store = Store({TRAINER_JOBS.kind: trimmed_job})
    # Two pods on one host may have the same name and pid; the Lease must tell them apart.
    identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    elector = leadership(api, deployment.lease_namespace, deployment.shard, identity, utc_now)
    return _Ground(
        deployment,
        api,
        telemetry,
        cluster_id,
        resources,
        store,
        Ownership(deployment.shard, store),
        identity,
        elector,
        Fence(elector),
        traces_of(wanted=deployment.traces),
    )


async def _run(
    deployment: Deployment,
    api: KubeApi,
    shown: tuple[Telemetry, Health],
    watched: tuple[str, tuple[Resource, ...]],
    stop: asyncio.Event,
) -> None:
    telemetry, health = shown
    ground = _ground(deployment, api, telemetry, watched)
    services = _services(ground)
    work = WorkMetrics(telemetry.registry, time.monotonic)
    group = partial(group_of, ground.store, services)
    owns = ground.ownership.owns
    queue = OwnQueue(time.monotonic, rng=random.random, group=group, room=ROOM, watch=work, owns=owns)
    recorder = EventRecorder(api.fenced(ground.fence.to_tell), instance=ground.identity, clock=utc_now)
    outbox = EventOutbox(recorder, give_way=lambda: len(queue) + queue.in_work > CROWD)
    shell = _shell(ground, services, queue, outbox)
    engine = _engine(ground, shell, queue, work)
    _tell_of_start(ground)
    health.begun(engine.vitals)
    try:
        async with outbox:
            await engine.run(stop)
    finally:
        health.ended()
        await services.close()
        await ground.traces.close()
        log.info("operator_ended")


def _services(ground: _Ground) -> Services:
    deployment, registry, leave = ground.deployment, ground.telemetry.registry, ground.fence.to_act
    keyring = Keyring(ground.api, deployment.own, deployment.default_url, deployment.allowed_urls)
    calls = ground.traces.of_requests(CallMetrics(registry, time.monotonic))
    terms, spent = BudgetTerms(calls_per_second=deployment.calls_per_second), ServiceMetrics(registry)
    budget = partial(Budget, terms, Timekeeper(), spent)
    clocks: dict[str, Any] = {"clock": utc_now, "monotonic": time.monotonic}
    services = Services(keyring, **clocks, new_budget=budget, leave=leave, watch=calls)
    spent.show_held_back(services.held_back)
    return services


def _shell(ground: _Ground, services: Services, queue: WorkQueue, outbox: EventOutbox) -> Shell:
    store, fenced, leave = ground.store, ground.api.fenced(ground.fence.to_act), ground.fence.to_act
    poller = Poller(
        services,
        store,
        queue,
        cluster_id=ground.cluster_id,
        rng=random.random,
        shortest_interval=ground.deployment.shortest_poll_seconds,
        concerns=ground.ownership.concerns,
    )
    shell = Shell(
        store,
        fenced,
        services,
        poller,
        Reporter(fenced, store, outbox, ground.telemetry),
        Arrivals(store, time.monotonic),
        Claims(store),
        HookCaller(fenced, ground.deployment.allowed_webhooks, leave=leave),
        Inspections(utc_now),
        ground.cluster_id,
        whole_seconds,
        export_image=ground.deployment.export_image,
    )
    ground.telemetry.registry.register(PolicyCollector(store, shell.figures))
    ground.telemetry.registry.register(RunCollector(store))
    return shell


def _engine(ground: _Ground, shell: Shell, queue: WorkQueue, work: WorkMetrics) -> Engine:
    deployment, store, resources = ground.deployment, ground.store, ground.resources
    keeper = SessionKeeper(store, shell.services, owns=ground.ownership.owns)
    rounds = ground.traces.of_rounds(lambda key: _reconcile(shell, key, views), store)
    engine = Engine(
        resources,
        work.measured(with_bearings(rounds, store)),
        api=ground.api,
        store=store,
        queue=queue,
        source=KopfSource(resources, kubeconfig=deployment.kubeconfig, namespaces=deployment.namespaces, clock=utc_now),
        wakes=partial(wakes, store),
        silent_for=lambda key: shell.first_look_in(key) if ground.ownership.owns(key) else 0.0,
        elector=ground.elector,
        monotonic=time.monotonic,
        namespaces=deployment.namespaces,
        while_leading=(shell.poller.run, keeper.run, shell.inspections.run),
    )
    views = None
    if deployment.shard.count > 1:
        Neighbours(ground.ownership, store, shell.services, shell.poller)
        listed_from = partial(engine.listed_from, CLAIMING)
        views = Views(store, time.monotonic, listed_from=listed_from, list_soon=engine.list_soon)
    return engine


def _tell_of_start(ground: _Ground) -> None:
    namespaces = ground.deployment.namespaces
    shard = str(ground.deployment.shard)
    log.info("operator_started", cluster_id=ground.cluster_id, namespaces=namespaces or "all", shard=shard)
    if namespaces:
        told = "a checkpoint that only objects of other namespaces refer to counts as unused"
        log.info("references_limited", namespaces=namespaces, message=told)


async def _reconcile(shell: Shell, key: ObjectKey, views: Views | None) -> float | None:
    if views is not None:
        views.await_others(key)
    if key.kind == TRAINING_RUNS.kind:
        return await reconcile_training_run(shell, key)
    with asked_in(Lane.BULK):
        return await reconcile_checkpoint_policy(shell, key)
