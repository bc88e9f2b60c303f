"""Every public method of the three clients that train and sample, each called once at least, by both its ways."""

import asyncio
import importlib.util
from typing import Any

import tinker
from tests.simulator.sdk.witness import Witness
from tinker import types
from tinker.lib.api_future_impl import QueueState

BASE_MODEL = "Qwen/Qwen3-8B"
PROMPT = types.ModelInput.from_ints([1, 2, 3, 4])
PICTURE = types.ImageChunk(data=b"not really a picture", format="png", expected_tokens=5)
STEP = types.AdamParams(learning_rate=1e-2)


def text(start: int = 0) -> types.Datum:
    """Count from a number."""
    return types.Datum(
        model_input=types.ModelInput.from_ints(list(range(start, start + 12))),
        loss_fn_inputs={
            "target_tokens": types.TensorData(data=list(range(start + 1, start + 13)), dtype="int64"),
            "weights": types.TensorData(data=[1.0] * 12, dtype="float32"),
        },
    )


def picture() -> types.Datum:
    """A picture of five tokens between two words."""
    words = [types.EncodedTextChunk(tokens=[number]) for number in (7, 8)]
    return types.Datum(
        model_input=types.ModelInput(chunks=[words[0], PICTURE, words[1]]),
        loss_fn_inputs={"target_tokens": types.TensorData(data=list(range(7)), dtype="int64")},
    )


def policy() -> types.Datum:
    """What the losses of reinforcement learning read."""
    datum = text()
    numbers = {"logprobs": [-4.0] * 12, "advantages": [1.0, -1.0] * 6, "sequence_ratio_mask": [0.0, 1.0] * 6}
    inputs = {name: types.TensorData(data=values, dtype="float32") for name, values in numbers.items()}
    return types.Datum(
        model_input=datum.model_input,
        loss_fn_inputs={"target_tokens": datum.loss_fn_inputs["target_tokens"], **inputs},
    )


def train(witness: Witness, client: tinker.TrainingClient, steps: int) -> list[float]:
    """Both halves of a step are submitted before either is waited for."""
    losses = []
    for _ in range(steps):
        gradient = witness.use(client, "forward_backward", [text(), picture()], "cross_entropy")
        step = witness.use(client, "optim_step", STEP)
        losses.append(gradient.result().metrics["loss:sum"])
        step.result()
    return losses


def training(witness: Witness, service: tinker.ServiceClient) -> tinker.TrainingClient:
    """A run: trained by every loss, saved in every form, continued from each."""
    client: tinker.TrainingClient = witness.use(
        service, "create_lora_training_client", BASE_MODEL, rank=4, seed=5
    ).result()
    witness.saw["losses"] = train(witness, client, 6)
    scored = witness.use(client, "forward", [text()], "cross_entropy").result()
    witness.saw["scored"] = scored.loss_fn_outputs[0]["logprobs"].tolist()
    names: list[types.LossFnType] = ["importance_sampling", "ppo", "cispo", "dro", "gspo"]
    results = [client.forward(data=[policy()], loss_fn=name).result() for name in names]
    witness.saw["policy losses"] = dict(zip(names, [result.metrics["loss:sum"] for result in results], strict=True))
    saved = witness.use(client, "save_state", "step-6", ttl_seconds=7200, user_metadata={"step": "6"}).result().path
    witness.saw["uninterrupted"] = train(witness, client, 6)
    resumed = witness.use(service, "create_training_client_from_state_with_optimizer", saved).result()
    witness.saw["resumed"] = train(witness, resumed, 6)
    bare = witness.use(service, "create_training_client_from_state", saved, user_metadata={"bare": "yes"}).result()
    witness.saw["resumed bare"] = train(witness, bare, 6)
    external = witness.use(client, "save_weights_external", "export", ttl_seconds=3600).result().path
    witness.saw["external"] = external
    witness.saw["info"] = witness.use(client, "get_info").model_dump(mode="json")
    witness.saw["console"] = witness.use(client, "get_console_url")
    witness.use(client, "get_telemetry")
    witness.saw["copied"] = witness.use(service, "copy_weights", saved).result()
    witness.saw["saved"] = saved
    return client


def drawn(response: types.SampleResponse) -> list[list[int]]:
    return [list(sequence.tokens) for sequence in response.sequences]


def sampling(witness: Witness, service: tinker.ServiceClient, client: tinker.TrainingClient) -> None:
    """The same tokens from the same weights, whichever way the client for them was had; and all that can be asked."""
    params = types.SamplingParams(max_tokens=6, seed=1, temperature=0.7, top_k=40, top_p=0.9)
    path = witness.use(client, "save_weights_for_sampler", "final").result().path
    samplers = {
        "path": witness.use(service, "create_sampling_client", model_path=path).result(),
        "training": witness.use(client, "create_sampling_client", path).result(),
        "snapshot": witness.use(client, "save_weights_and_get_sampling_client").result(),
        "inflight": client.save_weights_and_get_sampling_client(kind="inflight").result(),
        "holder": witness.use(tinker.SamplingClient, "create", service.holder, model_path=path).result(),
        "external": service.create_sampling_client(model_path=witness.saw["external"]).result(),
    }
    handle = witness.use(samplers["path"], "get_sampler_handle")
    samplers["handle"] = witness.use(tinker.SamplingClient, "from_sampler_handle", handle)
    responses = {name: witness.use(one, "sample", PROMPT, 2, params).result() for name, one in samplers.items()}
    witness.saw["drawn"] = {name: drawn(response) for name, response in responses.items()}
    sampler = samplers["path"]
    witness.saw["base model"] = witness.use(sampler, "get_base_model")
    witness.use(sampler, "get_telemetry")
    witness.use(sampler, "on_queue_state_change", QueueState.ACTIVE, None)
    witness.saw["prompt"] = witness.use(sampler, "compute_logprobs", PROMPT).result()
    witness.saw["prompt end"] = sampler.compute_logprobs(PROMPT, prompt_logprobs_last_n=2).result()
    asking(witness, sampler)


