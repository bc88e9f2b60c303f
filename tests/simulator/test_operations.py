"""What a client of operations has to live with: every way of being told "not yet", "no longer" and "no"."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.simulator.bare import BASE_MODEL, Served, Wire, batch

from tinker_operator.tinker.proto import tinker_public_pb2 as wire

pytestmark = pytest.mark.http


@pytest.fixture(autouse=True)
def as_before(api: Wire) -> Iterator[None]:
    """No fault and no chosen behaviour is left to the next test, whatever this one did."""
    yield
    api.http.delete("/_simulator/faults")


def behave(api: Wire, **chosen: Any) -> None:
    answer = api.http.put("/_simulator/behaviour", json=chosen)
    assert answer.status_code == 200, answer.text


def poll(api: Wire, submitted: httpx.Response, **fields: Any) -> httpx.Response:
    return api.post("retrieve_future", {"request_id": submitted.json()["request_id"], **fields})


def under_way(api: Wire) -> httpx.Response:
    """An operation that does not end while the test looks at it."""
    run = api.run()
    api.fault("slow", route=f"^forward_backward {run}", delay=600, count=1)
    return api.gradient(run)


# ---- not yet


def test_a_poll_of_what_is_under_way_is_held_and_then_answered_408_with_the_state_of_the_queue(api: Wire) -> None:
    """And why, where that is known."""
    submitted = under_way(api)
    behave(api, hold_seconds=0.3, queue_state="paused_capacity", queue_state_reason="all are taken")
    began = time.monotonic()
    answer = poll(api, submitted)

    assert time.monotonic() - began >= 0.3
    assert answer.status_code == 408
    assert answer.json()["queue_state"] == "paused_capacity"
    assert answer.json()["queue_state_reason"] == "all are taken"


def test_a_poll_can_be_told_to_try_again(api: Wire) -> None:
    """The older way, which the SDK logs a warning for."""
    submitted = under_way(api)
    behave(api, hold_seconds=0, pending="try-again")

    assert (poll(api, submitted).status_code, poll(api, submitted).json()) == (
        200,
        {"type": "try_again", "request_id": submitted.json()["request_id"], "queue_state": "active"},
    )


def test_a_large_result_is_announced_by_its_size_where_the_poll_allows_it(api: Wire) -> None:
    """Once; the poll that does not allow it gets the result of that size."""
    submitted = api.gradient(api.run())
    whole = api.ended(submitted)
    behave(api, inline_bytes=len(whole.content) - 1)
    announced = poll(api, submitted, allow_metadata_only=True)

    assert announced.json() == {"status": "complete_metadata", "response_payload_size": len(whole.content)}
    assert poll(api, submitted, allow_metadata_only=False).content == whole.content
    behave(api, inline_bytes=len(whole.content))
    assert poll(api, submitted, allow_metadata_only=True).content == whole.content


def test_what_is_chosen_ends_with_clear(api: Wire) -> None:
    """Flags too."""
    behave(api, client_config={"custom_loss_server_side": True}, dynamic_config={"sample_cancel_enabled": True})
    chosen = api.post("client/config").json(), api.post("client/dynamic_config").json()
    api.http.delete("/_simulator/faults")
    cleared = api.post("client/config").json(), api.post("client/dynamic_config").json()

    assert (chosen[0]["custom_loss_server_side"], chosen[1]["sample_cancel_enabled"]) == (True, True)
    assert (cleared[0]["custom_loss_server_side"], cleared[1]["sample_cancel_enabled"]) == (False, False)


def test_a_behaviour_that_nobody_knows_is_refused(api: Wire) -> None:
    """It must not pass for one that makes no difference."""
    assert api.http.put("/_simulator/behaviour", json={"hold": 1}).status_code == 422


# ---- no longer


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True)])
def test_a_lost_result_is_gone_for_good_whether_its_operation_was_done_or_not(api: Wire, when: str, done: bool) -> None:
    """410, however often it is asked for, and for the same request submitted again."""
    session = api.session()
    api.fault("lose-result", route="^create_model ", when=when, count=1)
    submitted = api.create(session)

    assert [api.ended(submitted).status_code for _ in range(2)] == [410, 410]
    assert api.ended(api.create(session)).status_code == 410
    assert (api.get(f"training_runs/{session}:train:0").status_code == 200) is done
    assert api.ended(api.create(session, 1)).json()["model_id"] == f"{session}:train:1"


def test_a_lost_result_stays_lost_after_a_kill(own: Served, connect: Any) -> None:
    """It is stored as lost."""
    api = connect(own)
    api.fault("lose-result", count=1)
    submitted = api.create(api.session())
    assert api.ended(submitted).status_code == 410
    own.close()
    own.start()

    assert poll(api, submitted).status_code == 410


# ---- no


@pytest.mark.parametrize("category", ["user", "server", "unknown"])
def test_an_operation_fails_on_demand_and_says_whose_fault_it_is(api: Wire, category: str) -> None:
    """The next one goes on from the state before."""
    run, other = api.run(), api.run()
    api.fault("fail", route=f"^optim_step {run}", category=category, message="Out of luck.", count=1)
    failed = api.ended(api.optimize(run)).json()

    assert failed == {"error": "Out of luck.", "category": category}
    assert api.train(run, steps=2) == api.train(other, steps=2)


def test_a_slow_operation_holds_up_what_comes_after_it_and_nothing_else(api: Wire) -> None:
    """Order is kept; another run's operation does not wait."""
    run, other = api.run(), api.run()
    api.fault("slow", route=f"^forward_backward {run}", delay=1.0, count=1)
    began = time.monotonic()
    slow, after = api.gradient(run), api.optimize(run)

    assert api.ended(api.gradient(other)).status_code == 200
    assert time.monotonic() - began < 1.0
    assert api.ended(after).json()["metrics"]["gradient_norm"] > 0
    assert time.monotonic() - began >= 1.0
    assert api.ended(slow).status_code == 200


