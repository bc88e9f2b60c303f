"""Rebuilt from Git: the same manifests, applied again where every status is lost, bind the same runs and make no other.

Once on the same API server, with the operator at work while the objects are deleted and come back; once on an empty
one, after the first cluster was lost without a word. The witness is the simulator: what it was asked to make.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import ACCOUNT, REPOSITORY
from tests.e2e.stage import GROUP, Stage, wait_for
from tests.simulator.bare import BASE_MODEL

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]
SLOW_SECONDS = 6.0
SETTLE_SECONDS = 120.0
MAKES = ("create_model", "load_weights")


@dataclass
class Git:
    """The manifests, and what became of them before the cluster was lost.

    Attributes:
        stage: The world.
        manifests: What is applied, by name.
        losses: How often each is recovered before the cluster is lost.
    """

    stage: Stage
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)

    def keep(self, name: str, run: dict[str, Any], *, losses: int, **recovery: Any) -> None:
        """Adds a TrainingRun, to be recovered so often."""
        whole = {"enabled": True, "backoffSeconds": 0, "maxAttempts": 10, **recovery}
        self.manifests[name] = self.stage.training_run({"run": run, "recovery": whole}, name)
        self.losses[name] = losses

    def apply(self) -> None:
        """Applies everything."""
        self.stage.apply(*self.manifests.values())

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Returns every TrainingRun's status by name."""
        items = self.stage.kubectl.json("get", "trainingruns", "--namespace", self.stage.namespace)["items"]
        return {one["metadata"]["name"]: one.get("status", {}) for one in items}

    def wait(self, judge: Callable[[str, dict[str, Any]], bool], what: str) -> dict[str, dict[str, Any]]:
        """Waits until every TrainingRun is as it should be, and returns the statuses."""
        left: dict[str, Any] = {}

        def look() -> bool:
            now = self.statuses()
            left.clear()
            left.update({name: now.get(name) for name in self.losses if not judge(name, now.get(name, {}))})
            return not left

        try:
            wait_for(look, what, SETTLE_SECONDS)
        except pytest.fail.Exception:
            pytest.fail(f"{what}: not {left}")
        return self.statuses()

    def lose(self, names: list[str], attempts: dict[str, int]) -> None:
        """Has the runs of some corrupted once more, plays their loops, and waits until they are recovered."""
        before = self.statuses()
        for name in names:
            self.stage.corrupt(before[name]["trainingRunId"])
        for name in (one for one in names if self.is_handed_over(one)):
            self.loop_resumes(name, attempts[name])
        self.wait(
            lambda name, now: (
                name not in names
                or (now.get("attempt") == attempts[name] and is_ready(now) and "inFlight" not in now["recovery"])
            ),
            "the lost ones to be recovered",
        )
        for name, status in self.statuses().items():
            if name in names:
                self.stage.save(status["trainingRunId"], 10 * attempts[name])

    def is_handed_over(self, name: str) -> bool:
        """Tells whether a training loop makes the successor."""
        return bool(self.manifests[name]["spec"]["recovery"].get("mode") == "HandOver")

    def loop_resumes(self, name: str, attempt: int) -> None:
        """Acts as the training loop: makes a run as the hand-over of an attempt says."""

        def look() -> dict[str, Any]:
            found = self.stage.kubectl.json("get", "configmaps", "--namespace", self.stage.namespace)["items"]
            mine = [one for one in found if one["metadata"]["name"] == f"{name}-handover"]
            told: dict[str, Any] = json.loads(mine[0]["data"]["handover.json"]) if mine else {}
            return told if told.get("attempt") == attempt else {}

        told = wait_for(look, f"the hand-over of {name}", SETTLE_SECONDS)
        marks = {f"{GROUP}/resumed-at": f"2026-11-22T00:00:{attempt:02d}Z", f"{GROUP}/checkpoint": told["checkpoint"]}
        loaded = self.stage.wire.load(told["checkpoint"], user_metadata={**told["userMetadata"], **marks})
        assert self.stage.wire.ended(loaded).status_code == 200

    def made(self) -> tuple[int, ...]:
        """Returns how often the service was asked to make a run."""
        return tuple(self.stage.calls(route) for route in MAKES)

    def live(self, name: str) -> list[str]:
        """Returns the runs of a TrainingRun that training could go on in."""
        owner = f"test/{self.stage.namespace}/{name}"
        found = [one for one in self.stage.remote_runs() if (one["user_metadata"] or {}).get(f"{GROUP}/owner") == owner]
        return [one["training_run_id"] for one in found if not one["corrupted"]]


