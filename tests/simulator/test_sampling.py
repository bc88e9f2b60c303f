"""Sampling over the bare wire: what is drawn, what is scored, and what a client with many samples under way sees."""

import base64
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.simulator.bare import BASE_MODEL, KEYS, Served, Wire

from tinker_operator.tinker.proto import tinker_public_pb2 as wire

pytestmark = pytest.mark.http

BLOCK = 1_000_000_000


@dataclass
class Sampler:
    """A sampling session, and the number of its next sample."""

    api: Wire
    sampler_id: str
    seq: int = field(default=0)

    def ask(self, seq: int | None = None, *, prompt: Any = (1, 2, 3), **fields: Any) -> httpx.Response:
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1
        chunks = prompt if isinstance(prompt, list) else [{"type": "encoded_text", "tokens": list(prompt)}]
        params = {"max_tokens": 8, "seed": 1, **fields.pop("params", {})}
        body = {"sampling_session_id": self.sampler_id, "seq_id": seq, "sampling_params": params}
        return self.api.post("asample", {**body, "prompt": {"chunks": chunks}, **fields})

    def draw(self, **fields: Any) -> wire.SampleResponse:
        answer = self.api.ended(self.ask(**fields))
        assert answer.headers["content-type"] == "application/x-protobuf", answer.text
        return wire.SampleResponse.FromString(answer.content)


def opened(api: Wire, **fields: Any) -> Sampler:
    body = {"session_id": api.session(), "sampling_session_seq_id": 0, **(fields or {"base_model": BASE_MODEL})}
    answer = api.post("create_sampling_session", body)
    assert answer.status_code == 200, answer.text
    return Sampler(api, answer.json()["sampling_session_id"])


def tokens(sequence: wire.SampledSequence) -> list[int]:
    return [int(token) for token in np.frombuffer(sequence.tokens, "<i4")]


def floats(packed: bytes) -> NDArray[np.float32]:
    return np.frombuffer(packed, "<f4")


@pytest.fixture
def sampler(api: Wire) -> Iterator[Sampler]:
    """The base model; no fault and no behaviour is left to the next test."""
    yield opened(api)
    api.http.delete("/_simulator/faults")


# ---- what is drawn


def test_the_same_seed_and_weights_give_the_same_samples(api: Wire) -> None:
    """From a checkpoint that training goes on from, from one for sampling, before and after more steps."""
    run = api.run()
    api.train(run, steps=3)
    weights = api.saved(run, "a")
    body = {"model_id": run, "seq_id": api.next_seq(run), "path": "a"}
    sampler_weights = api.ended(api.post("save_weights_for_sampler", body)).json()["path"]
    before = [tokens(opened(api, model_path=path).draw().sequences[0]) for path in (weights, sampler_weights)]
    api.train(run, steps=3)
    after = tokens(opened(api, model_path=weights).draw().sequences[0])
    moved = tokens(opened(api, model_path=api.saved(run, "b")).draw(params={"temperature": 0}).sequences[0])

    assert before == [after, after]
    assert moved != tokens(opened(api).draw(params={"temperature": 0}).sequences[0])


def test_each_of_several_samples_is_another_and_another_seed_gives_others(sampler: Sampler) -> None:
    """As many as asked for, each with an id."""
    answer = sampler.ask(num_samples=3)
    response = wire.SampleResponse.FromString(sampler.api.ended(answer).content)
    several = [tokens(sequence) for sequence in response.sequences]

    assert len({tuple(one) for one in several}) == 3
    assert answer.json()["sample_sequence_ids"] == [f"{sampler.sampler_id}:0:{number}" for number in range(3)]
    assert tokens(sampler.draw(params={"seed": 2}).sequences[0]) != several[0]


def test_temperature_zero_takes_the_likeliest_and_so_does_one_token_to_choose_from(sampler: Sampler) -> None:
    """Whatever the seed."""
    ways = ({"temperature": 0}, {"top_k": 1, "seed": 9}, {"top_p": 1e-6, "seed": 3})
    drawn = [tokens(sampler.draw(params=params).sequences[0]) for params in ways]

    assert drawn[0] == drawn[1] == drawn[2]


def test_a_sample_ends_with_a_stop_token_or_with_a_text_or_at_its_length(sampler: Sampler) -> None:
    """Tokens are characters; what ended the sample is its last part."""
    free = sampler.draw(params={"max_tokens": 12})
    whole = tokens(free.sequences[0])
    text = "".join(map(chr, whole))
    stops: list[Any] = [whole[4:5], text[3:5], ["no such", text[3:5]], [], None]
    drawn = [sampler.draw(params={"max_tokens": 12, "stop": stop}).sequences[0] for stop in stops]

    assert tokens(drawn[0]) == whole[: whole.index(whole[4]) + 1]
    assert tokens(drawn[1]) == tokens(drawn[2]) == whole[: text.index(text[3:5]) + 2]
    assert tokens(drawn[3]) == tokens(drawn[4]) == whole
    assert [one.stop_reason for one in drawn] == [0, 0, 0, 1, 1]


