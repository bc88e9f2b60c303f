"""Publishing on a real API server and a real wire: what is public, what is taken back, and what never is."""

import signal
from typing import Any

import pytest
from tests.e2e.stage import DEADLINE_SECONDS, Stage, wait_for

pytestmark = pytest.mark.cluster

POLICY = "checkpointpolicy"


def policy(stage: Stage, publish: str, name: str = "keep", **retention: Any) -> dict[str, Any]:
    """Returns a policy that keeps all and publishes this."""
    made = stage.policy({"keepLast": 100, **retention}, name)
    made["spec"]["publish"] = publish
    return made


def public(stage: Stage, run: str) -> list[str]:
    """Returns the paths of a run's checkpoints that everybody may load."""
    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    return sorted(one["tinker_path"] for one in listed if one["public"])


def route(path: str) -> str:
    """Returns where a checkpoint is published."""
    run, _, rest = path.removeprefix("tinker://").partition("/")
    return f"training_runs/{run}/checkpoints/{rest}/publish"


def journal(stage: Stage, name: str = "keep") -> list[str]:
    """Returns what status says that the policy has public."""
    section = stage.status(name, POLICY).get("publishing", {})
    return [one["path"] for one in section.get("checkpoints", []) if one.get("public")]


def test_the_newest_is_public_and_moves_on_with_the_run(stage: Stage) -> None:
    """The new one is public before the old one is taken back; nobody else's is touched."""
    run, paths = stage.trained_run(2)
    assert stage.wire.post(route(paths[0])).is_success
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Latest"))
    wait_for(lambda: public(stage, run) == sorted(paths), "the newest to be public")
    stage.wait_condition("Published", "True", "Published", "keep", POLICY)
    assert journal(stage) == [paths[1]]

    new = stage.save(run, 3)
    wait_for(lambda: public(stage, run) == sorted([paths[0], new]), "the publication to move")
    wait_for(lambda: journal(stage) == [new], "the journal to move")
    stage.wait_polls(5)
    assert stage.calls("POST /api/v1/training_runs/{run_id}/checkpoints/{kind}/{name}/publish") <= 3

    stage.apply(policy(stage, "None"))
    wait_for(lambda: public(stage, run) == [paths[0]], "its own to be taken back, and no other")
    wait_for(lambda: "publishing" not in stage.status("keep", POLICY), "an empty journal")


def test_the_best_is_public_by_the_metric(stage: Stage) -> None:
    """NaN is never best; a better one takes the place."""
    run = stage.wire.run()
    losses = {"good": "0.5", "bad": "0.9", "broken": "NaN"}
    paths = {name: stage.wire.saved(run, name, user_metadata={"loss": it}) for name, it in losses.items()}
    best = {"count": 1, "metric": {"name": "loss"}}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Best", keepBest=best))
    wait_for(lambda: public(stage, run) == [paths["good"]], "the best to be public")

    better = stage.wire.saved(run, "better", user_metadata={"loss": "0.1"})
    wait_for(lambda: public(stage, run) == [better], "the better one to take its place")


def test_a_checkpoint_that_proved_bad_is_not_published(stage: Stage) -> None:
    """With spec.validation only what proved good is shown to everybody."""
    run, paths = stage.trained_run(2)
    stage.break_checkpoint(paths[1])
    asked = policy(stage, "Latest")
    asked["spec"]["validation"] = {"level": "Load", "intervalSeconds": 10}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), asked)
    wait_for(lambda: public(stage, run) == [paths[0]], "the newest that is good to be public")


def test_of_two_policies_the_older_publishes(stage: Stage) -> None:
    """The other one says so, and publishes nothing."""
    run, paths = stage.trained_run(2)
    best = {"count": 1, "metric": {"name": "step", "mode": "Min"}}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Latest", "older"))
    wait_for(lambda: public(stage, run) == [paths[1]], "the newest to be public")
    wait_for(lambda: journal(stage, "older") == [paths[1]], "the older one's journal")
    stage.apply(policy(stage, "Best", "younger", keepBest=best))
    told = stage.wait_condition("Published", "False", "PublishConflict", "younger", POLICY)

    assert "/older" in told["message"]
    stage.wait_polls(3)
    assert public(stage, run) == [paths[1]]


def test_a_kill_right_after_the_publication_still_knows_that_it_was_its_own(stage: Stage) -> None:
    """The answer never reaches the operator: it was announced in status, so it is taken back when it has to be."""
    run, paths = stage.trained_run(1)
    stage.wire.fault("drop", when="after", route="POST .*/publish")
    # The next listing shows what became of it; it is late, so that there is a next one only after the kill.
    stage.wire.fault("latency", delay=3.0, route="GET .*/checkpoints")
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Latest"))
    wait_for(lambda: stage.calls("/publish"), "the publication", 2 * DEADLINE_SECONDS)
    stage.operator.end(signal.SIGKILL)
    stage.sound()
    wait_for(lambda: public(stage, run) == paths, "what was asked for to be done")
    assert journal(stage) == []
    stage.operator.start()
    wait_for(lambda: journal(stage) == [paths[0]], "the publication in the journal")

    stage.apply(policy(stage, "None"))
    wait_for(lambda: public(stage, run) == [], "it to be taken back")
