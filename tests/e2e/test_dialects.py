"""The operator before servers that are not the official one: what it does is right in each dialect, or left undone.

All dialects at once: one operator, one simulator that speaks each of them to a key of its own, and for each a healthy
run, a run that becomes corrupted, and a policy that deletes. A test looks at one of them.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.stage import GROUP, Operator, wait_for
from tests.simulator.babel import SPOKEN, babel, plain_key, spoken_key

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_simulator.dialects.identities import short_id, uuid_id

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # the first one waits for all of them
STEPS = ("step-1", "step-2", "step-3", "step-4")
KEPT = ("step-3", "step-4")
"""What keepLast: 2 keeps on the official wire."""
ALL_AT_ONCE_SECONDS = 150.0
"""How long one dialect may take while the operator serves all the others too."""
FORMS = {"short-ids": short_id, "uuid-ids": uuid_id, "mixed": short_id}


@dataclass(frozen=True)
class Outcome:
    """What the operator comes to in a dialect.

    Attributes:
        restored_from: Checkpoint that the corrupted run is restored from; None if it is not.
        left: What is left of the healthy run's checkpoints.
        trouble: Reason that the healthy run shows instead of being Ready.
        policy: Reason that the policy shows for not being synchronized.
    """

    restored_from: str | None = "step-4"
    left: tuple[str, ...] = KEPT
    trouble: str | None = None
    policy: str | None = None


OTHERWISE: Mapping[str, Outcome] = {
    "no-run-listing": Outcome(restored_from=None, left=STEPS, trouble="UnexpectedStatus"),
    "no-delete": Outcome(left=STEPS, policy="UnexpectedStatus"),
    "null-times": Outcome(left=STEPS),
    "failure-as-400": Outcome(restored_from="step-3"),
    "failure-as-error": Outcome(restored_from="step-3"),
    "failure-as-type": Outcome(restored_from="step-3"),
    "ghost-weights-info": Outcome(restored_from="step-3"),
    "ghost-load": Outcome(restored_from="step-3"),
}
"""Where a dialect does not allow what the official wire does, or the newest checkpoint was broken or deleted."""


@dataclass
class Fair:
    """All dialects side by side, in one namespace."""

    http: httpx.Client
    kubectl: Kubectl
    namespace: str
    runs: dict[str, tuple[str, str]] = field(default_factory=dict)

    def objects(self) -> dict[str, Any]:
        """Every TrainingRun and CheckpointPolicy by name."""
        found = self.kubectl.json("get", "trainingruns,checkpointpolicies", "--namespace", self.namespace)
        return {one["metadata"]["name"]: one for one in found["items"]}

    def status(self, name: str) -> dict[str, Any]:
        kind = "checkpointpolicy" if name.startswith("keep-") else "trainingrun"
        found = self.kubectl.json("get", kind, name, "--namespace", self.namespace)
        status: dict[str, Any] = found.get("status", {})
        return status

    def left(self, name: str, run: str) -> tuple[str, ...]:
        """The names of a run's checkpoints, as they are."""
        listed = self.ask("GET", f"/api/v1/training_runs/{run}/checkpoints", name)["checkpoints"]
        return tuple(sorted(one["tinker_path"].rpartition("/")[2] for one in listed))

    def remote_runs(self, name: str) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.ask("GET", "/api/v1/training_runs?limit=100", name)["training_runs"]
        return runs

    def ask(self, method: str, path: str, name: str, body: Any = None) -> dict[str, Any]:
        """Ask the simulator on the official wire, as the owner of a dialect's runs."""
        answer = self.http.request(method, path, json=body, headers={"X-API-Key": plain_key(name)})
        assert answer.is_success, answer.text
        said: dict[str, Any] = answer.json() if answer.content else {}
        return said

    def build(self) -> None:
        """Make the runs of every dialect, and declare them."""
        items = []
        for name in SPOKEN:
            order = {"runs": 2, "checkpoints": len(STEPS), "owner": name}
            healthy, doomed = self.ask("POST", "/_simulator/seed", name, order)["runs"]
            self.runs[name] = (healthy, doomed)
            items += self.manifests(name)
        self.kubectl(
            "apply",
            "-n",
            self.namespace,
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
        )

    def manifests(self, name: str) -> list[dict[str, Any]]:
        form = FORMS.get(name, str)
        labels = {"dialect": name}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"key-{name}"}}
        shared = {
            "credentialsRef": {"name": f"key-{name}"},
            "pollIntervalSeconds": 3,
            "recovery": {"enabled": True, "maxAttempts": 5, "backoffSeconds": 1},
        }
        retention = {"keepLast": 2, "action": "Delete"}
        return [
            {**secret, "stringData": {"TINKER_API_KEY": spoken_key(name)}},
            *(
                _object("TrainingRun", f"{role}-{name}", labels, {"run": {"trainingRunId": form(run)}, **shared})
                for role, run in zip(("healthy", "doomed"), self.runs[name], strict=True)
            ),
            _object(
                "CheckpointPolicy", f"keep-{name}", {}, {"selector": {"matchLabels": labels}, "retention": retention}
            ),
        ]

    def is_seen(self) -> bool:
        """Whether the operator has looked at every run, whatever came of it."""
        runs = [one for one in self.objects().values() if one["kind"] == "TrainingRun"]
        return all(_condition(one.get("status", {}), "Synced").get("status") in {"True", "False"} for one in runs)

    def doom(self) -> None:
        """Corrupt one run of every dialect, where it matters after its newest checkpoint was broken or deleted."""
        for name, (_, doomed) in self.runs.items():
            if name.startswith("ghost-"):
                self.ask("DELETE", f"/api/v1/training_runs/{doomed}/checkpoints/weights/step-4", name)
            elif name.startswith("failure-"):
                broken = {"path": f"tinker://{doomed}/weights/step-4", "how": "truncate"}
                self.ask("POST", "/_simulator/break-checkpoint", name, broken)
            self.ask("POST", "/_simulator/corrupt", name, {"run": doomed})


