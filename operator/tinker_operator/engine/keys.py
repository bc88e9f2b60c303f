"""Names for things in a cluster: what every other module of the engine keys by.

A `Resource` says where the API server keeps a kind; an `ObjectKey` names one object of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

KubeObject: TypeAlias = dict[str, Any]
"""One object as the API server spells it: open JSON until a controller parses it. Read-only once it is stored."""

Monotonic: TypeAlias = Callable[[], float]
"""A clock that never goes back, in seconds; only differences of it mean anything."""


class ObjectKey(NamedTuple):
    """One object: hashable, ordered, and short enough to hold a hundred thousand of them.

    Attributes:
        kind: The kind, as in `Resource.kind`.
        namespace: Its namespace; empty for a cluster-scoped object.
        name: Its name.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the API server keeps one kind.

    Attributes:
        group: API group; empty for the core group.
        version: API version, such as `v1alpha1`.
        plural: The name in URLs and in RBAC rules.
        kind: The kind, as objects spell it.
        selector: Label selector: only these objects are listed and watched; empty for all of the kind.
    """

    group: str
    version: str
    plural: str
    kind: str
    selector: str = ""

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of one object in it, or of a subresource of that.

        Args:
            namespace: Leave out for all namespaces, or for a cluster-scoped kind.
            name: Leave out for the collection.
            subresource: Such as `status`; needs a name.
        """
        root = f"/apis/{self.group}" if self.group else "/api"
        scope = ["namespaces", namespace] if namespace else []
        parts = [self.version, *scope, self.plural, *filter(None, (name, subresource))]
        return "/".join([root, *(quote(part, safe="") for part in parts)])


def key_of(kind: str, obj: KubeObject) -> ObjectKey:
    """The key of an object that came from the API server.

    Args:
        kind: Its kind; items of a listing do not always spell it.
        obj: The object.
    """
    metadata = obj["metadata"]
    return ObjectKey(kind, metadata.get("namespace", ""), metadata["name"])
