"""What the official SDK makes of every way of being kept waiting, turned away or failed; the argument is the simulator.

Each scene orders one kind of trouble from the simulator, meets it with the SDK alone, and ends it.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import httpx
import tinker
from tests.simulator.sdk.witness import Witness
from tinker import types
from tinker.lib.retryable_exception import RetryableException

BASE_MODEL = "Qwen/Qwen3-8B"
PROMPT = types.ModelInput.from_ints([1, 2, 3])
PARAMS = types.SamplingParams(max_tokens=4, seed=1)
ADMIN = f"{os.environ['TINKER_BASE_URL']}/_simulator"


def behave(**chosen: Any) -> None:
    httpx.put(f"{ADMIN}/behaviour", json=chosen).raise_for_status()


def fault(kind: str, **rule: Any) -> None:
    httpx.post(f"{ADMIN}/faults", json={"kind": kind, **rule}).raise_for_status()


def asked(route: str) -> int:
    """How often a route was."""
    counts: dict[str, int] = httpx.get(f"{ADMIN}/calls").json()["counts"]
    return counts.get(f"POST /api/v1/{route}", 0)


def batch() -> list[types.Datum]:
    """Five data, which make three chunks where a chunk holds two."""
    return [
        types.Datum(
            model_input=types.ModelInput.from_ints(list(range(start, start + 8))),
            loss_fn_inputs={"target_tokens": types.TensorData(data=list(range(start + 1, start + 9)), dtype="int64")},
        )
        for start in range(0, 50, 10)
    ]


def losses(service: tinker.ServiceClient) -> list[float]:
    """Of a new run, whose seed is always the same."""
    client = service.create_lora_training_client(BASE_MODEL, rank=4, seed=1).result()
    seen = []
    for _ in range(4):
        gradient = client.forward_backward(batch(), "cross_entropy")
        client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
        seen.append(gradient.result().metrics["loss:sum"])
    return seen


def sampled(sampler: tinker.SamplingClient) -> list[int]:
    return list(sampler.sample(PROMPT, 1, PARAMS).result().sequences[0].tokens)


def error_of(call: Callable[[], Any]) -> str:
    try:
        return f"no error: {call()}"
    except (tinker.TinkerError, RetryableException) as error:
        category = getattr(error, "category", None)
        return f"{type(error).__name__} {category.value if category else ''}".strip()


def whole_batches(saw: dict[str, Any]) -> None:
    """Without any trouble: what all others are compared with."""
    with tinker.ServiceClient() as service:
        saw["losses"] = losses(service)
        saw["sample"] = sampled(service.create_sampling_client(base_model=BASE_MODEL).result())


def chunks_in_any_order(saw: dict[str, Any]) -> None:
    """Three chunks to a batch, the first of which is sent last."""
    behave(client_config={"parallel_fwdbwd_chunks": True, "fwdbwd_max_chunk_len": 2})
    with tinker.ServiceClient() as service:
        before = asked("forward_backward")
        saw["losses in chunks"] = losses(service)
        saw["chunks"] = asked("forward_backward") - before


def held_and_announced(saw: dict[str, Any]) -> None:
    """Polls that are answered 408 at once, for slow operations, and every result announced before it is sent."""
    behave(hold_seconds=0.05, queue_state="paused_capacity", queue_state_reason="busy", inline_bytes=0)
    fault("slow", route="^forward_backward ", delay=0.5, count=1)
    with tinker.ServiceClient() as service:
        saw["losses announced"] = losses(service)


def pushed_back(saw: dict[str, Any]) -> None:
    """One sample at a time: the SDK waits a second and asks again."""
    behave(sample_queue=1)
    with tinker.ServiceClient() as service:
        sampler = service.create_sampling_client(base_model=BASE_MODEL).result()
        fault("slow", route="^sample ", delay=1.5, count=1)
        pending = [sampler.sample(PROMPT, 1, PARAMS) for _ in range(3)]
        saw["pushed back"] = [list(one.result().sequences[0].tokens) for one in pending]


def told_of_many(saw: dict[str, Any]) -> None:
    """The SDK asks which samples have ended in place of polling each, in two clients of one session."""
    behave(client_config={"sample_use_retrieve_futures": True, "sample_join_sampling_session": True})
    with tinker.ServiceClient() as service:
        sampler = service.create_sampling_client(base_model=BASE_MODEL).result()
        clone = tinker.SamplingClient.from_sampler_handle(sampler.get_sampler_handle())
        pending = [one.sample(PROMPT, 1, PARAMS) for one in (sampler, clone) for _ in range(5)]
        saw["told of many"] = [list(one.result().sequences[0].tokens) for one in pending]
        saw["asked for many"] = asked("retrieve_futures")
        saw["joined"] = asked("join_sampling_session")


def cancelled(saw: dict[str, Any]) -> None:
    """A sample that nobody waits for any more is cancelled at the service too."""
    behave(dynamic_config={"sample_cancel_enabled": True})
    with tinker.ServiceClient() as service:
        sampler = service.create_sampling_client(base_model=BASE_MODEL).result()
        before, cancels = asked("asample"), asked("cancel_future")
        fault("slow", route="^sample ", delay=600, count=1)
        unwanted = sampler.sample(PROMPT, 1, PARAMS)
        wait_until(lambda: asked("asample") > before and asked("retrieve_future") > 0)
        unwanted.future().cancel()
        wait_until(lambda: asked("cancel_future") > cancels)
        saw["after a cancel"] = sampled(sampler)


def lost(saw: dict[str, Any]) -> None:
    """A lost sample is asked for again by the SDK itself; a lost step is the user's to deal with."""
    with tinker.ServiceClient() as service:
        sampler = service.create_sampling_client(base_model=BASE_MODEL).result()
        fault("lose-result", route="^sample ", count=1)
        saw["after a loss"] = sampled(sampler)
        client = service.create_lora_training_client(BASE_MODEL, rank=4).result()
        fault("lose-result", route="^forward_backward ", count=1)
        saw["lost step"] = error_of(lambda: client.forward_backward(batch(), "cross_entropy").result())


def failed(saw: dict[str, Any]) -> None:
    """The category arrives."""
    with tinker.ServiceClient() as service:
        client = service.create_lora_training_client(BASE_MODEL, rank=4).result()
        outcomes = []
        for category in ("user", "server", "unknown"):
            fault("fail", route="^forward_backward ", count=1, category=category)
            outcomes.append(error_of(lambda: client.forward_backward(batch(), "cross_entropy").result()))
        saw["failed"] = outcomes
        fault("corrupt", route=client.model_id, step=1)
        client.forward_backward(batch(), "cross_entropy").result()
        saw["corrupting"] = error_of(lambda: client.optim_step(types.AdamParams()).result())
        saw["corrupted"] = error_of(lambda: client.save_state("a").result())


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not happen")
        time.sleep(0.05)


SCENES = (
    whole_batches,
    chunks_in_any_order,
    held_and_announced,
    pushed_back,
    told_of_many,
    cancelled,
    lost,
    failed,
)


def main() -> None:
    """Scene after scene."""
    witness = Witness()
    with witness.listening():
        for scene in SCENES:
            scene(witness.saw)
            httpx.delete(f"{ADMIN}/faults").raise_for_status()
    witness.tell()


if __name__ == "__main__":
    main()
