"""Fixtures that give a test a real node: one control plane with one node for the session, a namespace for each test.

    def test_something(node: Node, node_kubectl: Kubectl, node_namespace: str) -> None:
        node_kubectl.apply(pod(node_namespace, image=PYTHON_IMAGE))

A node takes root, containerd, runc and CNI plugins. Where they are missing, tests marked `node` are skipped, and the
summary says what is missing and how to get it. The programs and the image are made before the first test runs, so that
they count against no test's time.
"""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from playground.binaries import find
from playground.controlplane import ControlPlane
from playground.errors import BadSetting, PlaygroundError
from playground.kubectl import Kubectl
from playground.node.archive import Image
from playground.node.images import ImageBuilder
from playground.node.node import Node
from playground.node.programs import find_programs
from playground.node.requirements import require_node
from playground.progress import reporter
from playground.settings import Settings


@dataclass(frozen=True, slots=True)
class NodeGear:
    """What a control plane with a node is started from.

    Attributes:
        binaries: Folder of the control plane's programs.
        programs: Folder of the node's programs.
        python: The image with the interpreter alone, `PYTHON_IMAGE`.
    """

    binaries: Path
    programs: Path
    python: Image


_GEAR = pytest.StashKey[NodeGear | PlaygroundError]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this tier on a machine that cannot be a node, by name."""
    wanting = [item for item in items if item.get_closest_marker("node")]
    if not wanting:
        return
    try:
        require_node()
    except BadSetting as why:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"tier node did not run: {why}"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get programs and image when a test of this session needs them; a failure is kept for those tests."""
    wanted = [item for item in session.items if "node_gear" in getattr(item, "fixturenames", ())]
    if any(not item.get_closest_marker("skip") for item in wanted):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            session.stash[_GEAR] = _gear()


def _gear() -> NodeGear | PlaygroundError:
    told = reporter(sys.stderr)
    try:
        settings = replace(Settings.from_environ(os.environ), with_node=True)
        binaries, programs = find(settings, told).folder, find_programs(settings, told).folder
        return NodeGear(binaries, programs, ImageBuilder(settings.cache, told).python())
    except PlaygroundError as error:
        return error


@pytest.fixture(scope="session")
def node_gear(request: pytest.FixtureRequest) -> NodeGear:
    """What a control plane with a node is started from."""
    gear = request.session.stash[_GEAR]
    if isinstance(gear, PlaygroundError):
        pytest.fail(f"No node: {gear}", pytrace=False)
    return gear


@pytest.fixture(scope="session")
def node_plane(node_gear: NodeGear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane that the node belongs to; another than the one without a node."""
    with ControlPlane(tmp_path_factory.mktemp("node-plane"), node_gear.binaries) as running:
        yield running


@pytest.fixture(scope="session")
def node(node_plane: ControlPlane, node_gear: NodeGear) -> Iterator[Node]:
    """The node that all tests of the session share; it has the image `PYTHON_IMAGE`."""
    with Node(node_plane, node_gear.programs) as running:
        running.load(node_gear.python)
        yield running


@pytest.fixture
def node_kubectl(node: Node, node_plane: ControlPlane) -> Kubectl:
    """The real kubectl, as administrator, of the control plane with the node."""
    node.check()
    return node_plane.kubectl


@pytest.fixture
def node_namespace(node_kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards without waiting for it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    name = f"{words}-{uuid.uuid4().hex[:8]}"
    node_kubectl("create", "namespace", name)
    node_kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s")
    yield name
    node_kubectl("delete", "namespace", name, "--wait=false")