# ---- what is scored


def test_the_prompts_scores_are_the_log_softmax_of_the_model(sampler: Sampler) -> None:
    """Drawing one token greedily from each beginning scores it as the prompt that holds it does."""
    prompt = (5, 9, 9, 40)
    scored = floats(sampler.draw(prompt=prompt, prompt_logprobs=True).prompt_logprobs)
    best = floats(sampler.draw(prompt=prompt, topk_prompt_logprobs=128).topk_prompt_logprobs.logprobs).reshape(4, 128)

    assert np.isnan(scored[0])
    assert not np.isnan(scored[1:]).any()
    np.testing.assert_allclose(np.exp(best[1:].astype(np.float64)).sum(axis=1), 1.0, rtol=1e-5)
    assert (best[0] == np.float32(-99999)).all()
    for end in range(1, 4):
        drawn = sampler.draw(prompt=prompt[:end], params={"max_tokens": 1}, topk_sample_logprobs=128).sequences[0]
        row = dict(
            zip(
                np.frombuffer(drawn.topk_sampled_logprobs.token_ids, "<i4").tolist(),
                floats(drawn.topk_sampled_logprobs.logprobs).tolist(),
                strict=True,
            )
        )
        assert row[prompt[end]] == pytest.approx(float(scored[end]), abs=1e-5)


def test_chosen_ids_are_scored_dense_or_in_compressed_rows(sampler: Sampler) -> None:
    """In the layout that they were sent in; a cell of -1 asks for nothing and gets 0."""
    prompt = (5, 9, 40)
    scored = floats(sampler.draw(prompt=prompt, prompt_logprobs=True).prompt_logprobs)
    dense = {"data": [9, -1, 3, 40], "dtype": "int64", "shape": [2, 2]}
    sparse = {**dense, "data": [9, 40], "sparse_crow_indices": [0, 1, 2], "sparse_col_indices": [0, 1]}
    answers = [
        sampler.draw(prompt=prompt, target_prompt_logprobs=form).target_prompt_logprobs for form in (dense, sparse)
    ]

    matrix = floats(answers[0].dense).reshape(2, 2)
    assert [matrix[0, 0], matrix[0, 1], matrix[1, 1]] == [scored[1], 0.0, scored[2]]
    assert floats(answers[1].sparse_csr.values).tolist() == [scored[1], scored[2]]
    assert list(answers[1].shape) == [2, 2]


def test_alternatives_are_drawn_at_every_position_but_the_first(sampler: Sampler) -> None:
    """With their log-probabilities; at temperature 0 each is the likeliest."""
    response = sampler.draw(prompt=(5, 9, 40), prompt_alt_tokens_k=3, topk_prompt_logprobs=1, params={"temperature": 0})
    drawn = np.frombuffer(response.prompt_alt_tokens.tokens.dense, "<i8").reshape(2, 3)
    best = np.frombuffer(response.topk_prompt_logprobs.token_ids, "<i4")

    assert [set(row) for row in drawn.tolist()] == [{best[1]}, {best[2]}]
    assert (
        floats(response.prompt_alt_tokens.logprobs.dense)[::3].tolist()
        == floats(response.topk_prompt_logprobs.logprobs)[1:].tolist()
    )


def test_a_picture_in_a_prompt_is_as_long_as_it_says(sampler: Sampler) -> None:
    """By its bytes or by where it is; the same bytes mean the same."""
    data = base64.b64encode(b"a cat").decode()
    shown = [{"type": "image", "data": data, "format": "png", "expected_tokens": 4}]
    placed = [{"type": "image_asset_pointer", "location": "a cat", "format": "png", "expected_tokens": 4}]
    scored = [sampler.draw(prompt=prompt, prompt_logprobs=True).prompt_logprobs for prompt in (shown, placed)]

    assert len(floats(scored[0])) == 4
    assert floats(scored[0])[1:].tolist() == floats(scored[1])[1:].tolist()


