"""A training loop as its users write it, with the official SDK alone; prints what it saw as one JSON document.

Run as a process of its own, so that every warning the SDK logs or raises is seen, and its threads end with it.
"""

import json
import logging
import sys
import warnings
from typing import Any

import tinker
from tinker import types

BASE_MODEL = "Qwen/Qwen3-8B"


class Heard(logging.Handler):
    """Keeps what is logged at WARNING or above, by whomever."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


def batch() -> list[types.Datum]:
    """Count from each of four numbers."""
    return [
        types.Datum(
            model_input=types.ModelInput.from_ints(list(range(start, start + 20))),
            loss_fn_inputs={
                "target_tokens": types.TensorData(data=list(range(start + 1, start + 21)), dtype="int64"),
                "weights": types.TensorData(data=[1.0] * 20, dtype="float32"),
            },
        )
        for start in range(0, 40, 10)
    ]


def train(client: tinker.TrainingClient, steps: int) -> list[float]:
    """Take steps, both halves submitted before either is waited for, and return the loss before each."""
    losses = []
    for _ in range(steps):
        gradient = client.forward_backward(batch(), "cross_entropy")
        step = client.optim_step(types.AdamParams(learning_rate=1e-2))
        losses.append(gradient.result().metrics["loss:sum"])
        step.result()
    return losses


def journey(service: tinker.ServiceClient, saw: dict[str, Any]) -> None:
    """Train, save, resume both ways, sample, and look after the checkpoints."""
    client = service.create_lora_training_client(
        base_model=BASE_MODEL, rank=8, seed=3, user_metadata={"experiment": "journey"}
    ).result()
    saw["info"] = client.get_info().model_dump(mode="json")
    saw["first losses"] = train(client, 5)
    saved = client.save_state("step-5", user_metadata={"step": "5", "loss": "1.5"}).result().path
    saw["saved"] = saved
    saw["forward"] = client.forward(batch(), "cross_entropy").result().metrics["loss:sum"]
    saw["uninterrupted"] = train(client, 10)
    resumed = service.create_training_client_from_state_with_optimizer(saved, user_metadata={"from": saved}).result()
    saw["resumed"] = train(resumed, 10)
    saw["resumed run"] = resumed.model_id
    saw["resumed bare"] = train(service.create_training_client_from_state(saved).result(), 10)
    client.save_state("step-5", overwrite=True, ttl_seconds=7200).result()
    sampling(service, client, saw)
    caretaking(client.model_id, saved, saw)


def sampling(service: tinker.ServiceClient, client: tinker.TrainingClient, saw: dict[str, Any]) -> None:
    """The same tokens from a named checkpoint and from a snapshot, and a prompt's log-probabilities."""
    prompt, params = types.ModelInput.from_ints([1, 2, 3]), types.SamplingParams(max_tokens=6, seed=1)
    path = client.save_weights_for_sampler("final").result().path
    named = service.create_sampling_client(model_path=path).result()
    snapshot = client.save_weights_and_get_sampling_client().result()
    base = service.create_sampling_client(base_model=BASE_MODEL).result()
    for name, sampler in (("named", named), ("snapshot", snapshot), ("base", base)):
        drawn = sampler.sample(prompt, num_samples=2, sampling_params=params).result()
        saw[f"drawn from {name}"] = [list(sequence.tokens) for sequence in drawn.sequences]
    saw["prompt logprobs"] = named.compute_logprobs(prompt).result()


def caretaking(run: str, saved: str, saw: dict[str, Any]) -> None:
    """Everything that the REST client does to runs and checkpoints."""
    rest = tinker.RestClient()
    saw["runs"] = [found.training_run_id for found in rest.list_training_runs().result().training_runs]
    saw["run"] = rest.get_training_run(run).result().model_dump(mode="json")
    saw["run by path"] = rest.get_training_run_by_tinker_path(saved).result().training_run_id
    rest.publish_checkpoint_from_tinker_path(saved).result()
    rest.set_checkpoint_ttl_from_tinker_path(saved, None).result()
    saw["checkpoints"] = [found.model_dump(mode="json") for found in rest.list_checkpoints(run).result().checkpoints]
    rest.unpublish_checkpoint_from_tinker_path(saved).result()
    saw["weights"] = rest.get_weights_info_by_tinker_path(saved).result().model_dump(mode="json")
    rest.delete_checkpoint(run, "sampler_weights/final").result()
    saw["left"] = [found.tinker_path for found in rest.list_user_checkpoints().result().checkpoints]
    saw["models"] = [model.model_name for model in rest.get_server_capabilities().result().supported_models]
    session = run.split(":", maxsplit=1)[0]
    saw["session"] = rest.get_session(session).result().model_dump(mode="json")
    saw["sessions"] = rest.list_sessions().result().sessions
    try:
        rest.get_training_run("no-such-run").result()
    except tinker.NotFoundError as missing:
        saw["missing"] = str(missing)


def main() -> None:
    """Go, and tell."""
    heard, saw = Heard(), dict[str, Any]()
    logging.getLogger().addHandler(heard)
    for name in [*logging.root.manager.loggerDict]:
        logging.getLogger(name).propagate = True
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        with tinker.ServiceClient(user_metadata={"who": "journey"}) as service:
            journey(service, saw)
    # A RestClient has no way to be closed: that its sockets are left open is the SDK's own affair.
    told = [warning for warning in raised if not issubclass(warning.category, ResourceWarning)]
    saw["warnings"] = heard.lines + [f"{warning.category.__name__}: {warning.message}" for warning in told]
    json.dump(saw, sys.stdout)


if __name__ == "__main__":
    main()
