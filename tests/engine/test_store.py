"""The laws of the store: whatever arrives late, twice or never, it converges on the cluster."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource, key_of
from tinker_operator.engine.store import LAST_APPLIED, Change, Store, slim
from tinker_operator.engine.wakes import essential, wake_itself

pytestmark = pytest.mark.pure

KIND = "Widget"
KEY = ObjectKey(KIND, "default", "a")
NAMES = st.sampled_from(["a", "b", "c"])


def widget(revision: int, uid: str = "u1", name: str = "a", **metadata: Any) -> KubeObject:
    identity = {"namespace": "default", "name": name, "uid": uid, "resourceVersion": str(revision)}
    return {"metadata": {**identity, **metadata}}


def revision_of(obj: KubeObject | None) -> int | None:
    return None if obj is None else int(obj["metadata"]["resourceVersion"])


def revisions(store: Store) -> dict[ObjectKey, int | None]:
    """Returns the version of every object."""
    return {key: revision_of(obj) for key, obj in store.by_kind(KIND).items()}


class StoreUnderRaces(RuleBasedStateMachine):
    """A cluster, a watch that lags and may skip deletions, own responses that come late, listings of the past."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.mirror: dict[ObjectKey, KubeObject] = {}
        self.store.listen(self._mirror)
        self.revision = 0
        self.cluster: dict[str, KubeObject] = {}
        self.watch: list[tuple[str, KubeObject]] = []
        self.responses: list[KubeObject] = []
        self.listing: tuple[int, list[KubeObject]] | None = None
        self.newest_seen: dict[str, int] = {}

    def _mirror(self, change: Change) -> None:
        assert self.mirror.get(change.key) is change.before
        if change.after is None:
            del self.mirror[change.key]
        else:
            self.mirror[change.key] = change.after
        assert self.store.gathered(KIND, revisions) == revisions(self.store), "a listener already sees the change"

    def _write(self, name: str, uid: str) -> KubeObject:
        self.revision += 1
        self.cluster[name] = widget(self.revision, uid, name)
        self.watch.append(("MODIFIED", self.cluster[name]))
        return self.cluster[name]

    @rule(name=NAMES)
    def somebody_writes(self, name: str) -> None:
        uid = self.cluster[name]["metadata"]["uid"] if name in self.cluster else f"{name}-{self.revision}"
        self._write(name, uid)

    @precondition(lambda self: self.cluster)
    @rule(data=st.data())
    def we_write(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.cluster)))
        self.responses.append(self._write(name, self.cluster[name]["metadata"]["uid"]))

    @precondition(lambda self: self.cluster)
    @rule(data=st.data(), missed=st.booleans())
    def somebody_deletes(self, data: st.DataObject, missed: bool) -> None:
        gone = self.cluster.pop(data.draw(st.sampled_from(sorted(self.cluster))))
        self.revision += 1
        if not missed:
            metadata = gone["metadata"]
            self.watch.append(("DELETED", widget(self.revision, metadata["uid"], metadata["name"])))

    @precondition(lambda self: self.watch)
    @rule()
    def the_watch_delivers(self) -> None:
        kind_of_event, obj = self.watch.pop(0)
        (self.store.discard if kind_of_event == "DELETED" else self.store.apply)(KIND, obj)

    @precondition(lambda self: self.responses)
    @rule()
    def a_response_arrives(self) -> None:
        self.store.apply(KIND, self.responses.pop(0))

    @precondition(lambda self: self.listing is None)
    @rule()
    def a_listing_is_taken(self) -> None:
        self.listing = (self.revision, list(self.cluster.values()))

    @precondition(lambda self: self.listing is not None)
    @rule()
    def the_listing_arrives(self) -> None:
        assert self.listing is not None
        self._relist(*self.listing)
        self.listing = None

    def _relist(self, revision: int, objects: list[KubeObject]) -> None:
        for obj in objects:
            self.store.apply(KIND, obj, relisted=True)
        self.store.retain(KIND, {key_of(KIND, obj) for obj in objects}, resource_version=revision)

    @invariant()
    def what_was_told_is_what_is_stored(self) -> None:
        assert self.mirror == dict(self.store.by_kind(KIND))

    @invariant()
    def what_was_gathered_is_what_would_be_gathered_now(self) -> None:
        assert self.store.gathered(KIND, revisions) == revisions(self.store)

    @invariant()
    def no_object_goes_back_in_time(self) -> None:
        for obj in self.store.by_kind(KIND).values():
            uid, revision = obj["metadata"]["uid"], int(obj["metadata"]["resourceVersion"])
            assert revision >= self.newest_seen.get(uid, 0)
            self.newest_seen[uid] = revision

    def teardown(self) -> None:
        """Once everything has arrived, and a listing was taken after that, store and cluster agree."""
        while self.watch:
            self.the_watch_delivers()
        for response in self.responses:
            self.store.apply(KIND, response)
        self._relist(self.revision, list(self.cluster.values()))
        stored = {key.name: obj for key, obj in self.store.by_kind(KIND).items()}
        assert stored == self.cluster


