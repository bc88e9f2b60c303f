"""Training over the bare wire: ids, order, repetition, checkpoints, and what is refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.simulator.bare import Served, Wire, batch, loss_of

from tinker_operator.tinker.proto import tinker_public_pb2 as wire

pytestmark = pytest.mark.http


def test_loss_falls_with_steps(api: Wire) -> None:
    """The model learns what it is shown."""
    losses = api.train(api.run(), steps=12)

    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 1.5


def test_a_run_is_named_after_its_session_and_its_number(api: Wire) -> None:
    """Clients compute the id of a run made from a checkpoint, so its form is a promise."""
    session = api.session()
    created = api.ended(api.create(session, 3)).json()
    loaded = api.ended(api.load(api.saved(created["model_id"], "a"), session, 4)).json()

    assert created == {"model_id": f"{session}:train:3", "type": "create_model"}
    assert loaded["model_id"] == f"{session}:train:4"
    assert api.get(f"sessions/{session}").json()["training_run_ids"] == [f"{session}:train:3", f"{session}:train:4"]


def test_equal_seeds_give_equal_trajectories(api: Wire) -> None:
    """Nothing is random but by the seed."""
    assert api.train(api.run(), steps=4) == api.train(api.run(), steps=4)


def test_a_restore_with_the_optimizer_continues_the_trajectory(api: Wire) -> None:
    """The next ten losses are those of the run that was never interrupted."""
    run = api.run()
    api.train(run, steps=5)
    path = api.saved(run, "step-5")
    restored = api.ended(api.load(path)).json()["model_id"]

    assert api.train(restored, steps=10) == api.train(run, steps=10)


def test_a_restore_without_the_optimizer_goes_another_way(api: Wire) -> None:
    """The weights are the same, the steps are not: AdamW's memory is part of the state."""
    run = api.run()
    api.train(run, steps=5)
    path = api.saved(run, "step-5")
    restored = api.ended(api.load(path, optimizer=False)).json()["model_id"]
    with_memory, without = api.train(run, steps=10), api.train(restored, steps=10)

    assert without[0] == with_memory[0]
    assert all(one != other for one, other in zip(without[1:], with_memory[1:], strict=True))


def test_a_restored_run_has_the_rank_and_the_parts_of_its_checkpoint(api: Wire) -> None:
    """The request names neither; `get_info` and `weights_info` of the successor do."""
    lora = {"rank": 6, "seed": 1, "train_unembed": True, "train_mlp": False, "train_attn": True}
    path = api.saved(api.run(lora_config=lora), "a")
    restored = api.ended(api.load(path)).json()["model_id"]

    assert api.post("get_info", {"model_id": restored}).json()["lora_rank"] == 6
    info = api.post("weights_info", {"tinker_path": api.saved(restored, "b")}).json()
    assert (info["lora_rank"], info["train_mlp"], info["train_attn"]) == (6, False, True)


def test_user_metadata_of_a_run_is_not_inherited(api: Wire) -> None:
    """A successor carries what was said when it was made, and only that."""
    run = api.run(user_metadata={"experiment": "math"})
    path = api.saved(run, "a")
    silent = api.ended(api.load(path)).json()["model_id"]
    told = api.ended(api.load(path, user_metadata={"experiment": "again"})).json()["model_id"]

    metadata = [api.get(f"training_runs/{found}").json()["user_metadata"] for found in (run, silent, told)]
    assert metadata == [{"experiment": "math"}, None, {"experiment": "again"}]


def test_a_forward_pass_alone_changes_nothing(api: Wire) -> None:
    """`forward_only` scores the batch and leaves no gradient."""
    run, other = api.run(), api.run()
    request = batch(run, api.next_seq(run), range(12))
    request.forward_only = True
    scored = api.ended(api.http.post("/api/v1/forward_backward", content=request.SerializeToString()))

    assert [loss_of(scored), *api.train(run, steps=2)][1:] == api.train(other, steps=2)
    output = wire.ForwardBackwardOutput.FromString(scored.content)
    assert output.loss_fn_outputs[0].num_datums == 1
    assert len(output.loss_fn_outputs[0].fields["logprobs"].data) == 11 * 4


