"""Background validation on a real API server and a real wire: verdicts, each once, and no session left alive."""

import signal
from typing import Any

import pytest
from tests.e2e.stage import GROUP, Stage, wait_for

pytestmark = pytest.mark.cluster

POLICY = "checkpointpolicy"
READ, LOAD, OPEN = "POST /api/v1/weights_info", "POST /api/v1/load_weights", "POST /api/v1/create_session"


def policy(stage: Stage, level: str, retention: Any = None, **spec: Any) -> dict[str, Any]:
    """Returns a policy that proves at this level, as often as it may."""
    made = stage.policy(retention or {"keepLast": 10})
    made["spec"] |= {"validation": {"level": level, "intervalSeconds": 10}, **spec}
    return made


def section(stage: Stage) -> dict[str, Any]:
    """Returns what status tells of validation."""
    found: dict[str, Any] = stage.status("keep", POLICY).get("validation", {})
    return found


def verdicts(stage: Stage) -> dict[str, str]:
    """Returns the verdicts by path."""
    return {one["path"]: one["verdict"] for one in section(stage).get("verdicts", [])}


def events(stage: Stage, reason: str) -> list[dict[str, Any]]:
    """Returns the events of the policy of this reason."""
    listed = stage.kubectl.json("get", "events.events.k8s.io", "--namespace", stage.namespace)["items"]
    return [one for one in listed if one["reason"] == reason and one["regarding"]["name"] == "keep"]


def alive(stage: Stage) -> list[str]:
    """Returns the sessions that a proof has left open."""
    sessions = stage.wire.get("sessions", limit=100).json()["sessions"]
    return [one for one in sessions if is_proof(stage, one) and is_open(stage, one)]


def proofs(stage: Stage) -> list[dict[str, Any]]:
    """Returns the runs that a checkpoint was proven in."""
    return [run for run in stage.remote_runs() if f"{GROUP}/validates-for" in (run.get("user_metadata") or {})]


def is_proof(stage: Stage, session: str) -> bool:
    return any(run["training_run_id"].startswith(f"{session}:") for run in proofs(stage))


def is_open(stage: Stage, session: str) -> bool:
    return stage.wire.post("session_heartbeat", {"session_id": session}).status_code == 200


def test_metadata_is_read_once_for_each_checkpoint(stage: Stage) -> None:
    """Three checkpoints, three reads, however often the policy looks; a restart reads none again."""
    run, paths = stage.trained_run(3)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Metadata"))
    wait_for(lambda: verdicts(stage) == dict.fromkeys(paths, "Good"), "three verdicts")
    stage.wait_condition("Validated", "True", "Validated", "keep", POLICY)
    wait_for(lambda: "NotValidated" not in stage.status("keep", POLICY)["keptByReason"], "the floor to be proven")
    stage.check_rest((POLICY, "keep"), polls=12)
    stage.operator.end()
    stage.operator.start()
    stage.wait_polls(8)

    assert stage.calls(READ) == 3
    assert section(stage)["counts"] == {"Good": 3}


def test_a_broken_newest_checkpoint_is_told_at_once_and_does_not_count_for_the_floor(stage: Stage) -> None:
    """NotLoadable: a Warning, a condition, and the floor goes further back."""
    run, paths = stage.trained_run(3)
    stage.break_checkpoint(paths[2])
    asked = policy(stage, "Load", {"keepLast": 1, "minimumGood": 1, "action": "Delete"})
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), asked)
    told = stage.wait_condition("Validated", "False", "CheckpointInvalid", "keep", POLICY)
    assert paths[2] in told["message"]
    stage.wait_condition("Ready", "True", "Enforced", "keep", POLICY)

    wait_for(lambda: verdicts(stage).get(paths[1]) == "Good", "the next one to be proven")
    wait_for(lambda: stage.remote_checkpoints(run) == sorted(paths[1:]), "what the floor does not need to go")
    (warning,) = events(stage, "CheckpointInvalid")
    assert warning["type"] == "Warning"
    assert paths[2] in warning["note"]
    assert verdicts(stage)[paths[2]] == "NotLoadable"
    wait_for(lambda: not alive(stage), "every proof's session to be finished")
    assert stage.calls(LOAD) == 2
    stage.wait_ready()
    assert stage.status()["trainingRunId"] == run, "the run of a proof is nobody's"


def test_trouble_of_the_service_is_no_verdict(stage: Stage) -> None:
    """It shows as Unknown, nothing that may be needed goes, and what is mended is proven then."""
    run, paths = stage.trained_run(2)
    stage.wire.fault("http", status=500, route="POST /api/v1/weights_info")
    asked = policy(stage, "Metadata", {"keepLast": 1, "action": "Delete"})
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), asked)
    stage.wait_condition("Validated", "Unknown", "ServerFault", "keep", POLICY)
    stage.wait_condition("Ready", "True", "Enforced", "keep", POLICY)
    assert stage.remote_checkpoints(run) == sorted(paths), "what is not proven yet may be needed for the floor"
    assert verdicts(stage) == {}

    stage.sound()
    wait_for(lambda: stage.remote_checkpoints(run) == [paths[1]], "the floor to be proven, and the rest to go", 60)
    assert verdicts(stage)[paths[1]] == "Good"


def test_an_archive_is_looked_into_and_leaves_nothing_behind(stage: Stage) -> None:
    """The export is deleted with its session finished; the run that held it is a proof's, by its mark."""
    run, paths = stage.trained_run(1)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Archive"))
    wait_for(lambda: verdicts(stage) == {paths[0]: "Good"}, "the verdict")
    wait_for(lambda: not alive(stage), "the session to be finished")
    (proof,) = proofs(stage)
    assert f"{GROUP}/owner" not in proof["user_metadata"]
    left = stage.wire.get(f"training_runs/{proof['training_run_id']}/checkpoints").json()["checkpoints"]
    assert left == []
    assert [one["note"] for one in events(stage, "CheckpointProven")]


def test_a_kill_in_the_middle_of_a_proof_leaves_one_session_and_that_is_finished(stage: Stage) -> None:
    """The load is under way when the operator dies; the next one finishes the same session, and loads nothing anew."""
    run, paths = stage.trained_run(1)
    stage.wire.fault("latency", delay=4, route="POST /api/v1/retrieve_future")
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Load"))
    wait_for(lambda: stage.calls(LOAD), "the load")
    stage.operator.end(signal.SIGKILL)
    stage.sound()
    assert len(proofs(stage)) <= 1
    opened = stage.calls(OPEN)
    stage.operator.start()
    wait_for(lambda: verdicts(stage) == {paths[0]: "Good"}, "the verdict")

    wait_for(lambda: not alive(stage), "the session to be finished", 60)
    assert len(proofs(stage)) == 1
    assert stage.calls(OPEN) == opened, "no second session"


def test_a_proof_of_a_policy_that_is_deleted_ends_with_it(stage: Stage) -> None:
    """Nobody asks for the verdict any more, and nothing keeps the session alive."""
    run, _ = stage.trained_run(1)
    stage.wire.fault("latency", delay=3, route="POST /api/v1/retrieve_future")
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy(stage, "Load"))
    wait_for(lambda: section(stage).get("inFlight", {}).get("sessionId"), "the session in the journal")
    stage.kubectl("delete", POLICY, "keep", "--namespace", stage.namespace)
    stage.sound()

    wait_for(lambda: not alive(stage), "the session to be finished", 60)
