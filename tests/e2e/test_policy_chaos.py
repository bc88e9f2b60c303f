"""Two hundred runs, ten thousand checkpoints, twenty policies; and everything goes wrong at once, all through it.

What has to be left is reckoned here anew, by a few lines that share nothing with the operator; that nothing needed was
ever asked to be deleted, the simulator's own record of requests has to show.
"""

import random
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.stage import KEY, Stage, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]

RUNS, CHECKPOINTS, POLICIES, LOST = 200, 50, 20, 20
DEADLINE_SECONDS = 1200.0
POLL_SECONDS = 10
"""Each trouble that a look meets is told of every run: with a look a second there would be time for nothing else."""
DELETED = re.compile(r"/api/v1/training_runs/(?P<run>[^/]+)/checkpoints/weights/(?P<name>[^/]+)")
BETWEEN_KILLS, DELETIONS_OF_A_RECOVERY = 300, 30
"""What the operator gets done between two deaths: so many deletions, a recovery counting for so many of them."""
STEP, LAST, BEST = 3, 1, 8
RULES: Mapping[str, Any] = {
    "action": "Delete",
    "keepLast": LAST,
    "keepBest": {"count": BEST, "metric": {"name": "loss"}},
    "keepEverySteps": STEP,
    "maxDeletionsPerHour": 1_000_000,
}
PATIENT = {"enabled": True, "backoffSeconds": 1, "maxAttempts": 20}
PARTS = "(checkpoints|load_weights|create_session|weights_info|get_info)"
TROUBLES: Sequence[tuple[str, dict[str, Any]]] = (
    ("http", {"status": 500, "route": PARTS}),
    ("http", {"status": 429, "retry_after": 1, "route": PARTS}),
    ("http", {"status": 503, "route": "DELETE /api/v1/training_runs"}),
    ("drop", {"route": PARTS}),
    ("drop", {"when": "after", "route": "DELETE /api/v1/training_runs"}),
    ("garbage", {"route": PARTS}),
    ("half-page", {"route": "GET /api/v1/training_runs"}),
    ("half-body", {"route": "GET /api/v1/training_runs/.*/checkpoints"}),
    ("drop", {"route": "POST /api/v1/load_weights"}),
)


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint as the test remembers it; the order of a lineage is their order in a list."""

    path: str
    step: int
    loss: float


def seeded(stage: Stage) -> dict[str, list[Saved]]:
    """Returns what was seeded: by the run's id, oldest checkpoint first."""
    order = {"runs": RUNS, "checkpoints": CHECKPOINTS, "owner": f"{KEY}-owner", "seed": 5}
    return {run: listed(stage, run) for run in stage.wire.order("seed", order)["runs"]}


def listed(stage: Stage, run: str) -> list[Saved]:
    """Returns a run's training checkpoints, oldest first, as the service lists them."""
    answer = stage.wire.get(f"training_runs/{run}/checkpoints", limit=500).json()["checkpoints"]
    ordered = sorted((one for one in answer if one["checkpoint_type"] == "training"), key=lambda one: one["time"])
    return [
        Saved(one["tinker_path"], int(one["user_metadata"]["step"]), float(one["user_metadata"]["loss"]))
        for one in ordered
    ]


def left_by_the_rules(lineage: Sequence[Saved]) -> set[str]:
    """Returns what the policy's rules keep of one TrainingRun's checkpoints, the oldest first."""
    newest_first = list(reversed(lineage))
    best = sorted(newest_first, key=lambda one: one.loss)[:BEST]
    kept = [*newest_first[:LAST], *best, *(one for one in lineage if one.step % STEP == 0)]
    return {one.path for one in kept}


@contextmanager
def trouble(stage: Stage) -> Iterator[list[str]]:
    """Service faults in turn, and an operator that is killed again and again; ends them, and yields what happened.

    It is killed by what it has done since the last time and not by the clock, which on a slow machine would leave it
    no time to do anything.
    """
    over, draw, told = threading.Event(), random.Random(11), list[str]()  # noqa: S311 - no secret

    def go_on() -> None:
        killed_at = 0
        while not over.wait(draw.uniform(0.5, 2)):
            kind, rule = draw.choice(TROUBLES)
            stage.wire.fault(kind, count=draw.randint(1, 10), **rule)
            told.append(kind)
            if (done := deleted(stage) + DELETIONS_OF_A_RECOVERY * len(recovered(stage))) >= killed_at + BETWEEN_KILLS:
                stage.operator.end(signal.SIGKILL)
                stage.operator.start()
                told.append("killed")
                killed_at = done

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        thread.join()
        stage.sound()


def statuses(stage: Stage, kind: str) -> dict[str, dict[str, Any]]:
    """Returns the status of every object of a kind, by name."""
    items = stage.kubectl.json("get", kind, "--namespace", stage.namespace)["items"]
    return {one["metadata"]["name"]: one.get("status", {}) for one in items}


