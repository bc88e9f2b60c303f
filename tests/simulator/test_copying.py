"""Copies of checkpoints: once per request, shared content, a run that cannot be trained."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.http

Connect = Callable[..., Wire]


def copy(api: Wire, path: str, *, key: str | None = None, token: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"X-Idempotency-Key": key} if key else {}
    if token is not None:
        headers["X-Tinker-Weights-Access-Token"] = token
    destination = {} if "session_id" in fields else {"destination_project_id": "there"}
    return api.post("copy_weights", {"source_path": path, **destination, **fields}, **headers)


def copied(api: Wire, path: str, **fields: Any) -> str:
    answer = copy(api, path, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["tinker_path"])


def run_of(path: str) -> str:
    return path.split("/")[2]


@pytest.mark.parametrize("kind", ["weights", "sampler_weights"])
def test_a_copy_is_a_checkpoint_of_the_same_kind_in_a_new_run(api: Wire, kind: str) -> None:
    """In the project, private, without an end; the source is as it was."""
    run = api.run(rank=6, user_metadata={"a": "b"})
    api.train(run)
    if kind == "weights":
        source = api.saved(run, "one", user_metadata={"step": "1"}, ttl_seconds=7200)
    else:
        body = {"model_id": run, "seq_id": api.next_seq(run), "path": "one"}
        source = str(api.ended(api.post("save_weights_for_sampler", body)).json()["path"])
    assert api.post(f"training_runs/{run}/checkpoints/{kind}/one/publish").status_code == 204
    before = api.get(f"training_runs/{run}").json()
    target = copied(api, source)
    found = api.get(f"training_runs/{run_of(target)}").json()
    (checkpoint,) = api.get(f"training_runs/{run_of(target)}/checkpoints").json()["checkpoints"]

    assert target == f"tinker://{run_of(target)}/{kind}/one"
    assert (found["lora_rank"], found["corrupted"]) == (6, False)
    assert (checkpoint["tinker_path"], checkpoint["public"], checkpoint["expires_at"]) == (target, False, None)
    assert checkpoint["size_bytes"] == (before["last_checkpoint"] or before["last_sampler_checkpoint"])["size_bytes"]
    assert api.get(f"training_runs/{run}").json() == before
    listed = api.get("training_runs", project_id="there").json()["training_runs"]
    assert [each["training_run_id"] for each in listed] == [run_of(target)]


def test_a_copy_can_be_loaded_though_its_source_is_gone(api: Wire) -> None:
    """They share their content until the last of them is deleted; training goes on from it as from the source."""
    run = api.run()
    api.train(run, steps=3)
    source = api.saved(run, "one")
    target = copied(api, source)
    assert api.delete(f"training_runs/{run}/checkpoints/weights/one").status_code == 204
    resumed = str(api.ended(api.load(target)).json()["model_id"])

    assert api.train(resumed, steps=2) == api.train(run, steps=2)
    assert api.delete(f"training_runs/{run_of(target)}/checkpoints/weights/one").status_code == 204
    assert api.load(target).status_code == 404


def test_a_run_of_a_copy_cannot_be_trained(api: Wire) -> None:
    """400 tells what to do, in a live session as well; what is known of it is told."""
    source = api.saved(api.run(), "one")
    session = api.session()
    run = run_of(copied(api, source, session_id=session, model_seq_id=0))
    answers = [api.gradient(run), api.optimize(run), api.save(run, "x")]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert "copied weights" in answers[0].json()["detail"]
    assert api.post("get_info", {"model_id": run}).json()["lora_rank"] == 4


def test_a_request_that_is_sent_again_copies_once(api: Wire) -> None:
    """By its idempotency key into a project, by its model number into a session."""
    source = api.saved(api.run(), "one")
    by_key = {copied(api, source, key="k1") for _ in range(3)}
    session = api.session()
    by_number = {copied(api, source, session_id=session, model_seq_id=4) for _ in range(3)}

    assert (len(by_key), by_number) == (1, {f"tinker://{session}:train:4/weights/one"})
    assert copied(api, source, key="k2") not in by_key
    assert api.get("training_runs").json()["cursor"]["total_count"] == 4


def test_a_copy_into_a_session_is_of_its_project_and_number(api: Wire) -> None:
    """A number that a run has, and a session that is over, are refused."""
    source = api.saved(api.run(), "one")
    session = str(api.post("create_session", {"project_id": "mine"}).json()["session_id"])
    api.ended(api.create(session, 0))
    copied(api, source, session_id=session, model_seq_id=1)

    assert api.get("training_runs", project_id="mine").json()["cursor"]["total_count"] == 2
    assert copy(api, source, session_id=session, model_seq_id=0).status_code == 400
    api.post(f"sessions/{session}/finish", {"reason": {"type": "success"}})
    assert copy(api, source, session_id=session, model_seq_id=2).status_code == 410
    assert copy(api, source, session_id="nobody", model_seq_id=2).status_code == 404


def test_a_copy_lives_as_long_as_was_asked(api: Wire) -> None:
    """Not as long as its source."""
    source = api.saved(api.run(), "one", ttl_seconds=3600)
    target = copied(api, source, ttl_seconds=7200)
    (found,) = api.get(f"training_runs/{run_of(target)}/checkpoints").json()["checkpoints"]
    lifetime = datetime.fromisoformat(found["expires_at"]) - datetime.fromisoformat(found["time"])

    assert lifetime == timedelta(hours=2)
    assert copy(api, source, ttl_seconds=3599).status_code == 400


def test_strangers_copy_what_is_public_or_what_they_have_a_token_for(
    api: Wire, shared: Served, connect: Connect
) -> None:
    """The token is a credential of the owner; the copy is the stranger's."""
    run = api.run()
    source = api.saved(run, "one")
    stranger = connect(shared)
    refused = [copy(stranger, source), copy(stranger, source, token="tml-nobody")]
    target = copied(stranger, source, token=api.key)

    assert [answer.status_code for answer in refused] == [404, 403]
    assert stranger.get(f"training_runs/{run_of(target)}").json()["model_owner"] == f"{stranger.key}-owner"
    assert api.get(f"training_runs/{run_of(target)}").status_code == 404
    api.post(f"training_runs/{run}/checkpoints/weights/one/publish")
    assert copy(stranger, source).status_code == 200


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "no destination": ({"destination_project_id": None}, 400),
    "two destinations": ({"destination_project_id": "a", "session_id": "b", "model_seq_id": 0}, 400),
    "a session without a number": ({"destination_project_id": None, "session_id": "b"}, 400),
    "a number without a session": ({"destination_project_id": None, "model_seq_id": 0}, 400),
    "a path that is none": ({"source_path": "somewhere"}, 400),
    "a checkpoint that is not there": ({"source_path": "tinker://nobody/weights/a"}, 404),
    "no source": ({"source_path": None}, 422),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_copy_is_refused_for(api: Wire, why: str) -> None:
    """And nothing is made."""
    fields, status = REFUSED[why]
    body = {"source_path": "tinker://nobody/weights/a", "destination_project_id": "there", **fields}

    assert (
        api.post("copy_weights", {name: value for name, value in body.items() if value is not None}).status_code
        == status
    )
    assert api.get("training_runs").json()["cursor"]["total_count"] == 0


def test_an_export_is_not_copied(api: Wire) -> None:
    """It is no checkpoint of a run to be."""
    run = api.run()
    api.ended(api.post("save_weights_external", {"model_id": run, "seq_id": api.next_seq(run), "path": "out"}))

    assert copy(api, f"tinker://{run}/external_weights/out").status_code == 400
