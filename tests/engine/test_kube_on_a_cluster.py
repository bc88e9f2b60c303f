"""The API client, the recorder and the lease against a real API server."""

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from structlog.testing import capture_logs

from tinker_operator.engine.elector import Elector, KubeLease
from tinker_operator.engine.events import EventRecorder, EventType, Happening
from tinker_operator.engine.keys import ObjectKey, Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import (
    KubeForbidden,
    KubeRejected,
    KubeUnauthorized,
    KubeUnavailable,
    ObjectGone,
    ResourceMissing,
    WriteConflict,
)
from tinker_operator.engine.lease import LeaseTimings
from tinker_operator.engine.resync import Resync
from tinker_operator.engine.store import Change, Store

pytestmark = pytest.mark.cluster

WIDGETS = Resource("engine-tests.tinker-operator.dev", "v1", "widgets", "Widget")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def key_of(user: Any, name: str) -> ObjectKey:
    return ObjectKey("Widget", user.namespace, name)


async def test_a_listing_is_paged_and_of_one_moment(kube: KubeApi, user: Any) -> None:
    for number in range(5):
        user.create(f"w{number}")
    pages = [page async for page in kube.list_pages(WIDGETS, user.namespace, page_size=2)]

    assert [len(page.objects) for page in pages] == [2, 2, 1]
    assert len({page.resource_version for page in pages}) == 1
    listed = [obj["metadata"]["name"] async for obj in kube.list_objects(WIDGETS, user.namespace)]
    assert listed == [f"w{number}" for number in range(5)]


async def test_a_listing_of_metadata_has_the_names_and_versions_of_the_whole_one(kube: KubeApi, user: Any) -> None:
    for number in range(3):
        user.create(f"w{number}", size=number)
    whole = [obj["metadata"] async for obj in kube.list_objects(WIDGETS, user.namespace)]
    pages = [page async for page in kube.list_pages(WIDGETS, user.namespace, page_size=2, metadata_only=True)]

    assert [obj["metadata"] for page in pages for obj in page.objects] == whole
    assert not any("spec" in obj for page in pages for obj in page.objects)
    (version,) = {page.resource_version for page in pages}
    assert version >= max(int(one["resourceVersion"]) for one in whole)  # others write to the cluster, too


async def test_a_listing_of_a_kind_that_is_not_installed_says_so(kube: KubeApi) -> None:
    unknown = Resource(WIDGETS.group, "v1", "gizmos", "Gizmo")
    with pytest.raises(ResourceMissing, match="Install the custom resource definitions"):
        [page async for page in kube.list_pages(unknown)]


async def test_a_status_is_merged_and_the_spec_left_alone(kube: KubeApi, user: Any) -> None:
    made = user.create("w", size=3)
    key = key_of(user, "w")
    once = await kube.patch_status(WIDGETS, key, {"seen": 1, "word": "a"}, made["metadata"]["resourceVersion"])
    await kube.patch_status(WIDGETS, key, {"word": None}, once["metadata"]["resourceVersion"])

    now = user.get("w")
    assert (now["spec"], now["status"], now["metadata"]["generation"]) == ({"size": 3}, {"seen": 1}, 1)
    managers = {entry["manager"] for entry in now["metadata"]["managedFields"] if entry.get("subresource") == "status"}
    assert managers == {"tinker-operator"}


async def test_a_status_decided_on_an_old_version_is_a_conflict_and_nothing_is_written(
    kube: KubeApi, user: Any
) -> None:
    made = user.create("w", size=3)
    user.resize("w", 4)

    with pytest.raises(WriteConflict):
        await kube.patch_status(WIDGETS, key_of(user, "w"), {"seen": 1}, made["metadata"]["resourceVersion"])
    assert "status" not in user.get("w")


async def test_a_status_of_an_object_that_is_gone_says_so(kube: KubeApi, user: Any) -> None:
    made = user.create("w")
    user.delete("w")

    with pytest.raises(ObjectGone):
        await kube.patch_status(WIDGETS, key_of(user, "w"), {"seen": 1}, made["metadata"]["resourceVersion"])
    assert await kube.get_object(WIDGETS, user.namespace, "w") is None


