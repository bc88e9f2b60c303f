"""Writes the one status patch of a round, and tells what happened: once, after the patch went through."""

from collections.abc import Iterable, Mapping
from typing import Any

from tinker_operator.api.meta import ApiModel, to_wire
from tinker_operator.controllers.telemetry import Telemetry
from tinker_operator.core.patch import merge_patch
from tinker_operator.core.telemetry import Told
from tinker_operator.engine.events import EventType, Happening
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.outbox import EventOutbox
from tinker_operator.engine.store import Store

ACTION = "Reconcile"


class Reporter:
    """The only writer of status.

    Args:
        api: The Kubernetes API.
        store: Learns the answer to each write at once, so that the next round sees it.
        outbox: Sends events.
        telemetry: Counts and logs.
    """

    def __init__(self, api: KubeApi, store: Store, outbox: EventOutbox, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._api = api
        self._store = store
        self._outbox = outbox

    async def report(
        self, resource: Resource, key: ObjectKey, obj: KubeObject, status: ApiModel, events: Iterable[Told] = ()
    ) -> None:
        """Writes the status if it differs from the object's, then the events.

        Args:
            resource: The kind.
            key: The object.
            obj: The version that was decided on; the patch is refused when the object has moved on since.
            status: The status to write.
            events: What to tell.

        Raises:
            WriteConflict: The object has moved on; decide again on the new version.
            ObjectGone: The object was deleted.
        """
        await self.write(resource, key, obj, to_wire(status))
        self.tell(key, obj, events)

    def tell(self, key: ObjectKey, obj: KubeObject, events: Iterable[Told]) -> None:
        """Counts and logs what happened, and has it recorded beside the work that goes on.

        Args:
            key: The object.
            obj: What it happened to.
            events: What to tell.
        """
        for told in events:
            self._telemetry.tell(key, told)
            kind = EventType.WARNING if told.warning else EventType.NORMAL
            self._outbox.put(obj, Happening(str(told.reason), ACTION, told.note, kind))

    async def write(self, resource: Resource, key: ObjectKey, obj: KubeObject, status: Mapping[str, Any]) -> None:
        """Writes a status in its JSON form, if it differs from the object's.

        Raises:
            WriteConflict: The object has moved on.
            ObjectGone: The object was deleted.
        """
        patch = merge_patch(obj.get("status") or {}, status)
        if patch:
            version = obj["metadata"]["resourceVersion"]
            self._store.apply(resource.kind, await self._api.patch_status(resource, key, patch, version))
