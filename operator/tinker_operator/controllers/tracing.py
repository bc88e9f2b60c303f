"""Whether there are traces, and what stands in their place when there are none: nothing, at no cost.

The settings ask whether the environment wants them, the composition root what to use. OpenTelemetry is imported only
when both say so.
"""

from collections.abc import Mapping
from importlib.metadata import distribution
from typing import Final, Protocol

import structlog

from tinker_operator.engine.faults import described
from tinker_operator.engine.store import Store
from tinker_operator.engine.workers import Reconcile
from tinker_operator.tinker.exchange import CallWatch

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
NEEDED: Final = "opentelemetry-exporter-otlp-proto-http"
"""The package that brings the others along."""
log = structlog.get_logger(__name__)


class RoundsAndRequests(Protocol):
    """What wraps rounds and requests."""

    def of_rounds(self, reconcile: Reconcile, store: Store) -> Reconcile:
        """Returns the function that does the same and tells of it."""

    def of_requests(self, watch: CallWatch) -> CallWatch:
        """Returns the watch that does the same and tells of it."""

    async def close(self) -> None:
        """Tells what is left to tell."""


class NoTraces:
    """Tells nothing."""

    def of_rounds(self, reconcile: Reconcile, store: Store) -> Reconcile:
        """Returns the function as it is."""
        del store
        return reconcile

    def of_requests(self, watch: CallWatch) -> CallWatch:
        """Returns the watch as it is."""
        return watch

    async def close(self) -> None:
        """Does nothing."""


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Says whether OpenTelemetry's own variables name a collector, and none of them switches traces off.

    Args:
        environ: The environment.
    """
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    return not off and exporter == "otlp" and any(environ.get(name, "").strip() for name in ENDPOINTS)


def traces_of(*, wanted: bool) -> RoundsAndRequests:
    """Returns what tells of rounds and requests.

    A platform may set the variables of every Pod: where they cannot be honoured, the operator works all the same.

    Args:
        wanted: Whether the environment asks for traces.
    """
    if not wanted:
        return NoTraces()
    try:
        distribution(NEEDED)
        from tinker_operator.controllers.traces import Traces  # noqa: PLC0415 - an option that nobody else pays for

        traces = Traces.from_environment()
    except ImportError:
        return _off("Traces are asked for, and their packages are missing. Install tinker-operator[traces].")
    except (ValueError, OSError) as fault:
        return _off("Variables of OpenTelemetry, OTEL_…, cannot be used. Correct them.", **described(fault))
    log.info("traces_on")
    return traces


def _off(told: str, **why: str) -> NoTraces:
    log.warning("traces_off", message=told, **why)
    return NoTraces()