def test_a_run_can_be_ordered_not_to_survive_a_step(api: Wire) -> None:
    """The steps before are taken; that one fails by the service's fault, and the run is corrupted from then on."""
    run = api.run()
    api.fault("corrupt", route=run, step=3)
    api.train(run, steps=2)
    path = api.saved(run, "step-2")
    assert api.get(f"training_runs/{run}").json()["corrupted"] is False
    submitted = api.gradient(run), api.optimize(run)
    failed = [api.ended(answer) for answer in submitted][1].json()

    assert (failed["category"], "corrupted" in failed["error"]) == ("server", True)
    assert api.get(f"training_runs/{run}").json()["corrupted"] is True
    restored = api.ended(api.load(path)).json()["model_id"]
    assert len(api.train(restored, steps=2)) == 2


def test_operations_on_a_corrupted_run_are_refused_or_fail(api: Wire) -> None:
    """Nobody knows which the service does; a client has to understand both."""
    run = api.run()
    api.order("corrupt", {"run": run})
    refused = api.gradient(run)
    behave(api, corrupted="fail")
    failed = api.ended(api.gradient(run)).json()

    assert refused.status_code == 400
    assert "corrupted" in refused.json()["detail"]
    assert (failed["category"], "corrupted" in failed["error"]) == ("server", True)


REFUSED_BATCHES: dict[str, tuple[dict[str, Any], str]] = {
    "a loss that runs on the server only where that is offered": ({"loss_fn": "custom"}, "not supported"),
    "a loss that needs what sampling recorded": ({"loss_fn": "stable_reinforce"}, "not supported"),
    "a loss that nobody knows": ({"loss_fn": "cross-entropy"}, "Use one of: cross_entropy"),
    "a number that does not tune the loss": ({"loss_fn_config": {"beta": 0.1}}, "is not tuned by 'beta'"),
    "a text that tunes the loss": (
        {"loss_fn_config_v2": {"clip_low_threshold": wire.LossConfigValue(text="low")}},
        "is not a number",
    ),
    "the number of the request that made the run": ({"seq_id": 0}, "Count from 1"),
}


