"""Training and sampling over real HTTP, beside the official SDK."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.leaving import USING_THE_SDK
from tests.tinker.conftest import Simulator
from tests.tinker.sdk_trainer import BASE_MODEL, RANK, RATE, SEED, STARTS, TOKENS

from tinker_operator.tinker import (
    AdamParams,
    Datum,
    DType,
    ModelInput,
    SamplingParams,
    StopReason,
    TinkerClient,
    TrainingClient,
    errors,
)

pytestmark = pytest.mark.http

TRAINER = Path(__file__).with_name("sdk_trainer.py")
BATCH = [
    Datum(
        ModelInput.from_ints(range(start, start + TOKENS)),
        {"target_tokens": range(start + 1, start + TOKENS + 1), "weights": [1.0] * TOKENS},
    )
    for start in STARTS
]
PROMPT = ModelInput.from_ints([1, 2, 3])
PARAMS = SamplingParams(max_tokens=6, seed=1)


async def by_the_sdk(simulator: Simulator, *arguments: str) -> Any:
    """Run the official SDK's loop, and give what it saw."""
    environment = {
        **os.environ,
        "TINKER_BASE_URL": simulator.url,
        "TINKER_API_KEY": simulator.key,
        "TINKER_TELEMETRY": "0",
    }
    command = [*USING_THE_SDK, str(TRAINER), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def begin(client: TinkerClient) -> TrainingClient:
    return await client.create_training_client(BASE_MODEL, rank=RANK, seed=SEED)


async def train(training: TrainingClient, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        gradient = await training.forward_backward(BATCH, "cross_entropy")
        step = await training.optim_step(AdamParams(learning_rate=RATE))
        losses.append((await gradient).metrics["loss:sum"])
        await step
    return losses


async def test_what_the_sdk_saved_goes_on_here_as_it_went_on_there(simulator: Simulator) -> None:
    there = await by_the_sdk(simulator, "train")
    async with simulator.connect() as client:
        resumed = await client.create_training_client_from_state_with_optimizer(there["path"])
        assert await train(resumed, 10) == there["losses"]


async def test_what_was_saved_here_goes_on_in_the_sdk_as_it_went_on_here(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await begin(client)
        await train(training, 5)
        saved = await (await training.save_state("ours"))
        here = await train(training, 10)
        assert (await by_the_sdk(simulator, "resume", saved.path))["losses"] == here


async def test_a_run_learns_and_is_what_was_asked_for(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await client.create_training_client(
            BASE_MODEL, rank=RANK, seed=SEED, train_mlp=False, user_metadata={"k": "v"}
        )
        losses = await train(training, 5)
        run = await client.get_training_run(training.training_run_id)
        info = await training.get_info()
    assert losses == sorted(losses, reverse=True)
    assert (run.base_model, run.lora_rank, run.user_metadata) == (BASE_MODEL, RANK, {"k": "v"})
    assert info == training.info
    assert info.lora_rank == RANK


async def test_a_forward_pass_gives_the_loss_and_leaves_the_gradient_alone(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        one, other = await begin(client), await begin(client)
        alone = await (await one.forward(BATCH, "cross_entropy"))
        output = await (await one.forward_backward(BATCH, "cross_entropy"))
        await (await one.optim_step(AdamParams(learning_rate=RATE)))
        assert await train(other, 2) == [output.metrics["loss:sum"], *(await train(one, 1))]
    assert alone.metrics["loss:sum"] == output.metrics["loss:sum"]
    assert [tensor["logprobs"].shape for tensor in output.loss_fn_outputs] == [(TOKENS,)] * len(BATCH)
    summed = -sum(sum(tensor["logprobs"].values) for tensor in output.loss_fn_outputs)
    assert summed == pytest.approx(output.metrics["loss:sum"])
    assert output.loss_fn_outputs[0]["logprobs"].dtype is DType.FLOAT32


async def test_a_large_batch_in_portions_is_the_same_step(simulator: Simulator) -> None:
    large = BATCH * 400  # more examples than one request takes
    async with simulator.connect() as client:
        whole, parts = await begin(client), await begin(client)
        pending = await whole.forward_backward(large, "cross_entropy")
        for start in range(0, len(large), 600):
            await (await parts.forward_backward(large[start : start + 600], "cross_entropy"))
        output = await pending
        for training in (whole, parts):
            await (await training.optim_step(AdamParams(learning_rate=RATE)))
        assert await train(whole, 1) == pytest.approx(await train(parts, 1))
    assert len(pending.request_ids) == 2
    assert len(output.loss_fn_outputs) == len(large)


async def test_the_tasks_of_one_loop_are_done_in_the_order_of_their_calls(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        one, other = await begin(client), await begin(client)

        async def step(number: int) -> float:
            gradient, spent = await asyncio.gather(
                one.forward_backward(BATCH, "cross_entropy"), one.optim_step(AdamParams(learning_rate=RATE))
            )
            await spent
            return (await gradient).metrics["loss:sum"] + 0 * number

        assert await asyncio.gather(*map(step, range(8))) == await train(other, 8)


async def test_a_state_is_loaded_into_a_run_that_exists(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training, again, bare = await begin(client), await begin(client), await begin(client)
        await train(training, 3)
        saved = await (await training.save_state("s"))
        await (await again.load_state_with_optimizer(saved.path))
        await (await bare.load_state(saved.tinker_path))
        expected = await train(training, 4)
        assert await train(again, 4) == expected
        without = await train(bare, 4)
    assert without[0] == expected[0]
    assert without != expected


async def test_weights_alone_start_a_new_optimizer(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await begin(client)
        await train(training, 3)
        saved = await (await training.save_state("s"))
        bare = await client.create_training_client_from_state(saved.tinker_path, user_metadata={"from": saved.path})
        expected = await train(training, 4)
        without = await train(bare, 4)
        assert (await client.get_training_run(bare.model_id)).user_metadata == {"from": saved.path}
    assert without[0] == expected[0]
    assert without != expected


async def test_a_checkpoint_is_kept_as_it_was_told(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await begin(client)
        await (await training.save_state("a", ttl_seconds=7200, user_metadata={"step": "1"}))
        with pytest.raises(errors.Conflict):
            await training.save_state("a")
        await (await training.save_state("a", overwrite=True, user_metadata={"step": "2"}))
        await (await training.save_weights_for_sampler("b", ttl_seconds=7200, user_metadata={"k": "v"}))
        found = {one.checkpoint_id: one async for one in client.list_checkpoints(training.model_id)}
        assert await train(training, 1)
    assert found["weights/a"].user_metadata == {"step": "2"}
    assert found["weights/a"].expires_at is None
    assert found["sampler_weights/b"].user_metadata == {"k": "v"}
    assert found["sampler_weights/b"].expires_at is not None


async def test_samples_of_a_checkpoint_and_of_the_moment_are_the_same(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await begin(client)
        await train(training, 3)
        named = await client.create_sampling_client((await (await training.save_weights_for_sampler("s"))).path)
        moment = await (await training.save_weights_and_get_sampling_client())
        base = await client.create_sampling_client(base_model=BASE_MODEL)
        drawn = [await sampler.sample(PROMPT, 2, PARAMS) for sampler in (named, moment, base)]
        assert await named.get_base_model() == BASE_MODEL
        logprobs = await named.compute_logprobs(PROMPT)
        detailed = await named.sample(PROMPT, 1, PARAMS, include_prompt_logprobs=True, topk_prompt_logprobs=2)
    tokens = [[sequence.tokens for sequence in response.sequences] for response in drawn]
    assert tokens[0] == tokens[1] != tokens[2]
    assert [len(sequence) for sequence in tokens[0]] == [6, 6]
    assert {sequence.stop_reason for response in drawn for sequence in response.sequences} == {StopReason.LENGTH}
    names = [sequence.sequence_id for response in drawn for sequence in response.sequences]
    assert len(set(names)) == len(names)
    assert logprobs == detailed.prompt_logprobs
    assert logprobs[0] is None
    assert all(value is not None and value < 0 for value in logprobs[1:])
    assert detailed.topk_prompt_logprobs is not None
    assert [row and len(row) for row in detailed.topk_prompt_logprobs] == [None, 2, 2]


async def test_many_samples_at_once_come_each_to_its_prompt(simulator: Simulator) -> None:
    prompts = [ModelInput.from_ints([start, start + 1]) for start in range(20)]
    async with simulator.connect() as client:
        sampler = await client.create_sampling_client(base_model=BASE_MODEL)
        at_once = await asyncio.gather(*(sampler.sample(prompt, 1, PARAMS) for prompt in prompts))
        alone = [await sampler.sample(prompt, 1, PARAMS) for prompt in prompts]
    assert [one.sequences[0].tokens for one in at_once] == [one.sequences[0].tokens for one in alone]


async def test_a_busy_service_draws_in_the_end(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        sampler = await client.create_sampling_client(base_model=BASE_MODEL)
        simulator.order("faults", kind="http", status=429, route="POST .*asample$", count=1)
        assert (await sampler.sample(PROMPT, 1, PARAMS)).sequences
        simulator.order("faults", kind="http", status=429, route="POST .*asample$", count=50)
        with pytest.raises(errors.RateLimited):
            await sampler.sample(PROMPT, 1, PARAMS, wait_seconds=0.5)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "drop", "when": "before"}, id="before it was read"),
        pytest.param({"kind": "drop", "when": "after"}, id="after it was taken"),
        pytest.param({"kind": "half-body"}, id="in the middle of the answer"),
        pytest.param({"kind": "garbage"}, id="for garbage"),
    ],
)
async def test_a_lost_answer_sums_no_gradient_twice(simulator: Simulator, fault: dict[str, Any]) -> None:
    async with simulator.connect() as client:
        one, other = await begin(client), await begin(client)
        simulator.order("faults", route="POST .*forward_backward$", count=2, **fault)
        with pytest.raises(errors.TinkerError):
            await one.forward_backward(BATCH, "cross_entropy")
        simulator.sound()
        with pytest.raises(errors.CallNotPossible):
            await one.optim_step(AdamParams(learning_rate=RATE))
        gradient = await one.forward_backward(BATCH, "cross_entropy")
        await (await one.optim_step(AdamParams(learning_rate=RATE)))
        assert [(await gradient).metrics["loss:sum"], *(await train(one, 2))] == await train(other, 3)


async def test_a_corrupted_run_refuses_and_its_checkpoint_goes_on(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await begin(client)
        await train(training, 2)
        saved = await (await training.save_state("s"))
        expected = await train(training, 2)
        simulator.order("corrupt", run=training.model_id)
        with pytest.raises(errors.BadRequest):
            await training.forward_backward(BATCH, "cross_entropy")
        resumed = await client.create_training_client_from_state_with_optimizer(saved.path)
        assert await train(resumed, 2) == expected


async def test_leaving_finishes_the_session_for_every_client_in_it(simulator: Simulator) -> None:
    async with simulator.connect() as client:
        training = await begin(client)
    session = training.model_id.split(":", maxsplit=1)[0]
    async with simulator.connect() as client:
        with pytest.raises(errors.Gone):
            await client.heartbeat(session)
        (found,) = [one async for one in client.search_sessions() if one.session_id == session]
    assert found.status is not None
    assert (found.status.type, found.status.reason and found.status.reason.type) == ("client_finished", "success")
