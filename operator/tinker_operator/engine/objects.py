"""The verbs of the API server that are the same for every kind: list, get, create, replace, patch, delete.

`KubeApi` adds the calls of the operator's own; the resync and the lease need no more than these.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self

from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kube_errors import Access, ObjectGone
from tinker_operator.engine.leaving import Leave
from tinker_operator.engine.transport import JSON, MERGE_PATCH, METADATA_LIST, Transport

FIELD_MANAGER = "tinker-operator"
PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing.

    Attributes:
        objects: The objects on it.
        resource_version: That of the listing; the same on all its pages.
    """

    objects: tuple[KubeObject, ...]
    resource_version: int


class ObjectApi:
    """Objects of any kind, over one transport. Every call asks once.

    Args:
        transport: How to reach the API server.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def fenced(self, leave: Leave) -> Self:
        """The same API, through the same connections, for who may only read unless it has leave.

        Args:
            leave: Asked right before anything but a read is sent; raises to hold it back.
        """
        return type(self)(self._transport.fenced(leave))

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        page_size: int = PAGE_SIZE,
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """A consistent listing, page by page.

        Args:
            resource: What to list; only what its selector selects.
            namespace: None for all namespaces.
            page_size: Objects on a page, at most.
            metadata_only: Leave all of each object away but its metadata, which is most of what a listing costs.

        Raises:
            ListingExpired: It took so long that the API server forgot the state; what came so far is no full listing.
            KubeError: As for any request.
        """
        access = Access("list", resource.group, resource.plural, namespace)
        query = {"limit": str(page_size)} | ({"labelSelector": resource.selector} if resource.selector else {})
        path, accept = resource.path(namespace), METADATA_LIST if metadata_only else JSON
        while True:
            answer = await self._transport.request(access, "GET", path, query=query, accept=accept)
            metadata = answer["metadata"]
            yield Page(tuple(answer.get("items") or ()), int(metadata["resourceVersion"]))
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def list_objects(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[KubeObject]:
        """Every object of a consistent listing, fetched page by page.

        Args:
            resource: What to list.
            namespace: None for all namespaces.

        Raises:
            ListingExpired: As for `list_pages`.
            KubeError: As for any request.
        """
        async for page in self.list_pages(resource, namespace):
            for obj in page.objects:
                yield obj

    async def get_object(self, resource: Resource, namespace: str | None, name: str) -> KubeObject | None:
        """One object as it is now, or None when there is none.

        Args:
            resource: Its kind.
            namespace: None for a cluster-scoped kind.
            name: Its name.

        Raises:
            KubeError: As for any request, except that a missing object is an answer.
        """
        access = Access("get", resource.group, resource.plural, namespace, name)
        try:
            return await self._transport.request(access, "GET", resource.path(namespace, name))
        except ObjectGone:
            return None

    async def create(self, resource: Resource, namespace: str, obj: KubeObject, *, strict: bool = False) -> KubeObject:
        """Create an object and return it as stored.

        Args:
            resource: Its kind.
            namespace: Where.
            obj: All of it.
            strict: Refuse a field that the API server does not know, rather than drop it: for what a user wrote.

        Raises:
            WriteConflict: There is one of this name.
            KubeError: As for any request.
        """
        access = Access("create", resource.group, resource.plural, namespace)
        query = {"fieldManager": FIELD_MANAGER} | ({"fieldValidation": "Strict"} if strict else {})
        return await self._transport.request(access, "POST", resource.path(namespace), query=query, body=obj)

    async def delete(self, resource: Resource, key: ObjectKey, *, uid: str) -> None:
        """Delete an object after everything that it owns: it stays, marked as being deleted, until that is gone.

        Args:
            resource: Its kind.
            key: Which object.
            uid: Its uid; another object of that name is left alone.

        Raises:
            WriteConflict: There is another object of that name.
            ObjectGone: There is none.
            KubeError: As for any request.
        """
        access = Access("delete", resource.group, resource.plural, key.namespace, key.name)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        }
        await self._transport.request(access, "DELETE", resource.path(key.namespace, key.name), body=options)

    async def replace(self, resource: Resource, key: ObjectKey, obj: KubeObject) -> KubeObject:
        """Replace an object whole, if it is still at the version that `obj` carries; return it as stored.

        Args:
            resource: Its kind.
            key: Which object.
            obj: All of it, with `metadata.resourceVersion`.

        Raises:
            WriteConflict: It changed since.
            ObjectGone: It was deleted since.
            KubeError: As for any request.
        """
        access = Access("update", resource.group, resource.plural, key.namespace, key.name)
        path, query = resource.path(key.namespace, key.name), {"fieldManager": FIELD_MANAGER}
        return await self._transport.request(access, "PUT", path, query=query, body=obj)

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        changes: Mapping[str, object],
        resource_version: str,
        *,
        manager: str,
        dry_run: bool = False,
    ) -> KubeObject:
        """Change what a person wants of an object, if it is still at the version that they saw; return it as stored.

        The operator has neither the right nor the wish: it is for commands, with the rights of who gives them.

        Args:
            resource: Its kind.
            key: Which object.
            changes: A JSON merge patch: None removes a key, what is not named stays.
            resource_version: That of the object that the change was made for.
            manager: Field manager that the change is told under.
            dry_run: Have it checked by the API server, and change nothing.

        Raises:
            WriteConflict: It changed since.
            ObjectGone: It was deleted since.
            KubeRejected: The API server does not accept what would come of it.
            KubeError: As for any request.
        """
        access = Access("patch", resource.group, resource.plural, key.namespace, key.name)
        metadata = changes.get("metadata")
        named = metadata if isinstance(metadata, Mapping) else {}
        return await self._transport.request(
            access,
            "PATCH",
            resource.path(key.namespace, key.name),
            query={"fieldManager": manager, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {}),
            body={**changes, "metadata": {**named, "resourceVersion": resource_version}},
            content_type=MERGE_PATCH,
        )
