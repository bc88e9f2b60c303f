"""A loop of the official SDK in a process of its own; prints what it saw as JSON.

Usage: sdk_trainer.py train | resume <path>, with TINKER_BASE_URL and TINKER_API_KEY set.
"""

import json
import sys

import tinker
from tinker import types

BASE_MODEL, RANK, SEED, RATE, TOKENS = "Qwen/Qwen3-8B", 4, 5, 2e-2, 12
STARTS = (0, 7, 21)


def batch() -> list[types.Datum]:
    """Count from each of a few numbers."""
    return [
        types.Datum(
            model_input=types.ModelInput.from_ints(list(range(start, start + TOKENS))),
            loss_fn_inputs={
                "target_tokens": types.TensorData(data=list(range(start + 1, start + TOKENS + 1)), dtype="int64"),
                "weights": types.TensorData(data=[1.0] * TOKENS, dtype="float32"),
            },
        )
        for start in STARTS
    ]


def train(client: tinker.TrainingClient, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        gradient = client.forward_backward(batch(), "cross_entropy")
        step = client.optim_step(types.AdamParams(learning_rate=RATE))
        losses.append(gradient.result().metrics["loss:sum"])
        step.result()
    return losses


def main() -> None:
    with tinker.ServiceClient() as service:
        if sys.argv[1] == "resume":
            resumed = service.create_training_client_from_state_with_optimizer(sys.argv[2]).result()
            saw: dict[str, object] = {"losses": train(resumed, 10)}
        else:
            client = service.create_lora_training_client(base_model=BASE_MODEL, rank=RANK, seed=SEED).result()
            train(client, 5)
            path = client.save_state("theirs").result().path
            saw = {"path": path, "losses": train(client, 10)}
    json.dump(saw, sys.stdout)


if __name__ == "__main__":
    main()