def recovered(stage: Stage) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in statuses(stage, "trainingruns").items() if one.get("recoveries")}


def deleted(stage: Stage) -> int:
    return sum(one.get("deletedTotal", 0) for one in statuses(stage, "checkpointpolicies").values())


def is_settled(status: Mapping[str, Any]) -> bool:
    """Ready by Enforced, with nothing due."""
    reasons = {one["type"]: one["reason"] for one in status.get("conditions", [])}
    return reasons.get("Ready") == "Enforced" and status.get("dueCount") == 0 and not status.get("deleting")


def test_exactly_the_plan_is_left_and_nothing_needed_was_ever_asked_for(stage: Stage) -> None:
    """Rules, sources of recoveries and new checkpoints stay; each other one goes; the record holds no other DELETE."""
    world = seeded(stage)
    names = {run: f"run-{number}" for number, run in enumerate(world)}
    draw = random.Random(3)  # noqa: S311 - no secret
    lost = draw.sample(list(world), LOST)
    for run in lost[::2]:
        stage.break_checkpoint(world[run][-1].path)
    stage.apply(
        *(
            stage.training_run(
                {"run": {"trainingRunId": run}, "recovery": PATIENT, "pollIntervalSeconds": POLL_SECONDS},
                name,
                labels={"group": f"g{number % POLICIES}"},
            )
            for number, (run, name) in enumerate(names.items())
        )
    )
    with trouble(stage) as told:
        stage.apply(*(stage.policy(RULES, f"keep-{n}", {"group": f"g{n}"}) for n in range(POLICIES)))
        for run in lost:
            stage.corrupt(run)
            threading.Event().wait(draw.uniform(0, 1))
        wait_for(lambda: len(recovered(stage)) == LOST, "every lost run to be recovered", DEADLINE_SECONDS)
        wait_for(lambda: deleted(stage) > RUNS * CHECKPOINTS // 5, "two thousand deletions", DEADLINE_SECONDS)
    successors = {names[run]: statuses(stage, "trainingruns")[names[run]]["trainingRunId"] for run in lost}
    for run in lost[:5]:
        for step in (51, 52):
            stage.save(successors[names[run]], step)
    wait_for(lambda: all(map(is_settled, statuses(stage, "checkpointpolicies").values())), "the end", DEADLINE_SECONDS)

    assert told.count("killed") >= 3, told
    lineages = {run: [*world[run], *listed(stage, successors[names[run]])] for run in lost}
    for run, lineage in (world | lineages).items():
        runs = {run, successors.get(names[run], run)}
        left = {path for one in runs for path in stage.remote_checkpoints(one)}
        assert left == left_by_the_rules(lineage) | source_of(stage, names[run]), names[run]
    assert count_of_runs(stage) == RUNS + LOST
    assert_nothing_needed_was_asked_for(stage.wire.calls()["changing"], world, successors, names)


def count_of_runs(stage: Stage) -> int:
    """Returns how many runs the service has, page by page."""
    pages = (stage.wire.get("training_runs", limit=100, offset=offset).json() for offset in range(0, 2 * RUNS, 100))
    return sum(len(page["training_runs"]) for page in pages)


def source_of(stage: Stage, name: str) -> set[str]:
    """Returns the checkpoint that the present run of a TrainingRun came from, if it was recovered."""
    source = stage.status(name).get("recovery", {}).get("restoredFrom")
    return {source} if source else set()


def assert_nothing_needed_was_asked_for(
    changing: Sequence[Mapping[str, Any]],
    world: Mapping[str, Sequence[Saved]],
    successors: Mapping[str, str],
    names: Mapping[str, str],
) -> None:
    """Each DELETE met, at its moment, a checkpoint that no rule kept and that nobody loaded later."""
    before = {successor: run for run, name in names.items() if (successor := successors.get(name))}
    lineages, gone = {run: list(saved) for run, saved in world.items()}, set[str]()
    for asked in changing:
        if asked["method"] == "DELETE" and (found := DELETED.fullmatch(asked["path"])):
            run, path = found["run"], f"tinker://{found['run']}/weights/{found['name']}"
            assert path not in left_by_the_rules(lineages[before.get(run, run)]), f"{path} was needed"
            gone.add(path)
        elif asked["route"].endswith("/save_weights") and (lost := before.get(asked["fields"]["model_id"])):
            step = int(asked["fields"]["user_metadata"]["step"])
            path = f"tinker://{asked['fields']['model_id']}/weights/{asked['fields']['path']}"
            lineages[lost].append(Saved(path, step, float(asked["fields"]["user_metadata"]["loss"])))
        elif asked["route"].endswith("/load_weights"):
            assert asked["fields"]["path"] not in gone, "a recovery wanted what was deleted"
    assert len(gone) > RUNS * CHECKPOINTS // 3