@pytest.mark.parametrize("why", REFUSED_BATCHES)
def test_a_batch_is_refused_for(api: Wire, why: str) -> None:
    """400 on submit, with the remedy."""
    fields, told = REFUSED_BATCHES[why]
    request = batch(api.run(), 1, range(12))
    request.MergeFrom(wire.ForwardBackwardRequest(**fields))
    request.seq_id = fields.get("seq_id", 1)
    answer = api.http.post("/api/v1/forward_backward", content=request.SerializeToString())

    assert answer.status_code == 400
    assert told in answer.json()["detail"]


def test_an_operation_never_takes_the_number_of_another(api: Wire) -> None:
    """The same number is the same operation or a mistake, never somebody else's result."""
    run = api.run()
    assert api.ended(api.gradient(run, 1)).status_code == 200

    assert api.optimize(run, 1).status_code == 400
    assert api.ended(api.optimize(run, 2)).status_code == 200


def test_a_step_of_another_optimizer_is_refused(api: Wire) -> None:
    """The model's was chosen when it was made."""
    run = api.run()
    body = {"model_id": run, "seq_id": 1, "optimizer_params": {"type": "dimuon", "learning_rate": 0.1}}
    answer = api.post("optim_step", body)

    assert (answer.status_code, "adam_params" in answer.json()["detail"]) == (400, True)


def test_a_step_that_would_break_the_weights_is_not_taken(api: Wire) -> None:
    """It fails by the user's fault, and the run goes on from where it was."""
    run, other = api.run(), api.run()
    gradients = api.gradient(run), api.gradient(other)
    assert all(api.ended(answer).status_code == 200 for answer in gradients)
    body = {"model_id": run, "seq_id": api.next_seq(run), "adam_params": {"learning_rate": 1e39}}
    failed = api.ended(api.post("optim_step", body)).json()

    assert (failed["category"], "not be finite" in failed["error"]) == ("user", True)
    assert api.ended(api.optimize(run)).content == api.ended(api.optimize(other)).content


# ---- loading and saving


MISMATCHES: dict[str, dict[str, Any]] = {
    "another rank": {"lora_config": {"rank": 8}},
    "other trained parts": {"lora_config": {"rank": 4, "train_mlp": False}},
    "another base model": {"base_model": "Qwen/Qwen3-32B"},
}


@pytest.mark.parametrize("why", MISMATCHES)
def test_a_checkpoint_does_not_fit_a_run_of(api: Wire, why: str) -> None:
    """The older way of loading is refused with the published words."""
    path, target = api.saved(api.run(), "a"), api.run(**MISMATCHES[why])
    answer = api.post("load_weights", {"model_id": target, "seq_id": 1, "path": path, "optimizer": True})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Checkpoint model configuration is incompatible with target model: ")


REFUSED_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "one that is not there": {"optimizer": False, "optimizer_config": {"type": "dimuon", "version": 1}},
    "any, when its state is restored": {"optimizer": True, "optimizer_config": {"type": "adamw"}},
}


@pytest.mark.parametrize("why", REFUSED_OPTIMIZERS)
def test_a_new_run_from_a_checkpoint_is_refused_an_optimizer(api: Wire, why: str) -> None:
    """400; the default and adamw for weights alone are taken."""
    path = api.saved(api.run(), "a")

    assert api.load(path, **REFUSED_OPTIMIZERS[why]).status_code == 400
    assert api.load(path, optimizer=False, optimizer_config={"type": "adamw"}).status_code == 200


def test_a_checkpoint_of_somebody_else_loads_with_their_token(api: Wire, shared: Served, connect: Any) -> None:
    """The token is theirs to give; without it there is no such checkpoint. It is not stored with the request."""
    theirs = connect(shared)
    path = theirs.saved(theirs.run(), "a")

    assert api.load(path).status_code == 404
    assert api.load(path, weights_access_token="tml-nobody").status_code == 403
    loaded = api.load(path, weights_access_token=theirs.key)
    assert api.ended(loaded).json()["path"] == path
    stored = b"".join(file.read_bytes() for file in shared.state_dir.glob("simulator.sqlite3*"))
    assert theirs.key.encode() + b'"' not in stored