REFUSED: dict[str, dict[str, Any]] = {
    "an empty prompt": {"prompt": ()},
    "sound": {"prompt": [{"type": "dmel", "dmel": "AA=="}]},
    "a picture that is not base64": {"prompt": [{"type": "image", "data": "%%", "format": "png"}]},
    "a prompt longer than the context": {"prompt": tuple(range(33_000))},
    "an empty stop": {"params": {"stop": ["a", ""]}},
    "scores of the end alone without scores": {"prompt_logprobs_last_n": 1},
    "scores of more than there is": {"prompt_logprobs": True, "prompt_logprobs_last_n": 3},
    "more alternatives than can be drawn": {"prompt_alt_tokens_k": 30_000},
    "ids for another prompt": {"target_prompt_logprobs": {"data": [1], "dtype": "int64", "shape": [1, 1]}},
    "ids that do not fill their shape": {"target_prompt_logprobs": {"data": [1], "dtype": "int64", "shape": [2, 1]}},
    "ids that ask for nothing": {"target_prompt_logprobs": {"data": [-1, -1], "dtype": "int64", "shape": [2, 1]}},
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_sample_is_refused_for(sampler: Sampler, why: str) -> None:
    """400 with a reason, and the number is free for a better request."""
    answer = sampler.ask(0, **REFUSED[why])

    assert (answer.status_code, bool(answer.json()["detail"])) == (400, True)
    assert sampler.api.ended(sampler.ask(0)).status_code == 200


# ---- sessions


def test_a_sampling_session_asked_for_twice_is_one(api: Wire) -> None:
    """The session and the number decide; after the session was finished the answer to a retry is still the same."""
    session = api.session()
    body = {"session_id": session, "sampling_session_seq_id": 3, "base_model": BASE_MODEL}
    answers = [api.post("create_sampling_session", body) for _ in range(2)]
    api.post(f"sessions/{session}/finish", {"reason": {"type": "success"}})
    late = (
        api.post("create_sampling_session", body),
        api.post("create_sampling_session", {**body, "sampling_session_seq_id": 4}),
    )

    assert answers[0].json() == answers[1].json() == late[0].json()
    assert answers[0].json()["sampling_session_id"] == f"{session}:sample:3"
    assert late[1].status_code == 410


def test_a_sampler_tells_what_it_draws_from(api: Wire) -> None:
    """Its base model, and its path where it has one."""
    path = api.saved(api.run(), "a")
    sampler = opened(api, model_path=path)

    assert api.get(f"samplers/{sampler.sampler_id}").json() == {
        "sampler_id": sampler.sampler_id,
        "base_model": BASE_MODEL,
        "model_path": path,
    }
    assert api.get("samplers/nothing:sample:0").status_code == 404


def test_a_sample_asked_for_twice_is_drawn_once(sampler: Sampler) -> None:
    """Without a seed as well, and though the second try says something else."""
    answers = [sampler.ask(7, params={"seed": None}), sampler.ask(7, params={"seed": 5})]
    results = [sampler.api.ended(answer).content for answer in answers]

    assert answers[0].json() == answers[1].json()
    assert results[0] == results[1]


def test_clients_that_join_a_session_get_numbers_of_their_own_for_ever(
    own: Served, connect: Callable[..., Wire]
) -> None:
    """From 1 on, and after a kill none again that was given before."""
    api = connect(own, KEYS[0])
    sampler = opened(api)
    body = {"sampling_session_id": sampler.sampler_id}
    numbers = [api.post("join_sampling_session", body).json()["client_counter"] for _ in range(2)]
    own.close()
    own.start()
    numbers.append(api.post("join_sampling_session", body).json()["client_counter"])

    assert numbers == [1, 2, 3]
    assert api.post("join_sampling_session", {"sampling_session_id": "nothing:sample:0"}).status_code == 404


def test_a_finished_session_draws_no_more(api: Wire) -> None:
    """410 for a new sample and for another client; the result of an earlier one is still there."""
    sampler = opened(api)
    earlier = sampler.ask(0)
    session = sampler.sampler_id.split(":")[0]
    api.post(f"sessions/{session}/finish", {"reason": {"type": "success"}})
    body = {"sampling_session_id": sampler.sampler_id}

    assert [sampler.ask(1).status_code, api.post("join_sampling_session", body).status_code] == [410, 410]
    assert sampler.ask(0).json() == earlier.json()
    assert api.ended(earlier).status_code == 200


# ---- many at once


def test_more_samples_than_there_may_be_under_way_are_answered_429(sampler: Sampler) -> None:
    """The same number is taken once there is room; one that is under way is answered as before."""
    sampler.api.http.put("/_simulator/behaviour", json={"sample_queue": 2})
    sampler.api.fault("slow", route=f"^sample {sampler.sampler_id}", delay=600, count=2)
    taken = [sampler.ask(number).status_code for number in range(3)]
    again = sampler.ask(1).status_code
    assert sampler.api.post("cancel_future", {"request_id": f"{sampler.sampler_id}:0"}).status_code == 200

    assert (taken, again) == ([200, 200, 429], 200)
    assert sampler.api.ended(sampler.ask(2)).status_code == 200


def test_a_cancelled_sample_ends_and_one_that_has_ended_stays(sampler: Sampler) -> None:
    """By the user's wish; whoever waits is told."""
    sampler.api.fault("slow", route=f"^sample {sampler.sampler_id}", delay=600, count=1)
    slow, done = sampler.ask(), sampler.ask()
    result = sampler.api.ended(done)
    for answer in (slow, done, slow):
        assert sampler.api.post("cancel_future", {"request_id": answer.json()["request_id"]}).status_code == 200

    assert sampler.api.ended(slow).json()["category"] == "user"
    assert sampler.api.ended(done).content == result.content


def test_a_signal_ends_the_simulator_in_seconds_though_much_is_being_drawn(
    own: Served, connect: Callable[..., Wire]
) -> None:
    """What was not drawn yet is drawn after the next start."""
    api = connect(own, KEYS[0])
    sampler = opened(api)
    submitted = [sampler.ask(params={"max_tokens": 4096}, num_samples=128) for _ in range(8)]
    began = time.monotonic()

    assert own.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    assert own.errors == ""
    own.start()
    waiting = api.post("retrieve_futures", {"target": {"sampling_session_id": sampler.sampler_id}, "timeout": 0})
    assert waiting.json()["completions"] == []
    for answer in submitted:
        assert api.post("cancel_future", {"request_id": answer.json()["request_id"]}).status_code == 200


def test_only_samples_can_be_cancelled(api: Wire) -> None:
    """And only those that there are."""
    submitted = api.gradient(api.run())

    assert api.post("cancel_future", {"request_id": submitted.json()["request_id"]}).status_code == 400
    assert api.post("cancel_future", {"request_id": "nothing:0"}).status_code == 404


def completions(sampler: Sampler, cursor: int, client: int = 0, **fields: Any) -> dict[str, Any]:
    target = {"type": "sampling_session", "sampling_session_id": sampler.sampler_id, "cloned_sampler_id": client}
    answer = sampler.api.post("retrieve_futures", {"target": target, "prev_cursor": cursor, **fields})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_what_has_ended_is_told_once_in_order_with_its_size(sampler: Sampler) -> None:
    """From the cursor on; a failed one as failed; those of another client of the session are its own."""
    sampler.api.fault("fail", route=f"^sample {sampler.sampler_id}:1$", count=1)
    results = [sampler.api.ended(sampler.ask(number)) for number in (0, 1, BLOCK)]
    first = completions(sampler, 0, timeout=0)
    sampler.api.ended(sampler.ask(2))
    second = completions(sampler, first["cursor"])

    assert first["completions"] == [
        {
            "state": "finished",
            "request_id": f"{sampler.sampler_id}:0",
            "response_payload_uncompressed_size": len(results[0].content),
        },
        {"state": "failed", "request_id": f"{sampler.sampler_id}:1"},
    ]
    assert [one["request_id"] for one in second["completions"]] == [f"{sampler.sampler_id}:2"]
    assert completions(sampler, second["cursor"], timeout=0)["completions"] == []
    other = completions(sampler, 0, client=1, timeout=0)["completions"]
    assert [one["request_id"] for one in other] == [f"{sampler.sampler_id}:{BLOCK}"]


def test_asking_what_has_ended_waits_for_something_to_end(sampler: Sampler) -> None:
    """And no longer than it was told to."""
    began = time.monotonic()
    assert completions(sampler, 0, timeout=0.3)["completions"] == []
    assert time.monotonic() - began >= 0.3
    sampler.api.fault("slow", route=f"^sample {sampler.sampler_id}", delay=0.5, count=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(completions, sampler, 0)
        sampler.ask(0)
        ended = waiting.result(timeout=20)["completions"]

    assert [one["request_id"] for one in ended] == [f"{sampler.sampler_id}:0"]


def test_after_a_kill_everything_that_has_ended_is_told_again(own: Served, connect: Callable[..., Wire]) -> None:
    """The order of ending is forgotten, so a cursor from before starts from the beginning."""
    api = connect(own, KEYS[0])
    sampler = opened(api)
    for number in range(3):
        api.ended(sampler.ask(number))
    cursor = completions(sampler, 0, timeout=0)["cursor"]
    api.order("clock", {"advance_seconds": 10})
    own.close()
    own.start()
    told = completions(sampler, cursor, timeout=0)

    assert sorted(one["request_id"] for one in told["completions"]) == [f"{sampler.sampler_id}:{n}" for n in range(3)]
    assert told["cursor"] > cursor
