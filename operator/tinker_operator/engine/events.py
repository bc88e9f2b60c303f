"""Kubernetes Events: what `kubectl describe` shows under an object.

Controllers emit one for each transition, never for a state, so nothing is counted or merged here. An Event is news for
people: losing one must not fail a reconciliation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from tinker_operator.engine.keys import KubeObject, Resource
from tinker_operator.engine.kube_errors import KubeError
from tinker_operator.engine.objects import ObjectApi
from tinker_operator.engine.timestamps import micro_time

EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
REPORTING_CONTROLLER = "tinker-operator"

LONGEST_NOTE = 1024
"""Bytes; the API server refuses more."""

LONGEST_NAME = 128
"""Characters of an instance, a reason or an action; the API server refuses more."""

NAMESPACE_OF_CLUSTER_SCOPED = "default"


class EventType(StrEnum):
    """How Kubernetes sorts Events; it knows no others."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to an object.

    Attributes:
        reason: Why, in CamelCase: what people filter by.
        action: What the operator did, in CamelCase.
        note: What happened, as a sentence. Cut at 1024 bytes.
        type: Whether somebody should worry.
    """

    reason: str
    action: str
    note: str
    type: EventType = EventType.NORMAL


class EventRecorder:
    """Writes Events of group events.k8s.io/v1.

    Args:
        api: Where to write them.
        instance: Which replica reports, such as the pod's name.
        clock: Aware wall-clock time.
    """

    def __init__(self, api: ObjectApi, *, instance: str, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._instance = instance[:LONGEST_NAME]
        self._clock = clock
        self._log = structlog.get_logger(__name__)

    def event_of(self, regarding: KubeObject, happening: Happening) -> KubeObject:
        """The Event that tells what happened to an object just now.

        Args:
            regarding: The object, with `apiVersion`, `kind` and `metadata`.
            happening: What happened.
        """
        namespace = regarding["metadata"].get("namespace") or NAMESPACE_OF_CLUSTER_SCOPED
        return self._event(regarding, namespace, happening)

    async def send(self, event: KubeObject) -> None:
        """Write an Event. A failure is logged and goes no further.

        Args:
            event: As `event_of` makes it.
        """
        namespace, regarding = event["metadata"]["namespace"], event["regarding"]
        try:
            await self._api.create(EVENTS, namespace, event)
        except KubeError as fault:
            self._log.warning(
                "event_not_recorded",
                kind=regarding["kind"],
                namespace=namespace,
                name=regarding["name"],
                reason=event["reason"],
                error=str(fault),
            )

    def _event(self, regarding: KubeObject, namespace: str, happening: Happening) -> KubeObject:
        metadata = regarding["metadata"]
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"generateName": f"{metadata['name']}-", "namespace": namespace},
            "eventTime": micro_time(self._clock()),
            "reportingController": REPORTING_CONTROLLER,
            "reportingInstance": self._instance,
            "action": happening.action[:LONGEST_NAME],
            "reason": happening.reason[:LONGEST_NAME],
            "note": cut(happening.note, LONGEST_NOTE),
            "type": happening.type.value,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                **({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}),
            },
        }


def cut(text: str, size: int) -> str:
    """Text of at most so many bytes of UTF-8, with an ellipsis where it was cut, and no half characters.

    Args:
        text: Any text.
        size: In bytes, at least 3.
    """
    encoded = text.encode()
    if len(encoded) <= size:
        return text
    ellipsis = "…"
    return encoded[: size - len(ellipsis.encode())].decode(errors="ignore") + ellipsis
