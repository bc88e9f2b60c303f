"""kopf as the source of watch events: the only module that imports it.

kopf keeps the watches alive and does nothing else. Its one handler copies out what is news; kopf therefore writes
nothing to the cluster, no annotation, no finalizer, no status, so a standby replica can run it too. It lives in a
thread and an event loop of its own, because on its way out it cancels every task of its loop, ours included.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf
import structlog
from kubernetes.aio.client import Configuration

from tinker_operator.engine.backoff import Backoff, EndlessBackoff
from tinker_operator.engine.credentials import load_credentials
from tinker_operator.engine.keys import KubeObject, Resource
from tinker_operator.engine.kopf_memory import NoDiffBase, NoProgress
from tinker_operator.engine.source import EventSink

LOGIN_GRID = timedelta(minutes=5)
PAGE_SIZE = 500
STOP_SECONDS = 8.0
CLOSING_SECONDS = 0.25
"""kopf closes its connections and does not wait: TLS ends in the background, and a loop that closes before leaks."""


class SourceEndedError(Exception):
    """kopf ended, and nobody had asked it to.

    Args:
        message: One sentence that says what happened.
    """

    remedy = "It is started again; look at the API server and at the operator's rights if it lasts."

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class KopfSource:
    """Watches resources through kopf.

    Args:
        resources: What to watch.
        kubeconfig: As for `load_credentials`, so that it is who our own client is.
        namespaces: Where; empty for all namespaces.
        clock: Aware wall-clock time: kopf asks for credentials again when the last ones expire by it.
        discovery_seconds: How long kopf may take to find the resources. It looks once, and would never notice one
            that the API server serves only later.
        rng: A number drawn evenly from 0 to 1, for the spread of back-off.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        *,
        kubeconfig: Path | None,
        namespaces: Collection[str],
        clock: Callable[[], datetime],
        discovery_seconds: float = 10.0,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._resources = tuple(resources)
        self._kubeconfig = kubeconfig
        self._namespaces = tuple(namespaces)
        self._clock = clock
        self._discovery_seconds = discovery_seconds
        self._rng = rng
        self._log = structlog.get_logger(__name__)

    async def run(self, sink: EventSink) -> None:
        """Deliver events until cancelled; then kopf has some seconds to end, after which it is left behind.

        Args:
            sink: Called in the event loop that runs this.

        Raises:
            SourceEndedError: kopf ended by itself.
        """
        _quiet()
        session = _Session(asyncio.get_running_loop(), sink)
        threading.Thread(target=self._serve, args=(session,), name="kopf", daemon=True).start()
        try:
            raise SourceEndedError(await asyncio.shield(session.ended))
        finally:
            session.stop.set()
            await asyncio.wait((session.ended,), timeout=STOP_SECONDS)
            if not session.ended.done():
                self._log.warning("event_source_left_behind", seconds=STOP_SECONDS)

    def _serve(self, session: "_Session") -> None:
        try:
            asyncio.run(self._operate(session))
        except (Exception, asyncio.CancelledError) as fault:  # noqa: BLE001 - it ends a thread; `run` tells of it
            cause = fault.__cause__ or fault
            session.end(f"kopf ended with {type(cause).__name__}: {str(cause).rstrip('.')}.")
        else:
            session.end("kopf ended without a word.")

    async def _operate(self, session: "_Session") -> None:
        # Made before kopf starts, since kopf waits for what was made after that when it ends.
        finding = asyncio.create_task(self._see_that_all_are_found(session))
        try:
            await kopf.operator(
                registry=self._registry(session),
                settings=self._settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=session.stop,
            )
        finally:
            finding.cancel()
            await asyncio.sleep(CLOSING_SECONDS)
            # kopf waits for the flag in a thread of this loop's executor, and a loop does not close before those end.
            session.stop.set()

    async def _see_that_all_are_found(self, session: "_Session") -> None:
        await asyncio.sleep(self._discovery_seconds)
        missing = sorted(resource.plural for resource in self._resources if resource not in session.found)
        if missing:
            session.reason = f"kopf did not find {', '.join(missing)} at the API server."
            session.stop.set()

    def _registry(self, session: "_Session") -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)(self._login(session))
        for resource in self._resources:
            watch = kopf.on.event(
                session.selector(resource),
                group=resource.group,
                version=resource.version,
                id=resource.plural,
                when=session.news(resource.kind),
                registry=registry,
            )
            watch(session.handler(resource.kind))
        return registry

    def _settings(self) -> kopf.OperatorSettings:
        """The settings of kopf, each of which closes a trap.

        Scanning would need leave to watch all CRDs. Unpaged listings and streamed ones cost memory or lose objects. A
        worker that idles long holds memory. kopf gives up on an unreachable API server, and kills the process after
        ten minutes, unless told otherwise. And a finalizer of the name that it is set to is stripped from objects.
        """
        settings = kopf.OperatorSettings()
        settings.scanning.disabled = True
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.watching.chunk_size = PAGE_SIZE
        settings.watching.initial_streaming = False
        settings.process.ultimate_exiting_timeout = None
        settings.queueing.idle_timeout = 0.5
        settings.queueing.worker_limit = None
        settings.networking.error_backoffs = EndlessBackoff(Backoff(base_seconds=0.5, cap_seconds=10.0), self._rng)
        settings.persistence.diffbase_storage = NoDiffBase()
        settings.persistence.progress_storage = NoProgress()
        settings.persistence.finalizer = f"{self._resources[0].group}/kopf-unused"
        for one in filter(lambda resource: resource.selector, self._resources):
            settings.watching.label_selectors[one.group, one.version, one.plural] = one.selector
        return settings

    def _login(self, session: "_Session") -> Callable[..., Any]:
        async def login(**_: Any) -> kopf.ConnectionInfo:
            try:
                return connection_info(await load_credentials(self._kubeconfig), self._clock())
            except Exception:
                # Otherwise kopf would stay, without credentials and without a watch, and tell nobody.
                session.stop.set()
                raise

        return login