def is_ready(status: dict[str, Any]) -> bool:
    """Tells whether an object is Ready."""
    return [one["status"] for one in status.get("conditions", []) if one["type"] == "Ready"] == ["True"]


def following(status: dict[str, Any]) -> tuple[Any, ...]:
    """Returns what a rebuild must bring back: the run, the attempt, and what the run came from."""
    recovery = status.get("recovery", {})
    return status.get("trainingRunId"), status.get("attempt"), recovery.get("attempt"), recovery.get("restoredFrom")


@pytest.fixture
def git(stage: Stage) -> Git:
    """Every form of TrainingRun, recovered so often as its name says, and a policy that deletes."""
    git = Git(stage)
    create = {"baseModel": BASE_MODEL, "lora": {"rank": 4}}
    source, paths = stage.trained_run(2)
    git.keep("adopted-0", {"trainingRunId": source}, losses=0)
    for name, losses, recovery in (
        ("adopted-2", 2, {"mode": "Recreate"}),
        ("adopted-loop-2", 2, {"mode": "HandOver"}),
        ("adopted-mid", 0, {"mode": "Recreate"}),
        ("adopted-loop-mid", 0, {"mode": "HandOver"}),
    ):
        git.keep(name, {"trainingRunId": stage.trained_run(2)[0]}, losses=losses, **recovery)
    git.keep("created-0", {"create": create}, losses=0)
    git.keep("created-1", {"create": create}, losses=1)
    git.keep("begun-from-1", {"create": {**create, "from": {"checkpoint": paths[0]}}}, losses=1)
    for name, losses, mode in (("found-0", 0, "Recreate"), ("found-1", 1, "Recreate"), ("found-loop-1", 1, "HandOver")):
        stage.save(stage.wire.run(user_metadata={"experiment": name}), 1)
        git.keep(name, {"discover": {"userMetadata": {"experiment": name}}}, losses=losses, mode=mode)
    git.manifests["keep"] = stage.policy({"keepLast": 1, "action": "Delete"})
    return git


def live_through(git: Git) -> None:
    """Everything is bound, trains, and is lost and recovered as often as it should be."""
    git.apply()
    for name, status in git.wait(lambda _name, now: is_ready(now), "all to be Ready").items():
        if name.startswith(("created", "begun")):
            git.stage.save(status["trainingRunId"], 1)
    for number in range(1, max(git.losses.values()) + 1):
        names = [name for name, losses in git.losses.items() if losses >= number]
        git.lose(names, dict.fromkeys(names, number))


def are_on_their_way(git: Git) -> None:
    """Two recoveries are under way: one waits for a slow load, the other for its loop."""
    git.stage.wire.fault("latency", delay=SLOW_SECONDS, route="POST /api/v1/load_weights")
    now = git.statuses()
    for name in ("adopted-mid", "adopted-loop-mid"):
        git.stage.corrupt(now[name]["trainingRunId"])

    def look() -> bool:
        flights = {name: one["recovery"].get("inFlight", {}) for name, one in git.statuses().items()}
        return bool(flights["adopted-mid"].get("sessionId") and flights["adopted-loop-mid"].get("handedOver"))

    wait_for(look, "two recoveries to be under way", SETTLE_SECONDS)


def on_the_same_server(git: Git, _plane: ControlPlane, _folder: Path) -> Iterator[None]:
    """All objects are deleted and applied again under the operator's eyes."""
    stage = git.stage
    stage.kubectl("delete", "trainingruns,checkpointpolicies", "--all", "--namespace", stage.namespace)
    git.apply()
    git.stage.sound()
    yield


