"""Overlays and chart pass every check of kube-score, but for those named here with the reason.

Judged by kube-score's own packages, which are built from Go modules where the cache does not have them; skipped by name
where that cannot be.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.deploy.rendering import ACCOUNT, CLUSTER_WIDE, DEPLOY, ONE_NAMESPACE, SHARDED, kustomized
from tests.deploy.test_chart import CHART, Values, charted, renderer

from playground.errors import ComponentFailed, SourceUnavailable
from playground.helm.renderer import Renderer
from playground.kubectl import Kubectl
from playground.progress import reporter
from playground.scores.scorer import Scorer, find_scorer
from playground.settings import Settings

__all__ = ["renderer"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]  # the first build takes minutes on a busy machine

_BURSTS = "It sleeps most of the time; what it needs when a thousand runs are lost at once is a ceiling, not a share."
_SPREAD = "topologySpreadConstraints spread it, and still run all of it on an only node."
PASSED_OVER: Mapping[str, str] = {
    "container-resources": "Only the CPU limit is missing: it would throttle the renewal of the Lease.",
    "container-resource-requests-equal-limits": _BURSTS,
    "container-cpu-requests-equal-limits": _BURSTS,
    "container-memory-requests-equal-limits": _BURSTS,
    "container-image-pull-policy": "A tag is never moved, and a restart must not wait for a registry.",
    "container-ephemeral-storage-request-and-limit": "Its root cannot be written, and the one volume has a sizeLimit.",
    "deployment-has-host-podantiaffinity": _SPREAD,
}
"""Checks that do not fit, each with the reason."""
OF_SHARDS: Mapping[str, str] = {
    **{check: why for check, why in PASSED_OVER.items() if not check.startswith("deployment-")},
    "statefulset-has-host-podantiaffinity": _SPREAD,
    "statefulset-has-servicename": "Nobody calls a Pod by its name, so there is no Service.",
}
"""Those of the overlay that has a StatefulSet."""
OVERLAYS: Mapping[Path, Mapping[str, str]] = {
    CLUSTER_WIDE: PASSED_OVER,
    ONE_NAMESPACE: PASSED_OVER,
    SHARDED: OF_SHARDS,
}
"""What is shipped, each with the checks that do not fit it."""


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """The judge."""
    try:
        return find_scorer(Settings.from_environ(os.environ), reporter(sys.stderr))
    except SourceUnavailable as why:
        pytest.skip(f"the manifests were not judged: {why}")


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda it: it.name)
def test_an_overlay_passes_every_check_that_fits(folder: Path, scorer: Scorer, kubectl: Kubectl) -> None:
    """And each that is passed over would be missed, so the list holds none too many."""
    found = scorer(yaml.safe_dump_all(kustomized(kubectl, folder).values()))

    assert [one for one in found if one.check not in OVERLAYS[folder]] == []
    assert {one.check for one in found} == set(OVERLAYS[folder])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"watch": {"ownNamespaceOnly": True}}, id="for one namespace"),
        pytest.param({"replicas": 3, "clusterId": "eu-1", "minPollSeconds": 5}, id="with settings"),
    ],
)
def test_the_chart_passes_every_check_that_fits(values: Values, scorer: Scorer, renderer: Renderer) -> None:
    found = scorer(yaml.safe_dump_all(charted(renderer, values).values()))

    assert [one for one in found if one.check not in PASSED_OVER] == []


@pytest.mark.parametrize(
    ("change", "check"),
    [
        pytest.param(
            ("securityContext", {}), "container-security-context-readonlyrootfilesystem", id="a root to write"
        ),
        pytest.param(("image", "tinker-operator:latest"), "container-image-tag", id="a tag that moves"),
        pytest.param(
            ("env", [{"name": "A", "value": "1"}] * 2), "environment-variable-key-duplication", id="a variable twice"
        ),
    ],
)
def test_what_is_worse_is_found(change: tuple[str, object], check: str, scorer: Scorer, kubectl: Kubectl) -> None:
    """The laws above can fail."""
    objects = kustomized(kubectl, CLUSTER_WIDE)
    (container,) = objects["Deployment", ACCOUNT, ACCOUNT]["spec"]["template"]["spec"]["containers"]
    container[change[0]] = change[1]

    assert check in {one.check for one in scorer(yaml.safe_dump_all(objects.values()))}


def test_what_cannot_be_read_is_told(scorer: Scorer) -> None:
    with pytest.raises(ComponentFailed):
        scorer("apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: two}\n")


def test_the_folders_are_those_that_are_shipped() -> None:
    """A new overlay is judged, too."""
    assert {it for it in (DEPLOY / "overlays").iterdir() if it.is_dir()} == set(OVERLAYS)
    assert CHART.is_dir()