def test_the_old_way_of_loading_works_on_a_fresh_run(api: Wire) -> None:
    """create_model, then load_weights with the model's id, then training as if never interrupted."""
    run = api.run()
    api.train(run, steps=3)
    path = api.saved(run, "a")
    target = api.run()
    body = {"model_id": target, "seq_id": api.next_seq(target), "path": path, "optimizer": True}

    assert api.ended(api.post("load_weights", body)).json()["path"] == path
    assert api.train(target, steps=3) == api.train(run, steps=3)


REPEATED: dict[str, Callable[[Wire, str], httpx.Response]] = {
    "forward_backward": lambda api, run: api.gradient(run, 1),
    "optim_step": lambda api, run: api.optimize(run, 1),
    "save_weights": lambda api, run: api.post("save_weights", {"model_id": run, "seq_id": 1, "path": "same"}),
    "save_weights_for_sampler": lambda api, run: api.post(
        "save_weights_for_sampler", {"model_id": run, "seq_id": 1, "path": "same"}
    ),
}


@pytest.mark.parametrize("operation", REPEATED)
def test_the_same_number_twice_is_the_same_operation(api: Wire, operation: str) -> None:
    """A client that lost the answer asks again with the same number: it is done once, with one result."""
    run = api.run()
    first, second = REPEATED[operation](api, run), REPEATED[operation](api, run)

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    results = [api.ended(answer) for answer in (first, second, first)]
    assert {result.content for result in results} == {results[0].content}
    assert "error" not in results[0].text


def test_a_run_asked_for_twice_is_made_once(api: Wire) -> None:
    """The session and the number decide, not the body."""
    session = api.session()
    path = api.saved(api.ended(api.create(session)).json()["model_id"], "a")
    answers = [api.load(path, session, 1), api.load(path, session, 1, optimizer=False)]

    assert answers[0].json() == answers[1].json()
    assert api.ended(answers[0]).content == api.ended(answers[1]).content
    assert api.get("training_runs").json()["cursor"]["total_count"] == 2


def test_a_session_asked_for_twice_with_one_key_is_one(api: Wire) -> None:
    """Nothing but the idempotency key tells a retry from a second wish."""
    asked = [api.post("create_session", {"tags": []}, **{"X-Idempotency-Key": key}) for key in ("a", "a", "b")]
    ids = [answer.json()["session_id"] for answer in asked]

    assert ids[0] == ids[1] != ids[2]


def test_operations_run_in_the_order_of_their_numbers(api: Wire) -> None:
    """The first chunk of a batch can come last; what was numbered after it waits."""
    run, other = api.run(), api.run()
    late = [api.optimize(run, 3), api.gradient(run, 2), api.gradient(run, 1)]
    assert all(api.ended(answer).status_code == 200 for answer in late)
    in_order = [api.gradient(other, 1), api.gradient(other, 2), api.optimize(other, 3)]
    assert all(api.ended(answer).status_code == 200 for answer in in_order)

    api.seq.update({run: 3, other: 3})
    assert api.train(run, steps=2) == api.train(other, steps=2)


def test_a_number_that_never_comes_holds_nothing_up_for_long(api: Wire) -> None:
    """Numbers that a client lost are passed over."""
    run = api.run()

    assert api.ended(api.gradient(run, 5)).status_code == 200


def test_the_number_of_a_refused_request_is_used_up(api: Wire) -> None:
    """The next operation comes with the next number and does not wait for the refused one."""
    run = api.run()

    assert api.save(run, "not/a/name").status_code == 400
    assert len(api.train(run)) == 1


