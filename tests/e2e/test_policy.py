"""CheckpointPolicy on a real API server: what goes, what stays, and that an incomplete view deletes nothing."""

from datetime import datetime, timedelta

import pytest
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster


def kept_because(stage: Stage) -> dict[str, list[str]]:
    """Returns why each checkpoint stays, by path."""
    kept = stage.status("keep", "checkpointpolicy").get("kept", [])
    return {one["path"]: one["because"] for one in kept}


def test_report_deletes_nothing_and_says_what_would_go(stage: Stage) -> None:
    """The default action shows the plan."""
    run, paths = stage.trained_run(5)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 2}))
    stage.wait_condition("Ready", "True", "Reported", "keep", "checkpointpolicy")
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("dueCount") == 3, "three due")

    assert [one["path"] for one in stage.status("keep", "checkpointpolicy")["due"]] == paths[2::-1]
    assert stage.remote_checkpoints(run) == sorted(paths)


def test_delete_keeps_the_last_and_tells_what_went(stage: Stage) -> None:
    """keepLast: 2 of five: three are deleted, once each."""
    run, paths = stage.trained_run(5)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 2, "action": "Delete"}))
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("deletedTotal") == 3, "three deleted")

    assert stage.remote_checkpoints(run) == sorted(paths[3:])
    assert {one["path"] for one in stage.status("keep", "checkpointpolicy")["deleted"]} == set(paths[:3])
    stage.wait_condition("Ready", "True", "Enforced", "keep", "checkpointpolicy")
    assert stage.calls("DELETE") == 3


def test_what_the_recovery_needed_stays(stage: Stage) -> None:
    """The checkpoint that the present run came from outlives keepLast, and status says why."""
    run, paths = stage.trained_run(3)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 1, "action": "Delete"}))
    stage.wait_ready()
    wait_for(lambda: stage.remote_checkpoints(run) == [paths[-1]], "the older ones to go")
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    stage.wait_ready()
    successor = stage.status()["trainingRunId"]
    saved = [stage.save(successor, step) for step in (4, 5, 6)]
    wait_for(lambda: stage.remote_checkpoints(successor) == [saved[-1]], "the older ones of the successor to go")

    assert stage.remote_checkpoints(run) == [paths[-1]]
    wait_for(lambda: "RecoverySource" in kept_because(stage).get(paths[-1], []), "the reason in status")


def test_nothing_is_deleted_while_a_listing_fails(stage: Stage) -> None:
    """Half a page, or an error, of a checkpoint listing: zero deletions and Synced=False."""
    run, paths = stage.trained_run(4)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.wire.fault("http", status=500, route="GET /api/v1/training_runs/.*/checkpoints")
    stage.apply(stage.policy({"keepLast": 1, "action": "Delete"}))
    stage.wait_condition("Synced", "False", "ServerFault", "keep", "checkpointpolicy")
    assert stage.remote_runs()
    assert stage.calls("DELETE /api/v1") == 0

    stage.sound()
    wait_for(lambda: stage.remote_checkpoints(run) == [paths[-1]], "the deletions once the view is whole")


def test_a_policy_that_selects_nothing_says_so(stage: Stage) -> None:
    """Ready, with the labels that were asked for."""
    stage.apply(stage.policy({"keepLast": 1}, labels={"team": "nobody"}))
    ready = stage.wait_condition("Ready", "True", "NoRuns", "keep", "checkpointpolicy")

    assert "team=nobody" in ready["message"]


def test_two_policies_delete_only_what_both_let_go(stage: Stage) -> None:
    """The other policy keeps more, so its word stands."""
    run, paths = stage.trained_run(5)
    stage.apply(
        stage.training_run({"run": {"trainingRunId": run}}),
        stage.policy({"keepLast": 3, "action": "Delete"}, "wide"),
        stage.policy({"keepLast": 1, "action": "Delete"}),
    )
    wait_for(lambda: stage.remote_checkpoints(run) == sorted(paths[2:]), "only the two oldest to go")
    stage.wait_polls()

    assert stage.remote_checkpoints(run) == sorted(paths[2:])
    wait_for(lambda: kept_because(stage).get(paths[2]) == ["OtherPolicy"], "the reason in status")


def test_rules_grace_cap_and_expiry_work_together(stage: Stage) -> None:
    """The best and the named stay, one of them for good; the rest waits out its grace, and two of an hour go."""
    run = stage.wire.run()
    losses = {"best": "0.1", "a": "0.5", "b": "0.6", "final-1": "NaN", "c": "0.7", "newest": "0.9"}
    paths = {name: stage.wire.saved(run, name, user_metadata={"loss": it}) for name, it in losses.items()}
    paths["final-2"] = stage.wire.saved(run, "final-2", user_metadata={"loss": "2"}, ttl_seconds=7200)
    paths["newest"] = stage.wire.saved(run, "last", user_metadata={"loss": "0.8"})
    rules = {
        "action": "Delete",
        "keepBest": {"count": 1, "metric": {"name": "loss"}},
        "keepNames": ["final*", "newest"],
        "gracePeriodSeconds": 5,
        "maxDeletionsPerHour": 2,
        "extendTTL": True,
    }
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy(rules))
    doomed = [paths[name] for name in ("a", "b", "c")]
    marked = wait_for(lambda: stage.status("keep", "checkpointpolicy").get("marked", []), "the marks")
    assert [one["path"] for one in marked] == doomed
    assert stage.calls("DELETE /api/v1") == 0

    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("deletedTotal") == 2, "two deletions")
    due_since = {one["path"]: datetime.fromisoformat(one["dueSince"]) for one in marked}
    for one in stage.status("keep", "checkpointpolicy")["deleted"]:
        waited = datetime.fromisoformat(one["deletedAt"]) - due_since[one["path"]]
        assert waited >= timedelta(seconds=5), f"{one['path']} did not wait out its grace period"
    stage.wait_polls(5)
    assert doomed[2] in stage.remote_checkpoints(run)
    status = stage.status("keep", "checkpointpolicy")
    assert sum(one["count"] for one in status["recentDeletions"]) == 2
    assert [one["path"] for one in status["nextDeletions"]] == doomed[2:]
    assert status["keptByReason"] == {"KeepBest": 1, "KeepNames": 3, "MinimumGood": 1, "Newest": 1, "HandedOver": 1}
    assert status.get("expiring", []) == []

    stage.operator.end()
    stage.wire.order("clock", {"advance_seconds": 3 * 3600})
    assert paths["final-2"] in stage.remote_checkpoints(run), "its expiry was taken away"
    stage.operator.start()
    stage.wait_polls(5)
    assert stage.status("keep", "checkpointpolicy")["deletedTotal"] == 2, "a restart begins no new hour"


def test_a_governed_sampler_checkpoint_goes_and_the_training_checkpoint_of_its_name_stays(stage: Stage) -> None:
    """Counts are for each type, and a deletion hits the one that was meant."""
    run, paths = stage.trained_run(2)
    play = [stage.wire.sampler(run, name) for name in ("step-1", "step-2", "step-3")]
    rules = {"keepLast": 1, "keepNames": ["step-1"], "action": "Delete", "checkpointTypes": ["Training", "Sampler"]}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy(rules))
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("deletedTotal") == 1, "one deletion")
    stage.wait_condition("Ready", "True", "Enforced", "keep", "checkpointpolicy")

    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    assert {one["tinker_path"] for one in listed} == {*paths, play[0], play[2]}