class _Session:
    """One run of kopf: what crosses between its thread and the event loop of the engine."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: EventSink) -> None:
        self._loop = loop
        self._sink = sink
        self.stop = threading.Event()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.found: set[Resource] = set()
        self.reason = ""

    def end(self, told: str) -> None:
        self._call(self.ended.set_result, self.reason or told)

    def selector(self, resource: Resource) -> Callable[[kopf.Resource], bool]:
        def select(candidate: kopf.Resource) -> bool:
            selected = candidate.plural == resource.plural
            if selected:
                self.found.add(resource)
            return selected

        return select

    def news(self, kind: str) -> Callable[..., bool]:
        def is_news(event: Mapping[str, Any], **_: Any) -> bool:
            return event["type"] == "DELETED" or self._sink.is_news(kind, event["object"])

        return is_news

    def handler(self, kind: str) -> Callable[..., Any]:
        async def on_event(event: dict[str, Any], **_: Any) -> None:
            obj: KubeObject = dict(event["object"])
            self._call(self._sink.discard if event["type"] == "DELETED" else self._sink.apply, kind, obj)

        return on_event

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        # A kopf that was left behind may find the engine's loop closed: then nobody listens any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def connection_info(credentials: Configuration, now: datetime) -> kopf.ConnectionInfo:
    """The credentials in kopf's own form, with a time at which kopf asks again.

    That time is on a grid of five minutes: kopf takes equal credentials that were refused once for hopeless and ends,
    so that the supervisor pauses, whereas a time that differs at each call would have it ask in a tight loop.

    Args:
        credentials: As `load_credentials` gives them.
        now: Aware wall-clock time.
    """
    scheme, _, token = (credentials.api_key.get("BearerToken") or "").partition(" ")
    beginning = datetime.min.replace(tzinfo=UTC)
    return kopf.ConnectionInfo(
        server=credentials.host,
        ca_path=credentials.ssl_ca_cert,
        insecure=not credentials.verify_ssl,
        scheme=scheme.capitalize() or None,
        token=token or None,
        certificate_path=credentials.cert_file,
        private_key_path=credentials.key_file,
        proxy_url=credentials.proxy,
        expiration=beginning + ((now - beginning) // LOGIN_GRID + 1) * LOGIN_GRID,
    )


def _quiet() -> None:
    # It tells of every event that it handled, and warns that a thread hears no signals: it is not meant to.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
