"""A toy kind on a real API server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client, config

from playground.controlplane import ControlPlane
from tinker_operator.engine.keys import KubeObject, Resource
from tinker_operator.engine.kube import KubeApi

T = TypeVar("T")

WIDGETS = Resource("engine-tests.tinker-operator.dev", "v1", "widgets", "Widget")

WIDGET_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
        "status": {
            "type": "object",
            "properties": {"seen": {"type": "integer", "maximum": 1000}, "word": {"type": "string"}},
        },
    },
}


class WidgetUser:
    """Somebody with kubectl: the official client, so that what is tested does not test itself."""

    def __init__(self, api: client.ApiClient, namespace: str, resource: Resource = WIDGETS) -> None:
        self._widgets: Any = client.CustomObjectsApi(api)  # its objects are open JSON
        self._resource = resource
        self._where = {"group": resource.group, "version": resource.version, "plural": resource.plural}
        self.namespace = namespace

    def create(self, name: str, **spec: int) -> KubeObject:
        body = {
            "apiVersion": self._resource.api_version,
            "kind": self._resource.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        created: KubeObject = self._widgets.create_namespaced_custom_object(
            namespace=self.namespace, body=body, **self._where
        )
        return created

    def get(self, name: str) -> KubeObject:
        found: KubeObject = self._widgets.get_namespaced_custom_object(
            namespace=self.namespace, name=name, **self._where
        )
        return found

    def resize(self, name: str, size: int) -> KubeObject:
        patched: KubeObject = self._widgets.patch_namespaced_custom_object(
            namespace=self.namespace, name=name, body={"spec": {"size": size}}, **self._where
        )
        return patched

    def delete(self, name: str) -> None:
        self._widgets.delete_namespaced_custom_object(namespace=self.namespace, name=name, **self._where)

    def all(self) -> list[KubeObject]:
        listing = self._widgets.list_namespaced_custom_object(namespace=self.namespace, **self._where)
        items: list[KubeObject] = listing["items"]
        return items


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """The administrator's, with a client certificate."""
    return control_plane.admin_kubeconfig


@pytest.fixture(scope="session")
def official(kubeconfig: Path) -> Iterator[client.ApiClient]:
    """The official synchronous client, as administrator."""
    with config.new_client_from_config(str(kubeconfig)) as api:  # type: ignore[no-untyped-call]  # half of the client has no types
        yield api


class Kinds:
    """Installs and removes custom resource definitions of the widgets' form."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._definitions: Any = client.ApiextensionsV1Api(api)  # takes JSON as well as its models

    def install(self, resource: Resource) -> None:
        version = {
            "name": resource.version,
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": WIDGET_SCHEMA},
        }
        names = {"plural": resource.plural, "kind": resource.kind}
        definition: KubeObject = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{resource.plural}.{resource.group}"},
            "spec": {"group": resource.group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
        self._definitions.create_custom_resource_definition(definition)

    def remove(self, resource: Resource) -> None:
        self._definitions.delete_custom_resource_definition(f"{resource.plural}.{resource.group}")

    def served(self, resource: Resource) -> bool:
        try:
            client.CustomObjectsApi(self._api).list_cluster_custom_object(
                resource.group, resource.version, resource.plural
            )
        except client.ApiException:
            return False
        return True


@pytest.fixture(scope="session")
def kinds(official: client.ApiClient) -> Kinds:
    return Kinds(official)


@pytest.fixture(scope="session")
def widget_kind(kinds: Kinds) -> Resource:
    """A custom resource of the tests' own, served."""
    if not kinds.served(WIDGETS):
        kinds.install(WIDGETS)
    asyncio.run(_until(lambda: kinds.served(WIDGETS)))
    return WIDGETS


@pytest.fixture
def user(official: client.ApiClient, widget_kind: Resource, namespace: str) -> WidgetUser:
    assert widget_kind == WIDGETS
    return WidgetUser(official, namespace)


@pytest.fixture
async def kube(kubeconfig: Path) -> AsyncIterator[KubeApi]:
    async with await KubeApi.connect(kubeconfig) as api:
        yield api


class Wire:
    """A cable to the API server. Once it is cut, connections break and no new one is taken until it is mended."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._strands: set[asyncio.Task[None]] = set()
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for strand in self._strands:
            strand.cancel()
        await asyncio.gather(*self._strands, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strand = asyncio.create_task(self._carry(reader, writer))
        self._strands.add(strand)
        strand.add_done_callback(self._strands.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            try:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                far_writer.transport.abort()
        finally:
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()


@pytest.fixture
async def wire(official: client.ApiClient) -> AsyncIterator[Wire]:
    address = urlsplit(official.configuration.host)
    assert address.hostname is not None
    assert address.port is not None
    cable = Wire(address.hostname, address.port)
    await cable.mend()
    yield cable
    await cable.cut()


@pytest.fixture
def wired_kubeconfig(kubeconfig: Path, wire: Wire, tmp_path: Path) -> Path:
    """The administrator's kubeconfig, by way of the wire."""
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{wire.port}"
    return _written(tmp_path / "wired", content)


KubeconfigOf = Callable[[str], Path]


@pytest.fixture
def kubeconfig_of(kubeconfig: Path, tmp_path: Path) -> KubeconfigOf:
    """A kubeconfig for whoever holds a bearer token."""

    def of(token: str) -> Path:
        content = yaml.safe_load(kubeconfig.read_text())
        content["users"][0]["user"] = {"token": token}
        return _written(tmp_path / "someone", content)

    return of


def _written(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


Until = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait for a condition, for some seconds at most."""
    return _until


async def _until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)