TestStoreUnderRaces = StoreUnderRaces.TestCase


def test_an_older_version_of_the_same_object_changes_nothing() -> None:
    store = Store()
    store.apply(KIND, widget(10))

    assert store.apply(KIND, widget(9)) is None
    assert store.apply(KIND, widget(10)) is None
    assert revision_of(store.get(KEY)) == 10


def test_versions_are_compared_as_numbers_and_not_as_text() -> None:
    store = Store()
    store.apply(KIND, widget(9))

    assert store.apply(KIND, widget(10)) is not None


def test_another_uid_under_a_known_name_is_a_deletion_and_then_a_new_object() -> None:
    store, told = Store(), list[Change]()
    store.apply(KIND, widget(1, "old"))
    store.listen(told.append)
    store.apply(KIND, widget(5, "new"))

    assert [(revision_of(change.before), revision_of(change.after)) for change in told] == [(1, None), (None, 5)]


def test_the_deletion_of_a_former_object_does_not_touch_its_namesake() -> None:
    store = Store()
    store.apply(KIND, widget(5, "new"))

    assert store.discard(KIND, widget(4, "old")) is None
    assert revision_of(store.get(KEY)) == 5


def test_a_deleted_object_does_not_come_back_from_a_response_or_a_listing_under_way() -> None:
    store = Store()
    store.apply(KIND, widget(1))
    store.discard(KIND, widget(3))
    store.apply(KIND, widget(2))
    store.apply(KIND, widget(1), relisted=True)
    store.retain(KIND, {KEY}, resource_version=2)

    assert store.get(KEY) is None


def test_a_listing_of_one_namespace_says_nothing_about_others() -> None:
    store = Store()
    store.apply(KIND, widget(1))

    assert store.retain(KIND, set(), resource_version=9, namespace="elsewhere") == ()
    assert [change.after for change in store.retain(KIND, set(), resource_version=9, namespace="default")] == [None]


def test_what_was_made_after_the_listing_is_no_ghost() -> None:
    store = Store()
    store.apply(KIND, widget(10))

    assert store.retain(KIND, set(), resource_version=9) == ()


def test_graves_do_not_pile_up() -> None:
    """A listing from after a deletion knows better than a list of the dead."""
    store = Store()
    for number in range(100):
        store.discard(KIND, widget(number, f"u{number}", f"n{number}"))
    store.retain(KIND, set(), resource_version=49)
    before = len(store._graves)
    store.retain(KIND, set(), resource_version=100)

    assert (before, len(store._graves)) == (50, 0)
    assert store.apply(KIND, widget(99, "u99", "n99")) is None


