"""Reads the evidence: the cluster through kubectl, the service over REST, the training loop from its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from playground.demonstration.claims import LOOP_MAY, OPERATOR_MAY
from playground.demonstration.evidence import Evidence, Identity, Json, RunAtService
from playground.demonstration.loop_log import Told, read
from playground.demonstration.manifests import HAND_OVER, LOOP_ACCOUNT, NAMESPACE, POLICY, RUN
from playground.demonstration.service import TinkerService
from playground.kubectl import Kubectl

OPERATOR_ACCOUNT = "tinker-operator"
OPERATOR_NAMESPACE = "tinker-operator"
_HERE = f"--namespace={NAMESPACE}"
_SPEC = "patch their spec"
_OPERATOR_ASKS: Mapping[str, tuple[str, ...]] = {
    "get a Secret": ("get", "secret/tinker", _HERE),
    "list secrets": ("list", "secrets", _HERE),
    "update trainingruns": ("update", "trainingruns.tinker-operator.dev", _HERE),
    "patch trainingruns": ("patch", "trainingruns.tinker-operator.dev", _HERE),
    "create pods": ("create", "pods", _HERE),
}
_LOOP_ASKS: Mapping[str, tuple[str, ...]] = {
    f"get configmap/{HAND_OVER}": ("get", f"configmap/{HAND_OVER}", _HERE),
    "get any other configmap": ("get", "configmap/another", _HERE),
    "list configmaps": ("list", "configmaps", _HERE),
    "get trainingruns": ("get", "trainingruns.tinker-operator.dev", _HERE),
}


@dataclass(frozen=True, slots=True)
class Identities:
    """What is read once, when the parts have their credentials.

    Attributes:
        operator: The operator's identity.
        loop: The loop's identity.
        shipped: Role bindings of deploy/ that name the operator.
    """

    operator: Identity
    loop: Identity
    shipped: frozenset[str]


def read_identities(admin: Kubectl, operator: Path, loop: Path, rbac: Path) -> Identities:
    """Ask the API server who the two are, with their own kubeconfigs, and what they may do.

    Args:
        admin: Sees all role bindings.
        operator: The operator's kubeconfig.
        loop: The loop's kubeconfig.
        rbac: The manifest that deploy/ ships.
    """
    bound = admin.json("get", "clusterrolebindings,rolebindings", "--all-namespaces")["items"]
    shipped = [it for it in yaml.safe_load_all(rbac.read_text()) if it["kind"].endswith("RoleBinding")]
    return Identities(
        _identity(Kubectl(admin.program, operator), _bindings(bound, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT), "operator"),
        _identity(Kubectl(admin.program, loop), _bindings(bound, NAMESPACE, LOOP_ACCOUNT), "loop"),
        _bindings(shipped, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT),
    )


def _identity(own: Kubectl, bindings: frozenset[str], who: str) -> Identity:
    asks, expected = (_OPERATOR_ASKS, OPERATOR_MAY) if who == "operator" else (_LOOP_ASKS, LOOP_MAY)
    user = own.json("auth", "whoami")["status"]["userInfo"]["username"]
    may = {what: _can(own, asks[what]) for what in expected if what in asks}
    return Identity(str(user), bindings, may)


def with_spec_tried(identities: Identities, operator: Kubectl) -> Identities:
    """Returns the identities with what became of a change of spec under the operator's own token: nothing is stored.

    Args:
        identities: As read before.
        operator: With the operator's kubeconfig; the TrainingRun exists.
    """
    patch = ("patch", "trainingrun", RUN, _HERE, "--type=merge", "--dry-run=server", "--patch")
    tried = operator(*patch, '{"spec": {"suspend": true}}', check=False)
    refused = tried.returncode != 0 and "may not change spec" in tried.stderr
    may = {**identities.operator.may, _SPEC: not refused}
    return replace(identities, operator=replace(identities.operator, may=may))


def _can(own: Kubectl, ask: tuple[str, ...]) -> bool:
    return own("auth", "can-i", *ask, check=False).stdout.strip() == "yes"


def _bindings(bindings: Iterable[Mapping[str, Any]], namespace: str, name: str) -> frozenset[str]:
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return frozenset(
        str(it["metadata"]["name"])
        for it in bindings
        if any(subject.items() <= one.items() for one in it.get("subjects", ()))
    )


def get_run(kubectl: Kubectl) -> Json:
    """The TrainingRun as the API server has it."""
    found: Json = kubectl.json("get", "trainingrun", RUN, _HERE)
    return found


def get_policy(kubectl: Kubectl) -> Json:
    """The CheckpointPolicy as the API server has it."""
    found: Json = kubectl.json("get", "checkpointpolicy", POLICY, _HERE)
    return found


def get_events(kubectl: Kubectl) -> tuple[Json, ...]:
    """The events about the TrainingRun, oldest first."""
    items = kubectl.json("get", "events", _HERE)["items"]
    ours = [it for it in items if it["involvedObject"]["name"] == RUN]
    return tuple(sorted(ours, key=lambda it: str(it.get("eventTime") or it["metadata"]["creationTimestamp"])))


def gather(kubectl: Kubectl, service: TinkerService, log: Path, identities: Identities, broken: str) -> Evidence:
    """Read everything once.

    Args:
        kubectl: As administrator.
        service: The Tinker service.
        log: The training loop's.
        identities: As read before.
        broken: Path of the checkpoint that was broken.
    """
    runs = _runs(service)
    checkpoints = [it for run in runs for it in service.checkpoints(run.run_id)]
    told: Told = read(log)
    return Evidence(
        operator=identities.operator,
        loop=identities.loop,
        shipped_bindings=identities.shipped,
        told=told,
        broken=broken,
        training_run=get_run(kubectl),
        policy=get_policy(kubectl),
        cluster_events=get_events(kubectl),
        runs=runs,
        checkpoints=tuple(sorted(checkpoints, key=lambda it: str(it["time"]), reverse=True)),
    )


def _runs(service: TinkerService) -> tuple[RunAtService, ...]:
    found = service.runs()
    alive = {session: service.is_session_alive(session) for session in {_session(it) for it in found}}
    return tuple(RunAtService(str(it["training_run_id"]), it["corrupted"], alive[_session(it)]) for it in found)


def _session(run: Json) -> str:
    return str(run["training_run_id"]).partition(":")[0]
