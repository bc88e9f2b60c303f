"""The chart makes what the overlays make, refuses what it does not know, and its settings reach the operator.

Rendered by Helm's own engine, which is built from Go modules where the cache does not have it; skipped by name where
that cannot be.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.rendering import (
    ACCOUNT,
    CLUSTER_WIDE,
    DEPLOY,
    ONE_NAMESPACE,
    Manifest,
    Name,
    by_name,
    kustomized,
)

from playground.errors import ComponentFailed, SourceUnavailable
from playground.helm.renderer import Renderer, find_renderer
from playground.kubectl import Kubectl
from playground.progress import reporter
from playground.settings import Settings
from tinker_operator.cli.main import command

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]  # the first build takes minutes on a busy machine

CHART = DEPLOY / "helm"
Values = dict[str, Any]


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """Helm's engine."""
    try:
        return find_renderer(Settings.from_environ(os.environ), reporter(sys.stderr))
    except SourceUnavailable as why:
        pytest.skip(f"the chart was not rendered: {why}")


def charted(renderer: Renderer, values: Values | None = None, namespace: str = ACCOUNT) -> dict[Name, Manifest]:
    return by_name(one for one in yaml.safe_load_all(renderer(CHART, namespace, values)) if one)


def arguments(of: dict[Name, Manifest]) -> list[str]:
    ((container,),) = (
        one["spec"]["template"]["spec"]["containers"] for one in of.values() if one["kind"] == "Deployment"
    )
    found: list[str] = container["args"]
    return found


@pytest.mark.parametrize(
    ("values", "folder"),
    [
        pytest.param({}, CLUSTER_WIDE, id="for a cluster"),
        pytest.param({"watch": {"ownNamespaceOnly": True}}, ONE_NAMESPACE, id="for one namespace"),
    ],
)
def test_chart_and_overlay_make_the_same_objects(
    values: Values, folder: Path, renderer: Renderer, kubectl: Kubectl
) -> None:
    """Field by field. The namespace is Helm's own to make, so the chart has none."""
    wanted = kustomized(kubectl, folder)
    del wanted["Namespace", "", ACCOUNT]

    assert charted(renderer, values) == wanted


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"replica": 3}, "replica", id="a field that it does not know"),
        pytest.param({"image": {"name": "x"}}, "name", id="a field of a field that it does not know"),
        pytest.param({"replicas": "two"}, "replicas", id="a number that is none"),
        pytest.param({"replicas": 0}, "replicas", id="no replica at all"),
        pytest.param({"watch": {"namespaces": ["Team Math"]}}, "namespaces", id="no name of a namespace"),
        pytest.param({"watch": {"namespaces": [""]}}, "namespaces", id="an empty namespace, which would be all"),
        pytest.param({"clusterId": "a/b"}, "clusterId", id="a cluster's id with a slash"),
        pytest.param({"allowedWebhooks": ["https://x"]}, "allowedWebhooks", id="a webhook with a scheme"),
        pytest.param({"callsPerSecond": 0.5}, "callsPerSecond", id="a pace that the operator would refuse"),
        pytest.param({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy", id="a policy that there is not"),
        pytest.param(
            {"watch": {"ownNamespaceOnly": True, "namespaces": ["a"]}}, "exclude each other", id="two answers to one"
        ),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: Values, told: str, renderer: Renderer) -> None:
    """By name, before anything is installed."""
    with pytest.raises(ComponentFailed) as refused:
        charted(renderer, values)

    assert told in str(refused.value)


def test_settings_reach_the_operator_as_its_options(renderer: Renderer) -> None:
    """Each as the command has it."""
    found = arguments(
        charted(
            renderer,
            {
                "watch": {"namespaces": ["team-math", "team-code"]},
                "clusterId": "eu-1",
                "allowedBaseUrls": ["https://tinker.example"],
                "allowedWebhooks": ["hooks.example:8443", "*.example.com"],
                "minPollSeconds": 5,
                "callsPerSecond": 50,
            },
        )
    )
    options = {option for each in command.commands["run"].params for option in each.opts}

    assert found == [
        "run",
        "--metrics-address=:8080",
        "--log-format=json",
        "--namespace=team-math",
        "--namespace=team-code",
        "--cluster-id=eu-1",
        "--allow-base-url=https://tinker.example",
        "--allow-webhook=hooks.example:8443",
        "--allow-webhook=*.example.com",
        "--min-poll-seconds=5",
        "--calls-per-second=50",
    ]
    assert {one.partition("=")[0] for one in found[1:]} <= options


def test_named_namespaces_are_the_only_ones_with_rights(renderer: Renderer) -> None:
    """A binding in each, none for the cluster; with an id of its own it need not ask for the cluster's."""
    found = charted(renderer, {"watch": {"namespaces": ["team-math", "team-code"]}, "clusterId": "eu-1"})

    assert {name for name in found if name[0].endswith("RoleBinding")} == {
        ("RoleBinding", where, name)
        for where, name in (
            ("team-math", ACCOUNT),
            ("team-code", ACCOUNT),
            ("team-math", f"{ACCOUNT}-trainer"),
            ("team-code", f"{ACCOUNT}-trainer"),
            (ACCOUNT, f"{ACCOUNT}-lease"),
        )
    }


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        pytest.param({"trainerJobs": {"enabled": False}}, {"ClusterRole", "ClusterRoleBinding"}, id="no Jobs"),
        pytest.param({"podDisruptionBudget": {"enabled": False}}, {"PodDisruptionBudget"}, id="no budget"),
        pytest.param({"networkPolicy": {"enabled": False}}, {"NetworkPolicy"}, id="no network policy"),
        pytest.param(
            {"guard": {"enabled": False}},
            {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"},
            id="no guard, where there is one already",
        ),
    ],
)
def test_what_is_switched_off_is_gone_and_nothing_else(values: Values, missing: set[str], renderer: Renderer) -> None:
    whole, less = charted(renderer), charted(renderer, values)

    assert {kind for kind, _, _ in whole.keys() - less.keys()} == missing
    assert len(whole.keys() - less.keys()) == len(missing)
    assert all(less[name] == whole[name] for name in less)


def test_a_single_replica_has_no_budget(renderer: Renderer) -> None:
    """It would keep its node from ever being drained."""
    assert {kind for kind, _, _ in charted(renderer).keys() - charted(renderer, {"replicas": 1}).keys()} == {
        "PodDisruptionBudget"
    }


def test_a_value_stays_a_value(renderer: Renderer) -> None:
    """Whatever YAML would make of it."""
    found = arguments(charted(renderer, {"clusterId": "eu: 1 # x"}))

    assert found[-1] == "--cluster-id=eu: 1 # x"


def test_with_every_setting_the_api_server_takes_it(renderer: Renderer, kubectl: Kubectl, namespace: str) -> None:
    """Field by field, in the namespace of the release."""
    values = {
        "image": {"repository": "images.example/t", "tag": "7", "pullPolicy": "Always", "pullSecrets": ["pull"]},
        "exportImage": "images.example/export:7",
        "replicas": 3,
        "networkPolicy": {"extraEgress": [{"ports": [{"port": 8443, "protocol": "TCP"}]}]},
        "podLabels": {"team": "platform"},
        "podAnnotations": {"example.com/note": "x"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "system-cluster-critical",
    }
    manifests = renderer(CHART, namespace, values)
    options = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")

    answer = kubectl("apply", *options, "-f", "-", stdin=manifests)

    assert answer.stdout.count("(server dry run)") == len(charted(renderer, values, namespace))
    assert "images.example/t:7" in manifests