def test_a_taken_name_is_refused_at_once_unless_overwritten(api: Wire) -> None:
    """409 comes on submit; with `overwrite` content and metadata are replaced as a whole."""
    run = api.run()
    path = api.saved(run, "best", user_metadata={"step": "1"})
    refused = api.save(run, "best")

    assert (refused.status_code, refused.json()["detail"]) == (409, "Checkpoint with the same name already exists")
    assert api.saved(run, "best", overwrite=True) == path
    found = api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    assert [(checkpoint["checkpoint_id"], checkpoint["user_metadata"]) for checkpoint in found] == [
        ("weights/best", None)
    ]


REFUSED_SAVES: dict[str, dict[str, Any]] = {
    "a name with a slash": {"path": "a/b"},
    "a name with a question mark": {"path": "a?b"},
    "the parent folder": {"path": ".."},
    "an empty name": {"path": ""},
    "a name that no file system takes": {"path": "n" * 200},
    "a lifetime under an hour": {"path": "a", "ttl_seconds": 3599},
    "a lifetime over ten years": {"path": "a", "ttl_seconds": 315_360_001},
}


@pytest.mark.parametrize("why", REFUSED_SAVES)
def test_a_save_is_refused_for(api: Wire, why: str) -> None:
    """400 on submit, with a reason, and nothing is saved."""
    run = api.run()
    answer = api.post("save_weights", {"model_id": run, "seq_id": 1, **REFUSED_SAVES[why]})

    assert answer.status_code == 400
    assert int(answer.headers["content-length"]) > 0
    assert answer.json()["detail"]
    assert api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"] == []


REFUSED_MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "a base model that does not exist": (400, {"base_model": "nobody/nothing"}),
    "a rank of zero": (400, {"lora_config": {"rank": 0}}),
    "a rank beyond the highest": (400, {"lora_config": {"rank": 257}}),
    "nothing to train": (
        400,
        {"lora_config": {"rank": 4, "train_unembed": False, "train_mlp": False, "train_attn": False}},
    ),
    "an optimizer that is not there": (400, {"optimizer_config": {"type": "dimuon", "version": 1}}),
    "metadata that is not text": (422, {"user_metadata": {"step": 3}}),
    "no adapter": (422, {"lora_config": None}),
}


@pytest.mark.parametrize("why", REFUSED_MODELS)
def test_a_model_is_refused_for(api: Wire, why: str) -> None:
    """The status tells a wrong value from a wrong shape; no run is made."""
    status, fields = REFUSED_MODELS[why]
    answer = api.create(api.session(), **fields)

    assert answer.status_code == status
    assert answer.json()["detail"]
    assert api.get("training_runs").json()["training_runs"] == []


def test_only_a_weights_checkpoint_can_be_trained_from(api: Wire) -> None:
    """A sampler checkpoint, another path form, another base model, a checkpoint that is not there."""
    run = api.run()
    path = api.saved(run, "a")
    body = {"model_id": run, "seq_id": api.next_seq(run), "path": "s"}
    sampler = api.ended(api.post("save_weights_for_sampler", body)).json()["path"]

    assert sampler == f"tinker://{run}/sampler_weights/s"
    assert [
        api.load(sampler).status_code,
        api.load("weights/a").status_code,
        api.load(path, base_model="Qwen/Qwen3-32B").status_code,
        api.load(f"tinker://{run}/weights/b").status_code,
    ] == [400, 400, 400, 404]


def test_a_checkpoint_of_another_rank_does_not_fit_a_run(api: Wire) -> None:
    """The old way of loading names the mismatch."""
    path, target = api.saved(api.run(rank=4), "a"), api.run(rank=8)
    answer = api.post("load_weights", {"model_id": target, "seq_id": 1, "path": path, "optimizer": True})

    assert answer.status_code == 400
    assert "incompatible with target model" in answer.json()["detail"]