def asking(witness: Witness, sampler: tinker.SamplingClient) -> None:
    """Everything that `sample` can be asked for, at once."""
    target = types.TensorData(data=[2, -1, 3, 9, 4, -1], dtype="int64", shape=[3, 2])
    seen = types.ModelInput(chunks=[types.EncodedTextChunk(tokens=[1]), PICTURE])
    response = sampler.sample(
        PROMPT,
        1,
        types.SamplingParams(max_tokens=3, seed=2, stop=["ab", "c"]),
        include_prompt_logprobs=True,
        topk_prompt_logprobs=3,
        topk_sample_logprobs=2,
        target_prompt_logprobs=target,
        prompt_alt_tokens_k=2,
    ).result()
    assert response.target_prompt_logprobs is not None
    assert response.prompt_alt_tokens is not None
    witness.saw["asked"] = {
        "prompt": response.prompt_logprobs,
        "prompt topk": response.topk_prompt_logprobs,
        "target": response.target_prompt_logprobs.tolist(),
        "alternatives": response.prompt_alt_tokens.tokens.tolist(),
        "topk": response.sequences[0].topk_logprobs,
        "logprobs": response.sequences[0].logprobs,
        "id": response.sequences[0].sequence_id,
        "of a picture": drawn(sampler.sample(seen, 1, types.SamplingParams(max_tokens=2, seed=3)).result()),
    }


async def awaited(witness: Witness, service: tinker.ServiceClient, saved: str) -> None:
    """What returns a future can be awaited; what was made for that alone is deprecated, and works."""
    client = await witness.use(service, "create_lora_training_client", BASE_MODEL, rank=4, seed=5)
    await asyncio.gather(client.forward_backward([text()], "cross_entropy"), client.optim_step(STEP))
    use, params = witness.use, types.SamplingParams(max_tokens=2)
    old = await use(service, "create_lora_training_client_async", BASE_MODEL, rank=4, seed=5)
    witness.saw["loaded"] = [(await (await use(old, "load_state_async", saved))).path]
    older = [await service.create_lora_training_client(BASE_MODEL, rank=4) for _ in range(3)]
    loads = [use(older[0], "load_state", saved), use(older[1], "load_state_with_optimizer", saved)]
    loads.append(await use(older[2], "load_state_with_optimizer_async", saved))
    witness.saw["loaded"] += [(await load).path for load in loads]
    await use(service, "create_training_client_from_state_async", saved)
    await use(service, "create_training_client_from_state_with_optimizer_async", saved)
    for method in ("forward_async", "forward_backward_async"):
        await (await use(client, method, [text()], "cross_entropy"))
    await (await use(client, "optim_step_async", STEP))
    await (await use(client, "save_state_async", "a"))
    path = (await (await use(client, "save_weights_for_sampler_async", "a"))).path
    await (await use(client, "save_weights_external_async", "a"))
    await use(client, "get_info_async")
    await use(client, "save_weights_and_get_sampling_client_async")
    await use(client, "create_sampling_client_async", path)
    sampler = await use(service, "create_sampling_client_async", model_path=path)
    await use(sampler, "sample_async", PROMPT, 1, params)
    await use(sampler, "compute_logprobs_async", PROMPT)
    await use(sampler, "get_base_model_async")
    await use(service, "get_server_capabilities_async")


def custom(witness: Witness, service: tinker.ServiceClient, client: tinker.TrainingClient) -> None:
    """Losses of one's own, which the SDK runs itself with PyTorch."""

    def squared(logprobs: Any, weights: Any) -> Any:
        loss = (weights * logprobs**2).sum()
        return loss, {"custom/squared:sum": loss}

    handle = witness.use(service, "create_custom_loss", squared, {"logprobs": 1, "weights": 1}).result()
    result = witness.use(client, "forward_backward_custom", [text()], handle).result()
    witness.saw["custom"] = sorted(result.metrics)
    later = asyncio.run(witness.use(client, "forward_backward_custom_async", [text()], handle))
    later.result()


def main() -> None:
    """Go, and tell."""
    witness = Witness()
    with witness.listening():
        service = tinker.ServiceClient({"who": "acceptance"}, "acceptance")
        witness.saw["holder"] = witness.use(service, "holder").get_session_id()
        witness.saw["console of the session"] = witness.use(service, "get_console_url")
        witness.use(service, "get_telemetry")
        client = training(witness, service)
        sampling(witness, service, client)
        witness.saw["capabilities"] = len(witness.use(service, "get_server_capabilities").supported_models)
        witness.use(service, "create_rest_client")
        if importlib.util.find_spec("torch"):
            custom(witness, service, client)
        asyncio.run(awaited(witness, service, witness.saw["saved"]))
        witness.use(service, "close", "success", detail="all of it").result()
    witness.tell()


if __name__ == "__main__":
    main()
