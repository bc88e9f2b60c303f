"""The newest version of every object the operator watches, and word of each change.

Three writers feed it: the watch (kopf), the anti-entropy listing, and the responses to our own writes. They race, so
the store orders them by `resourceVersion`, which Kubernetes promises to be a comparable integer within one type: what
is older than what is stored changes nothing. An own write is applied from its response, hence its echo on the watch
is old news and wakes nobody.

What was deleted must not come back from what arrives late. Until a listing has been taken after the deletion, the uid
is remembered; from then on the listing's own version tells: an object that is older than it, and not in it, is gone.
"""

import sys
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeAlias, TypeVar, cast

from tinker_operator.engine.keys import KubeObject, ObjectKey, key_of

SHORT = 128
"""Characters of the longest value that is likely to be said of more than one object."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Change:
    """One object went from `before` to `after`.

    Attributes:
        key: Which object.
        before: Its former version; None when it is new (a new uid under an old name is a deletion and then this).
        after: Its present version; None when it is gone.
        relisted: A listing found it, not the watch: it may be old, so it can wait for what a user did just now.
    """

    key: ObjectKey
    before: KubeObject | None
    after: KubeObject | None
    relisted: bool = False


T = TypeVar("T")
Listener: TypeAlias = Callable[[Change], None]
Trim: TypeAlias = Callable[[KubeObject], KubeObject]
"""What is kept of an object: itself with less in it. `metadata` keeps its names, its uid and its version."""


class Store:
    """Objects by key, newest wins. For one event loop; nothing in it awaits.

    Objects handed out are the stored ones: read them, never change them.

    Args:
        trims: By kind: what is kept of its objects. Of other kinds everything that `slim` leaves is.
    """

    def __init__(self, trims: Mapping[str, Trim] | None = None) -> None:
        self._trims = dict(trims or {})
        self._kinds: dict[str, dict[ObjectKey, KubeObject]] = {}
        self._listeners: list[Listener] = []
        self._graves: dict[str, tuple[ObjectKey, int]] = {}
        self._derived: dict[Callable[[KubeObject], Any], dict[ObjectKey, object]] = {}
        self._gathered: dict[str, dict[Callable[..., Any], object]] = {}
        self._horizons: dict[tuple[str, str | None], int] = {}

    def listen(self, callback: Listener) -> None:
        """Call back on every change from now on, in order, within the call that made it.

        Args:
            callback: Must neither raise nor change the store.
        """
        self._listeners.append(callback)

    def get(self, key: ObjectKey) -> KubeObject | None:
        """The newest known version of an object, or None."""
        return self._of(key.kind).get(key)

    def by_kind(self, kind: str) -> Mapping[ObjectKey, KubeObject]:
        """All objects of a kind: a live view, to be iterated without awaiting in between."""
        return MappingProxyType(self._of(kind))

    def derived(self, key: ObjectKey, derive: Callable[[KubeObject], T]) -> T | None:
        """What `derive` makes of an object: made once for each version of it, because parsing costs.

        Args:
            key: Which object.
            derive: What to make; the same function makes the same thing, so it is one of a module and no lambda.

        Returns:
            What it made, or None when there is no such object.
        """
        obj = self.get(key)
        if obj is None:
            return None
        made = self._derived.setdefault(derive, {})
        if key not in made:
            made[key] = derive(obj)
        return cast("T", made[key])

    def gathered(self, kind: str, gather: Callable[[Self], T]) -> T:
        """What `gather` makes of all objects of a kind: made once for each state of them, because walking costs.

        Args:
            kind: Their kind; nothing else of the store may be looked at.
            gather: What to make; as for `derived`.
        """
        made = self._gathered.setdefault(kind, {})
        if gather not in made:
            made[gather] = gather(self)
        return cast("T", made[gather])

    def apply(self, kind: str, obj: KubeObject, *, relisted: bool = False) -> Change | None:
        """Store a version of an object, unless it is no news.

        Another uid under a known name means that the old object was deleted unseen: listeners hear of that deletion
        first, then of the new object.

        Args:
            kind: Its kind.
            obj: The object from a watch event, a listing, or the response to an own write.
            relisted: It comes from a listing.

        Returns:
            The change, or None when an equal or newer version was known, or this uid is known to be gone.
        """
        if not self.is_news(kind, obj):
            return None
        key = key_of(kind, obj)
        stored = self.get(key)
        if stored is not None and _uid(stored) != _uid(obj):
            self._bury(key, _revision(obj), relisted=relisted)
            stored = None
        after = self._trims.get(kind, slim)(obj)
        self._of(kind)[key] = after
        return self._tell(Change(key, stored, after, relisted))

    def is_news(self, kind: str, obj: KubeObject) -> bool:
        """Whether a version of an object would change what is stored.

        Args:
            kind: Its kind.
            obj: The version; its metadata are enough.
        """
        key = key_of(kind, obj)
        stored = self.get(key)
        newest = self._horizon(key) if stored is None else _revision(stored)
        return _uid(obj) not in self._graves and _revision(obj) > newest

    def discard(self, kind: str, obj: KubeObject) -> Change | None:
        """Drop an object that was seen deleted. Its uid does not come back, whatever arrives late.

        Args:
            kind: Its kind.
            obj: A version of it, as the deletion event or a response carries it.

        Returns:
            The change, or None when it was not stored, or when its name already belongs to another uid.
        """
        key = key_of(kind, obj)
        stored = self.get(key)
        if stored is not None and _uid(stored) == _uid(obj):
            return self._bury(key, _revision(obj), relisted=False)
        self._graves[_uid(obj)] = (key, _revision(obj))
        return None

    def retain(
        self, kind: str, listed: AbstractSet[ObjectKey], *, resource_version: int, namespace: str | None = None
    ) -> tuple[Change, ...]:
        """Drop what a complete listing did not show: the deletions that the watch missed.

        The listing's objects are applied one by one before this, page by page, so that no listing is ever held whole.

        Args:
            kind: The kind that was listed.
            listed: The keys of all objects in the listing.
            resource_version: That of the listing as a whole. What is stored in a newer version was made since, and
                stays.
            namespace: What was listed; None for all namespaces.

        Returns:
            The deletions.
        """
        ghosts = [
            key
            for key, stored in self._of(kind).items()
            if key not in listed and namespace in (None, key.namespace) and _revision(stored) <= resource_version
        ]
        self._horizons[kind, namespace] = resource_version
        changes = tuple(self._bury(key, resource_version, relisted=True) for key in ghosts)
        self._graves = {uid: grave for uid, grave in self._graves.items() if grave[1] > self._horizon(grave[0])}
        return changes

    def _of(self, kind: str) -> dict[ObjectKey, KubeObject]:
        return self._kinds.setdefault(kind, {})

    def _horizon(self, key: ObjectKey) -> int:
        """The version of the last listing that would have shown an object; -1 when there was none."""
        horizons = self._horizons
        return max(horizons.get((key.kind, None), -1), horizons.get((key.kind, key.namespace), -1))

    def _bury(self, key: ObjectKey, revision: int, *, relisted: bool) -> Change:
        before = self._of(key.kind).pop(key)
        self._graves[_uid(before)] = (key, revision)
        return self._tell(Change(key, before, None, relisted))

    def _tell(self, change: Change) -> Change:
        for made in self._derived.values():
            made.pop(change.key, None)
        self._gathered.pop(change.key.kind, None)
        for listener in self._listeners:
            listener(change)
        return change


def slim(obj: KubeObject) -> KubeObject:
    """The object without what only kubectl and the API server read, its names and short values held once for all.

    Each object comes with strings of its own, and most of what ten thousand objects say is the same.
    """
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    if LAST_APPLIED in metadata.get("annotations", ()):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
    shared: KubeObject = _shared({**obj, "metadata": metadata})
    return shared


def _shared(part: Any) -> Any:
    match part:
        case dict():
            return {sys.intern(name): _shared(value) for name, value in part.items()}
        case list():
            return [_shared(value) for value in part]
        case str() if len(part) <= SHORT:
            return sys.intern(part)
        case _:
            return part


def _uid(obj: KubeObject) -> str:
    return str(obj["metadata"]["uid"])


def _revision(obj: KubeObject) -> int:
    return int(obj["metadata"]["resourceVersion"])