def on_an_empty_server(git: Git, plane: ControlPlane, folder: Path) -> Iterator[None]:
    """The first cluster is lost without a word; another one, that knows nothing, gets the manifests."""
    stage = git.stage
    stage.operator.end(signal.SIGKILL)
    with ControlPlane(folder / "second", plane._binaries) as second:
        apply_crds(second.kubectl, checkout_crds())
        second.kubectl("apply", "-k", REPOSITORY / "deploy")
        second.kubectl("create", "namespace", stage.namespace)
        stage.operator.kubeconfig = second.service_account_kubeconfig(ACCOUNT, ACCOUNT, folder / "second-kubeconfig")
        first, stage.kubectl = stage.kubectl, second.kubectl
        stage.sound()
        git.apply()
        stage.operator.start()
        try:
            yield
        finally:
            stage.kubectl = first
            assert stage.operator.end() == 0


Rebuild = Callable[[Git, ControlPlane, Path], Iterator[None]]
PLACES: dict[str, Rebuild] = {"the same API server": on_the_same_server, "an empty API server": on_an_empty_server}


@pytest.mark.parametrize("place", PLACES)
def test_a_cluster_rebuilt_from_git_follows_the_same_runs(
    git: Git, control_plane: ControlPlane, tmp_path: Path, place: str
) -> None:
    """No run is made but for the recovery that was under way; attempts count on; what was protected still is."""
    live_through(git)
    are_on_their_way(git)
    before, made, stage = git.statuses(), git.made(), git.stage
    runs = len(stage.remote_runs())
    rebuilt = contextmanager(PLACES[place])
    with rebuilt(git, control_plane, tmp_path):
        git.loop_resumes("adopted-loop-mid", 1)
        after = git.wait(lambda _name, now: is_ready(now), "all to be Ready")
        stage.wait_condition("Ready", "True", "Enforced", "keep", "checkpointpolicy")
        stage.wait_polls(3)

        settled = [name for name in git.losses if not name.endswith("mid")]
        assert {name: following(after[name]) for name in settled} == {name: following(before[name]) for name in settled}
        mid = {name: git.live(name) for name in ("adopted-mid", "adopted-loop-mid")}
        assert mid == {name: [after[name]["trainingRunId"]] for name in mid}
        assert [after[name]["attempt"] for name in mid] == [1, 1]
        print(f"\n{place}: {made} -> {git.made()} calls of {MAKES}, {runs} -> {len(stage.remote_runs())} runs")  # noqa: T201
        assert git.made()[0] == made[0]
        assert len(stage.remote_runs()) <= runs + 2
        sources = {one["recovery"]["restoredFrom"] for one in after.values() if one["recovery"].get("restoredFrom")}
        gone = {path for path in sources if path not in stage.remote_checkpoints(path.split("/")[2])}
        assert gone == set()

        names = ["adopted-2", "adopted-loop-2", "created-1", "found-1"]
        git.lose(names, {"adopted-2": 3, "adopted-loop-2": 3, "created-1": 2, "found-1": 2})
        assert {name: git.live(name) for name in names} == {
            name: [status["trainingRunId"]] for name, status in git.statuses().items() if name in names
        }


def test_an_object_that_comes_back_while_its_load_is_under_way_has_one_successor(stage: Stage) -> None:
    """What the deleted object's last round makes is seen before the new one is decided on, whenever looks come."""
    run, _ = stage.trained_run(1)
    manifest = {**stage.training_run({"run": {"trainingRunId": run}, "pollIntervalSeconds": 3})}
    stage.apply(manifest)
    stage.wait_ready()
    stage.wire.fault("latency", delay=SLOW_SECONDS, route="POST /api/v1/load_weights")
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recovery", {}).get("inFlight", {}).get("sessionId"), "a journalled session")
    stage.kubectl("delete", "trainingrun", "sft", "--namespace", stage.namespace)
    stage.apply(manifest)
    wait_for(lambda: stage.status().get("trainingRunId") not in {None, run}, "a successor", SETTLE_SECONDS)
    stage.wait_ready()
    stage.wait_polls()

    assert stage.calls("load_weights") == 1
    assert [one["training_run_id"] for one in stage.remote_runs() if not one["corrupted"]] == [
        stage.status()["trainingRunId"]
    ]
