"""A loop that trains until it is told how many steps are enough, and prints a line for each step."""

import sys

import tinker
from tinker import types


def main() -> None:
    """Take as many steps as the first argument says."""
    datum = types.Datum(
        model_input=types.ModelInput.from_ints(list(range(20))),
        loss_fn_inputs={
            "target_tokens": types.TensorData(data=list(range(1, 21)), dtype="int64"),
            "weights": types.TensorData(data=[1.0] * 20, dtype="float32"),
        },
    )
    with tinker.ServiceClient() as service:
        client = service.create_lora_training_client(base_model="Qwen/Qwen3-8B", rank=4, seed=1).result()
        for _ in range(int(sys.argv[1])):
            gradient = client.forward_backward([datum], "cross_entropy")
            client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
            sys.stdout.write(f"{gradient.result().metrics['loss:sum']!r}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
