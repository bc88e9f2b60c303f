"""The second half of the story: the back end fails, and the run comes back by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playground.demonstration.evidence import Json, brief, short_path, short_run
from playground.demonstration.gather import get_policy, get_run
from playground.demonstration.manifests import KEEP_LAST, RUN
from playground.demonstration.opening import Underway
from playground.demonstration.scene import Scene
from playground.demonstration.service import TinkerService

_SAVE_ROUTE = "POST .*/save_weights$"
_LOOK_SECONDS = 0.4


def make_trouble(scene: Scene, underway: Underway, service: TinkerService) -> str:
    """Break the newest checkpoint and corrupt the run, and return when training goes on as before.

    Returns:
        The path of the broken checkpoint.
    """
    broken = _fail_back_end(scene, underway, service)
    record = _await_recovery(scene)
    new_run = _await_resumed(scene, record)
    _await_rest(scene, new_run, str(record["checkpoint"]))
    return broken


def _fail_back_end(scene: Scene, underway: Underway, service: TinkerService) -> str:
    """The saves fail first: with no new checkpoint on its way, the newest one is broken before anybody can load it."""
    scene.stage.chapter("The back end fails")
    with scene.stage.wait("tinker-simulator fault"):
        scene.crew.order_fault(underway.url, "http", "--status", "503", "--retry-after", "1", "--route", _SAVE_ROUTE)
        scene.stage.done("saves answer 503 (tinker-simulator fault http)")
        broken = ""
        while (newest := service.newest(underway.run_id)) != broken:
            scene.crew.order_fault(underway.url, "break-checkpoint", "--path", newest, "--how", "truncate")
            broken = newest
        scene.stage.done(f"the newest checkpoint, {short_path(broken)}, is truncated (fault break-checkpoint)")
        scene.crew.order_fault(underway.url, "corrupt", "--run", underway.run_id)
        scene.stage.done(f"run {short_run(underway.run_id)} is corrupted, for good (fault corrupt)")
        scene.crew.order_fault(underway.url, "clear")
    return broken


def _await_recovery(scene: Scene) -> Mapping[str, Any]:
    scene.stage.chapter("It comes back by itself")
    record = scene.patience.until("The operator recovers the run", lambda: _recovered(scene), every=_LOOK_SECONDS)
    for candidate in record["candidates"]:
        good = candidate["verdict"] == "Good"
        verdict = "restored" if good else f"passed over, {candidate['verdict']}: {brief(candidate['message'])}"
        scene.stage.done(f"{short_path(candidate['checkpoint'])} {verdict}")
    scene.stage.done(f"the operator proved it in run {short_run(record['toTrainingRunId'])} of its own")
    return record


def _recovered(scene: Scene) -> Mapping[str, Any] | None:
    history = get_run(scene.kubectl)["status"].get("recovery", {}).get("history", ())
    return next((it for it in history if it["result"] == "Recovered"), None)


def _await_resumed(scene: Scene, record: Mapping[str, Any]) -> str:
    lost = scene.patience.until("The loop sees the loss", lambda: scene.told().first("lost"))
    scene.stage.done(f"the loop lost its run ({lost['error']}) and waits for the hand-over")
    resumed = scene.patience.until("The loop resumes", lambda: scene.told().first("resumed"))
    new_run = str(resumed["run"])
    what = f"{short_path(resumed['checkpoint'])}, step {resumed['start_step']}, attempt {record['attempt']}"
    scene.stage.done(f"handed over: it goes on from {what}, in run {short_run(new_run)}")
    return new_run


def _await_rest(scene: Scene, new_run: str, restored: str) -> None:
    scene.patience.until(
        "The operator follows the loop's new run", lambda: _follows(scene, new_run), every=_LOOK_SECONDS
    )
    scene.stage.done(f"TrainingRun {RUN} follows {short_run(new_run)} and is Ready")
    saved = scene.patience.until(
        "The loop saves three more", lambda: _saved(scene, new_run), so_far=lambda: _count(scene, new_run)
    )
    scene.stage.done(f"the loop saved {saved}")
    because = scene.patience.until(
        "The policy judges them", lambda: _because(get_policy(scene.kubectl), restored), every=_LOOK_SECONDS
    )
    scene.stage.done(f"the policy keeps {short_path(restored)}, not among the last three, because: {because}")


def _follows(scene: Scene, new_run: str) -> bool | None:
    status = get_run(scene.kubectl)["status"]
    ready = any(it["type"] == "Ready" and it["status"] == "True" for it in status["conditions"])
    return (ready and status["trainingRunId"] == new_run) or None


def _saved(scene: Scene, new_run: str) -> str | None:
    saved = scene.told().of_run(new_run).all("saved")
    return ", ".join(short_path(it["path"]) for it in saved) if len(saved) >= KEEP_LAST else None


def _count(scene: Scene, new_run: str) -> str:
    return f"{len(scene.told().of_run(new_run).all('saved'))} of {KEEP_LAST}"


def _because(policy: Json, restored: str) -> str | None:
    kept = {it["path"]: it["because"] for it in policy["status"]["kept"]}
    because = kept.get(restored, ())
    return ", ".join(because) if because and "KeepLast" not in because else None
