"""Fixtures that give a test a real Kubernetes API server: one control plane for the session, a namespace for each test.

    def test_something(kubectl: Kubectl, namespace: str) -> None:
        kubectl("create", "configmap", "a", f"--namespace={namespace}")

Without the binaries such a test fails, with the reason; it is never skipped. They are looked for before the first test
runs, so that getting them counts against no test's time.
"""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.binaries import find
from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds
from playground.errors import PlaygroundError
from playground.kubectl import Kubectl
from playground.progress import reporter
from playground.settings import Settings

_BINARIES = pytest.StashKey[Path | PlaygroundError]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the binaries when a test of this session needs them; a failure is kept for those tests."""
    if any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            session.stash[_BINARIES] = _binaries()


def _binaries() -> Path | PlaygroundError:
    try:
        return find(Settings.from_environ(os.environ), reporter(sys.stderr)).folder
    except PlaygroundError as error:
        return error


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane that all tests of the session share; nobody stops it or its API server."""
    binaries = request.session.stash[_BINARIES]
    if isinstance(binaries, PlaygroundError):
        pytest.fail(f"No control plane: {binaries}", pytrace=False)
    running = ControlPlane(tmp_path_factory.mktemp("control-plane"), binaries)
    try:
        running.start()
    except PlaygroundError as error:
        pytest.fail(f"No control plane: {error}", pytrace=False)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> tuple[str, ...]:
    """The names of the project's custom resource definitions, applied and established."""
    return apply_crds(control_plane.kubectl, checkout_crds())


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """The real kubectl, as administrator."""
    return control_plane.kubectl


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards without waiting for it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    name = f"{words}-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