async def test_a_status_that_the_schema_refuses_names_the_field(kube: KubeApi, user: Any) -> None:
    made = user.create("w")

    with pytest.raises(KubeRejected, match=r"status\.seen"):
        await kube.patch_status(WIDGETS, key_of(user, "w"), {"seen": 5000}, made["metadata"]["resourceVersion"])


async def test_an_own_write_is_no_news_when_the_watch_tells_of_it(kube: KubeApi, user: Any) -> None:
    made, store, told = user.create("w"), Store(), list[Change]()
    store.apply("Widget", made)
    store.listen(told.append)
    version = made["metadata"]["resourceVersion"]
    store.apply("Widget", await kube.patch_status(WIDGETS, key_of(user, "w"), {"seen": 1}, version))

    assert store.apply("Widget", made) is None
    assert store.apply("Widget", user.get("w")) is None
    assert len(told) == 1


def owner_of(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"], "uid": metadata["uid"]}


async def test_a_config_map_is_made_ours_without_touching_what_is_not(
    kube: KubeApi, user: Any, official: client.ApiClient
) -> None:
    core: Any = client.CoreV1Api(official)  # its models have many optional parts
    owner = owner_of(user.create("w"))
    await kube.apply_config_map(user.namespace, "c", {"a": "1", "b": "2"}, owner, {"made-by": "us"})
    core.patch_namespaced_config_map("c", user.namespace, {"data": {"theirs": "x"}}, field_manager="somebody")
    await kube.apply_config_map(user.namespace, "c", {"a": "3"}, owner, {"made-by": "us"})

    found = core.read_namespaced_config_map("c", user.namespace)
    assert found.data == {"a": "3", "theirs": "x"}
    assert found.metadata.labels == {"made-by": "us"}
    assert [reference.uid for reference in found.metadata.owner_references] == [owner["uid"]]
    assert await kube.get_config_map(user.namespace, "c") == {"a": "3", "theirs": "x"}
    assert await kube.get_config_map(user.namespace, "none") is None


async def test_a_secret_is_decoded_and_what_is_no_text_left_out(
    kube: KubeApi, namespace: str, official: client.ApiClient
) -> None:
    content = {"key": base64.b64encode("grüße".encode()).decode(), "blob": base64.b64encode(b"\xff\xfe").decode()}
    body = {"metadata": {"name": "s"}, "data": content}
    core: Any = client.CoreV1Api(official)  # takes JSON as well as its models
    core.create_namespaced_secret(namespace, body)

    assert await kube.get_secret(namespace, "s") == {"key": "grüße"}
    assert await kube.get_secret(namespace, "none") is None


async def test_a_cluster_is_known_by_a_uid(kube: KubeApi, official: client.ApiClient) -> None:
    core: Any = client.CoreV1Api(official)  # takes JSON as well as its models
    expected = core.read_namespace("kube-system").metadata.uid

    assert await kube.kube_system_uid() == expected


def events_of(official: client.ApiClient, namespace: str) -> list[Any]:
    return list(client.EventsV1Api(official).list_namespaced_event(namespace).items)


async def test_an_event_appears_under_its_object(kube: KubeApi, user: Any, official: client.ApiClient) -> None:
    made = user.create("w")
    recorder = EventRecorder(kube, instance="pod-1", clock=lambda: NOON)
    await recorder.send(recorder.event_of(made, Happening("RunRecovered", "Recover", "ä" * 2000, EventType.WARNING)))

    (event,) = events_of(official, user.namespace)
    assert (event.reason, event.action, event.type) == ("RunRecovered", "Recover", "Warning")
    assert (event.reporting_controller, event.reporting_instance) == ("tinker-operator", "pod-1")
    assert (event.regarding.name, event.regarding.uid) == ("w", made["metadata"]["uid"])
    assert (event.event_time, len(event.note.encode()) <= 1024, event.note[-1]) == (NOON, True, "…")


async def test_an_event_that_cannot_be_recorded_is_logged_and_nothing_more(kube: KubeApi, user: Any) -> None:
    made = user.create("w")
    made["metadata"]["namespace"] = "no-such-namespace"
    recorder = EventRecorder(kube, instance="pod-1", clock=lambda: NOON)
    with capture_logs() as logs:
        await recorder.send(recorder.event_of(made, Happening("RunRecovered", "Recover", "It is back.")))

    assert [(line["event"], line["reason"]) for line in logs] == [("event_not_recorded", "RunRecovered")]


async def test_an_account_without_rights_is_told_which_one_to_grant(
    kubeconfig_of: Any, user: Any, official: client.ApiClient
) -> None:
    core: Any = client.CoreV1Api(official)  # takes JSON as well as its models
    core.create_namespaced_service_account(user.namespace, {"metadata": {"name": "nobody"}})
    token = core.create_namespaced_service_account_token("nobody", user.namespace, {"spec": {}}).status.token
    async with await KubeApi.connect(kubeconfig_of(token)) as api:
        with pytest.raises(KubeForbidden, match=f"Grant the verb 'list' on 'widgets' of API group '{WIDGETS.group}'"):
            [page async for page in api.list_pages(WIDGETS)]
        with pytest.raises(KubeForbidden, match="Grant the verb 'patch' on 'widgets/status'"):
            await api.patch_status(WIDGETS, key_of(user, "w"), {"seen": 1}, "1")


async def test_a_token_that_is_refused_is_no_missing_right_and_not_told(kubeconfig_of: Any) -> None:
    async with await KubeApi.connect(kubeconfig_of("wrong-token")) as api:
        with pytest.raises(KubeUnauthorized) as raised:
            await api.kube_system_uid()
    assert "wrong-token" not in repr(raised.value)


async def test_an_api_server_that_is_away_is_a_passing_trouble(wired_kubeconfig: Path, wire: Any) -> None:
    async with await KubeApi.connect(wired_kubeconfig) as api:
        before = await api.kube_system_uid()
        await wire.cut()
        with pytest.raises(KubeUnavailable, match="did not answer"):
            await api.kube_system_uid()
        await wire.mend()

        assert await api.kube_system_uid() == before


async def test_a_lease_is_handed_over(kube: KubeApi, namespace: str, official: client.ApiClient) -> None:
    def candidate(name: str) -> Elector:
        lease = KubeLease(kube, namespace, "leader")
        return Elector(lease, name, timings=LeaseTimings(3, 2, 0.2), monotonic=time.monotonic, clock=clock)

    def clock() -> datetime:
        return NOON + timedelta(seconds=time.monotonic())

    def stored() -> Any:
        return client.CoordinationV1Api(official).read_namespaced_lease("leader", namespace).spec

    async with asyncio.timeout(30):
        first, second = candidate("a"), candidate("b")
        await first.acquire()
        holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
        renewed = stored()
        assert (renewed.holder_identity, renewed.lease_duration_seconds, renewed.renew_time >= NOON) == ("a", 3, True)
        await asyncio.wait([holding, waiting], timeout=4)
        assert [first.leads(), second.leads()] == [True, False]

        holding.cancel()
        await first.release()
        await waiting
        assert [first.leads(), second.leads()] == [False, True]
        assert (stored().holder_identity, stored().lease_transitions) == ("b", 1)

        third, started = candidate("c"), time.monotonic()
        await third.acquire()
        assert (third.leads(), second.leads(), time.monotonic() - started >= 3) == (True, False, True)


async def test_a_deletion_that_no_watch_saw_is_repaired(kube: KubeApi, user: Any, until: Any) -> None:
    store = Store()
    rounds = Resync(
        kube,
        store,
        (WIDGETS,),
        namespaces=[user.namespace],
        interval_seconds=0.3,
        monotonic=time.monotonic,
    )
    for name in "abc":
        user.create(name)
    running = asyncio.create_task(rounds.run())
    await until(lambda: len(store.by_kind("Widget")) == 3)
    user.delete("b")
    user.delete("c")
    again = user.create("c")
    await until(lambda: len(store.by_kind("Widget")) == 2)
    running.cancel()

    stored = {key.name: obj["metadata"]["uid"] for key, obj in store.by_kind("Widget").items()}
    assert stored == {"a": user.get("a")["metadata"]["uid"], "c": again["metadata"]["uid"]}