def test_bookkeeping_of_others_is_not_kept_and_the_caller_s_object_is_left_alone() -> None:
    store = Store()
    given = widget(1, annotations={LAST_APPLIED: "{}", "kept": "yes"}, managedFields=[{"manager": "kubectl"}])
    store.apply(KIND, given)
    stored = store.get(KEY)

    assert stored is not None
    assert stored["metadata"]["annotations"] == {"kept": "yes"}
    assert "managedFields" not in stored["metadata"]
    assert LAST_APPLIED in given["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(None, widget(1), True, id="a new object is essential"),
        pytest.param(widget(1), None, True, id="a deleted object is essential"),
        pytest.param(widget(1, generation=1), widget(2, generation=2), True, id="a new generation is essential"),
        pytest.param(widget(1), widget(2, deletionTimestamp="now"), True, id="the start of a deletion is essential"),
        pytest.param(widget(1), widget(2, labels={"team": "a"}), True, id="a label is essential"),
        pytest.param(widget(1), widget(2, annotations={"our/at": "1"}), True, id="an annotation of ours is essential"),
        pytest.param(widget(1), widget(2, annotations={"other": "1"}), False, id="a foreign annotation is not"),
        pytest.param(widget(1), widget(2, finalizers=["x"]), False, id="a finalizer is not"),
        pytest.param(widget(1), {**widget(2), "status": {"a": 1}}, False, id="a status is not"),
        pytest.param(widget(1, labels={}), widget(2), False, id="empty labels are no labels"),
    ],
)
def test_only_essential_changes_wake(before: KubeObject | None, after: KubeObject | None, expected: bool) -> None:
    change = Change(KEY, before, after)

    assert essential(change, annotation_prefix="our/") is expected
    assert tuple(wake_itself("our/")(change)) == ((KEY,) if expected else ())


@pytest.mark.parametrize(
    ("resource", "arguments", "expected"),
    [
        pytest.param(Resource("", "v1", "pods", "Pod"), (), "/api/v1/pods", id="the core group has its own root"),
        pytest.param(Resource("g.dev", "v1", "ws", "W"), ("n",), "/apis/g.dev/v1/namespaces/n/ws", id="a namespace"),
        pytest.param(
            Resource("g.dev", "v1", "ws", "W"),
            ("n", "a", "status"),
            "/apis/g.dev/v1/namespaces/n/ws/a/status",
            id="a subresource",
        ),
        pytest.param(
            Resource("", "v1", "pods", "Pod"), ("n", "../x"), "/api/v1/namespaces/n/pods/..%2Fx", id="a name is quoted"
        ),
    ],
)
def test_paths_are_those_of_the_api_conventions(resource: Resource, arguments: tuple[str, ...], expected: str) -> None:
    assert resource.path(*arguments) == expected


def test_a_key_reads_as_people_name_objects() -> None:
    assert [str(KEY), str(ObjectKey("Node", "", "n1"))] == ["Widget default/a", "Node n1"]


def test_of_a_kind_that_is_trimmed_only_so_much_is_kept() -> None:
    """Whoever brings it, and listeners get no more either; other kinds stay whole."""
    store, told = Store({KIND: lambda obj: {"metadata": obj["metadata"]}}), list[Change]()
    store.listen(told.append)
    obj = {**widget(1), "spec": {"size": 1}}
    store.apply(KIND, obj)
    store.apply("Other", obj)

    assert store.get(KEY) == told[0].after == {"metadata": obj["metadata"]}
    assert (store.get(KEY._replace(kind="Other")) or {})["spec"] == {"size": 1}


def test_what_many_objects_say_is_held_once() -> None:
    """Names of fields and short values of objects that were read one by one are the same strings afterwards."""
    first, second = (slim(json.loads(json.dumps(painted(1, "ultramarine")))) for _ in "ab")

    assert first == second
    assert all(mine is yours for mine, yours in zip(first["spec"], second["spec"], strict=True))
    assert first["spec"]["colour"] is second["spec"]["colour"]


def test_each_thing_that_is_derived_is_kept_beside_the_others_and_made_anew_for_each_version() -> None:
    """Two functions on one object do not get each other's results, and a new version forgets both."""
    store = Store()
    store.apply("Widget", painted(1, "red"))
    assert (store.derived(KEY, _colour), store.derived(KEY, _shout)) == ("red", "RED")
    store.apply("Widget", painted(2, "blue"))
    assert (store.derived(KEY, _shout), store.derived(KEY, _colour)) == ("BLUE", "blue")


def painted(revision: int, colour: str) -> KubeObject:
    """A widget of a colour."""
    return {**widget(revision), "spec": {"colour": colour}}


def _colour(obj: KubeObject) -> str:
    return str(obj["spec"]["colour"])


def _shout(obj: KubeObject) -> str:
    return _colour(obj).upper()