def test_a_save_expires_when_it_was_told_to(api: Wire) -> None:
    """Counted from the save; every kind has it."""
    run = api.run()
    api.saved(run, "a", ttl_seconds=3600)
    sampler = {"model_id": run, "seq_id": api.next_seq(run), "path": "b", "ttl_seconds": 7200}
    external = {"model_id": run, "seq_id": api.next_seq(run), "path": "c", "ttl_seconds": 10_800}
    api.ended(api.post("save_weights_for_sampler", sampler))
    api.ended(api.post("save_weights_external", external))
    found = api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]

    lives = {one["checkpoint_type"]: _seconds(one["time"], one["expires_at"]) for one in found}
    assert lives == {"training": 3600, "sampler": 7200, "external": 10_800}


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def test_overwriting_replaces_the_whole_metadata(api: Wire) -> None:
    """What is not said again is gone."""
    run = api.run()
    api.saved(run, "best", user_metadata={"step": "1", "loss": "2"})
    api.saved(run, "best", overwrite=True, user_metadata={"step": "2"})

    assert api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"][0]["user_metadata"] == {"step": "2"}


def test_metadata_of_a_checkpoint_is_text(api: Wire) -> None:
    """422, naming the field."""
    answer = api.save(api.run(), "a", user_metadata={"step": 1})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "user_metadata", "step"]


def export(api: Wire, run: str, seq: int, **fields: Any) -> httpx.Response:
    return api.post("save_weights_external", {"model_id": run, "seq_id": seq, "path": "export", **fields})


def test_an_export_is_saved_once_and_its_name_is_taken_then(api: Wire, shared: Served) -> None:
    """The same number is the same export; the same name under another number is 409; the files are the adapter's."""
    run = api.run()
    api.train(run)
    first, again = export(api, run, 3), export(api, run, 3)
    taken = export(api, run, 4)
    result = api.ended(first).json()

    assert again.json() == first.json()
    assert (taken.status_code, taken.json()["detail"]) == (409, "Checkpoint with the same name already exists")
    assert result["path"] == f"tinker://{run}/external_weights/export"
    folder = shared.state_dir / "checkpoints" / run.replace(":", "_") / "external_weights" / "export@3"
    assert sum(file.stat().st_size for file in folder.iterdir()) == result["size_bytes"]
    shapes = {tensor.shape for tensor in load_file(folder / "adapter_model.safetensors").values()}
    assert all(4 in shape for shape in shapes)
    listed = api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    assert [(one["checkpoint_id"], one["size_bytes"]) for one in listed] == [
        ("external_weights/export", result["size_bytes"])
    ]


def test_an_export_is_not_trained_from(api: Wire) -> None:
    """Nor is a checkpoint for sampling."""
    run = api.run()
    path = api.ended(export(api, run, 1)).json()["path"]
    answer = api.load(path)

    assert (answer.status_code, answer.json()["detail"][:15]) == (400, "Path is invalid")


REFUSED_EXPORTS: dict[str, dict[str, Any]] = {
    "a name with a slash": {"path": "a/b"},
    "a lifetime under an hour": {"ttl_seconds": 60},
    "a recipient that is none": {"age_encryption_recipients": ["somebody"]},
}


@pytest.mark.parametrize("why", REFUSED_EXPORTS)
def test_an_export_is_refused_for(api: Wire, why: str) -> None:
    """400 on submit."""
    assert export(api, api.run(), 1, **REFUSED_EXPORTS[why]).status_code == 400


def test_a_retried_snapshot_is_answered_by_its_number_though_it_names_another_session(api: Wire) -> None:
    """The SDK counts sampling sessions on with every try; the save is the same one, and opened one session."""
    run = api.run()
    session = run.split(":")[0]
    body = {"model_id": run, "seq_id": 1, "kind": "snapshot"}
    tries = [api.post("save_weights_for_sampler", {**body, "sampling_session_seq_id": number}) for number in (0, 1)]
    results = [api.ended(answer).json() for answer in tries]

    assert tries[0].json() == tries[1].json()
    assert [result["sampling_session_id"] for result in results] == [f"{session}:sample:0"] * 2
    assert api.get(f"sessions/{session}").json()["sampler_ids"] == [f"{session}:sample:0"]
    assert api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"] == []


