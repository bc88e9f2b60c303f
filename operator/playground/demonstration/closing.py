"""The last screen: what kubectl shows, and every claim with its tick."""

from __future__ import annotations

import sys
from pathlib import Path

from playground.demonstration.claims import Verdict, judge
from playground.demonstration.errors import NotInTime
from playground.demonstration.evidence import Evidence
from playground.demonstration.gather import gather
from playground.demonstration.manifests import NAMESPACE, POLICY, RUN
from playground.demonstration.opening import Underway
from playground.demonstration.scene import Scene
from playground.demonstration.service import API_KEY, TinkerService
from playground.demonstration.stage import Stage

_SETTLE_SECONDS = 20.0
_LOOK_SECONDS = 0.3
_CONDITION = ("Type", "Status", "Reason", "Message")


def close_show(scene: Scene, underway: Underway, service: TinkerService, broken: str) -> bool:
    """Judge every claim, show it all, and answer whether all of them hold."""
    evidence, verdicts = _settled(scene, underway, service, broken)
    scene.stage.chapter("What kubectl shows")
    _show_objects(scene, evidence)
    scene.stage.chapter("What was claimed, and checked")
    for verdict in verdicts:
        scene.stage.check(verdict.title, verdict.seen.what, held=verdict.seen.held)
    return conclude(scene.stage, verdicts)


def conclude(stage: Stage, verdicts: tuple[Verdict, ...]) -> bool:
    """Say the last line, and answer whether every claim holds."""
    failed = [it.title for it in verdicts if not it.seen.held]
    if failed:
        stage.end(f"{len(failed)} of {len(verdicts)} claims do not hold: {'; '.join(failed)}.", held=False)
        return False
    stage.end(f"All {len(verdicts)} claims hold, {stage.elapsed:.0f} s after the start.", held=True)
    return True


def _settled(
    scene: Scene, underway: Underway, service: TinkerService, broken: str
) -> tuple[Evidence, tuple[Verdict, ...]]:
    """Training goes on while we read, so one reading may catch it between two states: read until all holds, or time."""
    last: list[tuple[Evidence, tuple[Verdict, ...]]] = []

    def look() -> tuple[Evidence, tuple[Verdict, ...]] | None:
        evidence = gather(scene.kubectl, service, scene.crew.log_of("loop"), underway.identities, broken)
        last[:] = [(evidence, judge(evidence))]
        return last[0] if all(it.seen.held for it in last[0][1]) else None

    try:
        return scene.patience.until("Every claim is checked", look, seconds=_SETTLE_SECONDS, every=_LOOK_SECONDS)
    except NotInTime:
        return last[0]


def _show_objects(scene: Scene, evidence: Evidence) -> None:
    stage, here = scene.stage, f"-n {NAMESPACE}"
    for kind in ("trainingruns", "checkpointpolicies"):
        stage.command(f"kubectl get {kind} {here} -o wide")
        stage.output(scene.kubectl("get", kind, "-n", NAMESPACE, "-o", "wide").stdout)
    for name, found in ((f"TrainingRun {RUN}", evidence.training_run), (f"CheckpointPolicy {POLICY}", evidence.policy)):
        stage.caption(f"The conditions of {name}")
        rows = [tuple(str(it[key.lower()]) for key in _CONDITION) for it in found["status"]["conditions"]]
        stage.table([_CONDITION, *rows])
    stage.caption(f"The events of TrainingRun {RUN}")
    events = [(str(it["reason"]), str(it["message"])) for it in evidence.cluster_events]
    stage.table([("Reason", "Message"), *events])


def show_ways_around(scene: Scene, underway: Underway, kubeconfig: str, bin_folder: str) -> None:
    """Tell how to look around in what was left up."""
    run = f"$(kubectl get tr {RUN} -n {NAMESPACE} -o jsonpath='{{.status.trainingRunId}}')"
    scene.stage.chapter("All of it stays up until Ctrl-C. In another terminal:")
    scene.stage.lines(
        f"""
export KUBECONFIG={kubeconfig}
export PATH={bin_folder}:{Path(sys.executable).parent}:$PATH
export TINKER_BASE_URL={underway.url} TINKER_API_KEY={API_KEY}
export TINKER_SIMULATOR_URL={underway.url}

kubectl get tr,ckp -n {NAMESPACE} -w
kubectl describe tr {RUN} -n {NAMESPACE}
kubectl get ckp {POLICY} -n {NAMESPACE} -o yaml
kubectl get configmap {RUN}-handover -n {NAMESPACE} -o yaml

RUN={run}
tinker-simulator fault corrupt --run $RUN
tinker run list
tail -f {scene.crew.logs}/loop.log
tail -f {scene.crew.logs}/operator.log
ls {scene.folder}
"""
    )