def _object(kind: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(labels)}
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _condition(status: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return next((one for one in status.get("conditions", []) if one["type"] == kind), {})


@pytest.fixture(scope="module")
def fair(
    control_plane: ControlPlane, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fair]:
    """Every dialect, each with its corrupted run on the way to recovery."""
    kubectl, folder = control_plane.kubectl, tmp_path_factory.mktemp("dialects")
    namespace = f"dialects-{uuid.uuid4().hex[:8]}"
    with ExitStack() as ending:
        running = ending.enter_context(babel(folder / "simulator"))
        kubectl("create", "namespace", namespace)
        ending.callback(lambda: kubectl("delete", "namespace", namespace, "--wait=false"))
        operator = Operator(operator_kubeconfig, namespace, running.url, folder / "operator.log", key=None)
        at = Fair(ending.enter_context(httpx.Client(base_url=running.url, timeout=60)), kubectl, namespace)
        at.build()
        ending.callback(operator.close)
        operator.start()
        wait_for(at.is_seen, "every run to be looked at", ALL_AT_ONCE_SECONDS)
        at.doom()
        yield at


@pytest.mark.parametrize("name", SPOKEN)
def test_a_dialect_leads_to_no_wrong_act(fair: Fair, name: str) -> None:
    """A healthy run is left alone, a corrupted one restored once or said why not, nothing deleted that is kept."""
    wanted, (healthy, doomed) = OTHERWISE.get(name, Outcome()), fair.runs[name]
    if wanted.trouble is None:
        _is_recovered_once(fair, name, wanted)
    wait_for(lambda: fair.left(name, healthy) == wanted.left, f"it to leave {wanted.left}", ALL_AT_ONCE_SECONDS)
    assert set(KEPT) - {"step-4" if name.startswith("ghost-") else ""} <= set(fair.left(name, doomed))
    well = fair.status(f"healthy-{name}")
    assert well["recoveries"] == 0
    if wanted.trouble is not None:
        _is_told_why(fair, name, wanted, [well, fair.status(f"doomed-{name}")])
        return
    assert _condition(well, "Ready")["status"] == "True"
    assert well["trainingRunId"] == FORMS.get(name, str)(healthy)
    assert well["lastCheckpoint"]["path"].rpartition("/")[2] == "step-4"
    # Until the pass after the recovery it tells that the run it had to go by was replaced.
    policy = wait_for(
        lambda: _told(fair.status(f"keep-{name}"), wanted), f"the last word of keep-{name}", ALL_AT_ONCE_SECONDS
    )
    assert policy["checkpoints"] > 0
    assert (policy["deletedTotal"] > 0) is (wanted.left == KEPT)


def _is_recovered_once(fair: Fair, name: str, wanted: Outcome) -> None:
    status = wait_for(
        lambda: _recovered(fair.status(f"doomed-{name}")), f"the recovery of doomed-{name}", ALL_AT_ONCE_SECONDS
    )
    assert status["recoveries"] == 1
    assert status["recovery"]["restoredFrom"].rpartition("/")[2] == wanted.restored_from
    assert status["trainingRunId"] != FORMS.get(name, str)(fair.runs[name][1])
    runs = fair.remote_runs(name)
    assert (len(runs), sum(not one["corrupted"] for one in runs)) == (3, 2)


def _recovered(status: dict[str, Any]) -> dict[str, Any]:
    done = status.get("recoveries") == 1 and _condition(status, "Ready").get("status") == "True"
    return status if done else {}


def _told(policy: dict[str, Any], wanted: Outcome) -> dict[str, Any]:
    synced = _condition(policy, "Synced")
    said = (synced.get("status"), synced.get("reason"))
    return policy if said == (("False", wanted.policy) if wanted.policy else ("True", "Observed")) else {}


def _is_told_why(fair: Fair, name: str, wanted: Outcome, statuses: list[dict[str, Any]]) -> None:
    """Both TrainingRuns show why nothing is known, and nothing was made."""
    for status in statuses:
        synced = _condition(status, "Synced")
        assert (synced["status"], synced["reason"]) == ("False", wanted.trouble)
        assert "lacks this call" in synced["message"]
        assert _condition(status, "Ready")["status"] != "True"
    assert len(fair.remote_runs(name)) == 2