def test_a_finished_session_trains_no_more(api: Wire) -> None:
    """Heartbeat, new runs and steps answer 410; reading goes on; the first reason stays."""
    run = api.run()
    session = run.split(":")[0]
    finish = {"reason": {"type": "success"}, "detail": None}
    assert api.post(f"sessions/{session}/finish", finish).status_code == 200
    assert api.post(f"sessions/{session}/finish", {"reason": {"type": "errored"}, "detail": "x"}).status_code == 200

    assert [
        api.post("session_heartbeat", {"session_id": session}).status_code,
        api.create(session, 1).status_code,
        api.gradient(run).status_code,
        api.get(f"training_runs/{run}").status_code,
    ] == [410, 410, 410, 200]


def test_a_corrupted_run_is_read_as_before_and_trained_no_more(api: Wire) -> None:
    """Reads say so; every training operation is refused with 400 and a reason; its checkpoint still loads."""
    run = api.run()
    losses = api.train(run, steps=3)
    path = api.saved(run, "a")
    api.order("corrupt", {"run": run})

    seen = api.get(f"training_runs/{run}").json()
    assert (seen["corrupted"], seen["last_checkpoint"]["tinker_path"]) == (True, path)
    assert [listed["corrupted"] for listed in api.get("training_runs").json()["training_runs"]] == [True]
    assert len(api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]) == 1
    refused = [api.gradient(run), api.optimize(run), api.save(run, "b")]
    assert [answer.status_code for answer in refused] == [400, 400, 400]
    assert all("corrupted" in answer.json()["detail"] for answer in refused)
    restored = api.ended(api.load(path)).json()["model_id"]
    assert api.train(restored)[0] < losses[-1]
    assert api.get(f"training_runs/{restored}").json()["corrupted"] is False


def test_a_lost_run_is_gone_but_its_checkpoints_load(api: Wire) -> None:
    """Neither listed nor found; training on it answers 404."""
    run, other = api.run(), api.run()
    path = api.saved(run, "a")
    api.order("lose", {"run": run})

    listing = api.get("training_runs").json()
    assert [found["training_run_id"] for found in listing["training_runs"]] == [other]
    assert listing["cursor"]["total_count"] == 1
    assert [
        api.get(f"training_runs/{run}").status_code,
        api.get(f"training_runs/{run}/checkpoints").status_code,
        api.gradient(run).status_code,
    ] == [404, 404, 404]
    assert "error" not in api.ended(api.load(path)).json()


def test_many_clients_train_at_once_without_touching_each_other(
    shared: Served, api: Wire, connect: Callable[..., Wire]
) -> None:
    """Eight owners, eight runs, one trajectory each, the same as alone."""
    alone = api.train(api.run(), steps=6)
    owners = [connect(shared) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda owner: owner.train(owner.run(), steps=6), owners))

    assert together == [alone] * 8


def test_a_malformed_batch_is_refused_or_fails_by_the_users_fault(api: Wire) -> None:
    """What cannot be read is refused; what can be read but does not fit ends the future."""
    run = api.run()
    garbage = api.http.post("/api/v1/forward_backward", content=b"\xff\xff not protobuf")
    empty = wire.ForwardBackwardRequest(model_id=run, seq_id=1, loss_fn="cross_entropy")
    refused = api.http.post("/api/v1/forward_backward", content=empty.SerializeToString())
    unfit = batch(run, 2, range(12))
    unfit.data[0].loss_fn_inputs["target_tokens"].shape[:] = [99]
    failed = api.ended(api.http.post("/api/v1/forward_backward", content=unfit.SerializeToString())).json()

    assert (garbage.status_code, refused.status_code) == (400, 400)
    assert failed["category"] == "user"
    assert "target_tokens" in failed["error"]


def test_a_request_that_nobody_submitted_is_not_found(api: Wire, shared: Served, connect: Callable[..., Wire]) -> None:
    """Nor is one that somebody else submitted."""
    theirs = connect(shared).run()

    answers = [api.post("retrieve_future", {"request_id": found}) for found in ("nothing:1", f"{theirs}:0")]
    assert [answer.status_code for answer in answers] == [404, 404]