def test_a_snapshot_never_takes_the_number_of_another_session(api: Wire) -> None:
    """400 on submit."""
    run = api.run()
    session = run.split(":")[0]
    opened = {"session_id": session, "sampling_session_seq_id": 0, "base_model": BASE_MODEL}
    assert api.post("create_sampling_session", opened).status_code == 200
    body = {"model_id": run, "seq_id": 1, "sampling_session_seq_id": 0}

    assert api.post("save_weights_for_sampler", body).status_code == 400


def test_pictures_are_as_long_as_they_say_and_mean_what_their_bytes_say(api: Wire) -> None:
    """Three tokens each; the same bytes train the same, other bytes differently."""
    losses = [_picture_loss(api, data) for data in (b"a cat", b"a cat", b"a dog")]

    assert losses[0] == losses[1] != losses[2]


def _picture_loss(api: Wire, data: bytes, expected_tokens: int = 3) -> float:
    run = api.run()
    request = batch(run, 1, range(4))
    image = request.data[0].model_input.add().image
    image.data, image.format, image.expected_tokens = data, "png", expected_tokens
    targets = request.data[0].loss_fn_inputs["target_tokens"]
    targets.dense, targets.shape[:] = bytes(6 * 8), [6]
    answer = api.ended(api.http.post("/api/v1/forward_backward", content=request.SerializeToString()))
    assert answer.headers["content-type"] == "application/x-protobuf", answer.text
    return wire.ForwardBackwardOutput.FromString(answer.content).metrics["loss:sum"]


def test_targets_in_compressed_rows_are_what_they_are_spread_out(api: Wire) -> None:
    """Two alternatives for each token, of which some weigh nothing."""
    dense, sparse = (_alternatives(api, compressed=compressed) for compressed in (False, True))

    assert dense == sparse


def _alternatives(api: Wire, *, compressed: bool) -> float:
    run = api.run()
    request = batch(run, 1, range(4))
    matrices = {"target_tokens": np.array([[5, 0], [0, 6], [7, 8]], "<i8"), "weights": np.eye(3, 2, dtype="<f4")}
    for name, matrix in matrices.items():
        tensor = wire.Tensor(
            shape=matrix.shape, dtype=wire.DTYPE_INT64 if matrix.dtype == "<i8" else wire.DTYPE_FLOAT32
        )
        if compressed:
            rows, columns = matrix.nonzero()
            tensor.sparse_csr.values = matrix[rows, columns].tobytes()
            starts = np.concatenate([[0], np.cumsum((matrix != 0).sum(axis=1))])
            tensor.sparse_csr.crow_indices = starts.astype("<i8").tobytes()
            tensor.sparse_csr.col_indices = columns.astype("<i8").tobytes()
        else:
            tensor.dense = matrix.tobytes()
        request.data[0].loss_fn_inputs[name].CopyFrom(tensor)
    answer = api.ended(api.http.post("/api/v1/forward_backward", content=request.SerializeToString()))
    return wire.ForwardBackwardOutput.FromString(answer.content).metrics["loss:sum"]


def test_losses_of_ones_own_arrive_as_weights_of_any_sign(api: Wire) -> None:
    """The SDK sends the negative slope of such a loss as the weights of an ordinary pass."""
    losses = []
    for factor in (1.0, -1.0):
        request = batch(api.run(), 1, range(4))
        weights = wire.Tensor(dtype=wire.DTYPE_FLOAT32, shape=[3])
        weights.dense = _floats([factor, 2 * factor, 0.0])
        request.data[0].loss_fn_inputs["weights"].CopyFrom(weights)
        answer = api.ended(api.http.post("/api/v1/forward_backward", content=request.SerializeToString()))
        losses.append(wire.ForwardBackwardOutput.FromString(answer.content).metrics["loss:sum"])

    assert losses[0] == -losses[1] > 0


def _floats(values: list[float]) -> bytes:
    return np.asarray(values, "<f4").tobytes()
