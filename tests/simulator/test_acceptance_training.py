"""The official SDK, unmodified: every public method of the clients that train and sample, without a complaint."""

import importlib.util
import inspect
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tinker
from tests.leaving import USING_THE_SDK
from tests.simulator.bare import Served

pytestmark = pytest.mark.http

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "sdk"
CLIENTS = (tinker.ServiceClient, tinker.TrainingClient, tinker.SamplingClient)

Saw = dict[str, Any]

NOT_CALLED: dict[str, str] = {
    "TrainingClient.get_tokenizer": "fetches the tokenizer of a real model from another service",
    "SamplingClient.get_tokenizer": "fetches the tokenizer of a real model from another service",
}
NEEDS_TORCH: dict[str, str] = dict.fromkeys(
    (
        "ServiceClient.create_custom_loss",
        "TrainingClient.forward_backward_custom",
        "TrainingClient.forward_backward_custom_async",
    ),
    "runs on PyTorch, which the SDK does not bring along; what it sends is an ordinary cross_entropy pass",
)


def run_script(name: str, url: str, key: str, *arguments: str) -> Saw:
    """What a script told; it ended well, and said nothing on stderr."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TINKER_")}
    done = subprocess.run(
        [*USING_THE_SDK, str(SCRIPTS / name), *arguments],
        env={**inherited, "TINKER_BASE_URL": url, "TINKER_API_KEY": key, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    document: Saw = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def saw(shared: Served, next_key: Callable[[], str]) -> Saw:
    """What one journey through all methods saw."""
    return run_script("acceptance.py", shared.url, next_key())


def public_methods() -> set[str]:
    return {
        f"{client.__name__}.{name}"
        for client in CLIENTS
        for name, _ in inspect.getmembers(client)
        if not name.startswith("_")
    }


def test_every_public_method_is_called_or_named_with_a_reason(saw: Saw) -> None:
    """A method that a later SDK brings fails this, until it is called or excluded."""
    excluded = NOT_CALLED if importlib.util.find_spec("torch") else NOT_CALLED | NEEDS_TORCH

    assert set(saw["called"]) == public_methods() - set(excluded)


def test_the_sdk_complains_of_nothing(saw: Saw) -> None:
    """No log record of WARNING or above, no Python warning; a deprecated method says so of itself, and no more."""
    assert saw["complaints"] == []
    named = [method for method in saw["called"] if f"{method}()" in " ".join(saw["deprecated"])]
    assert [method for method in saw["called"] if method.endswith("_async") and method not in named] == [
        "TrainingClient.load_state_async",
        "TrainingClient.load_state_with_optimizer_async",
    ]
    assert any("TrainingClient.load_state*()" in message for message in saw["deprecated"])


def test_the_loss_falls_on_text_and_pictures(saw: Saw) -> None:
    """With every step."""
    losses = saw["losses"] + saw["uninterrupted"]

    assert losses == sorted(losses, reverse=True)
    assert len(saw["scored"]) == 12


def test_the_losses_of_reinforcement_learning_differ_and_are_finite(saw: Saw) -> None:
    """Each is computed by its own formula."""
    losses = saw["policy losses"]

    assert set(losses) == {"importance_sampling", "ppo", "cispo", "dro", "gspo"}
    assert len(set(losses.values())) == len(losses)


def test_restoring_with_the_optimizer_continues_the_identical_trajectory_and_without_gives_another(saw: Saw) -> None:
    """The weights are the same in both, so the first loss is."""
    assert saw["resumed"] == saw["uninterrupted"]
    assert saw["resumed bare"][0] == saw["uninterrupted"][0]
    assert all(one != other for one, other in zip(saw["resumed bare"][1:], saw["uninterrupted"][1:], strict=True))


def test_the_same_seed_and_weights_give_the_same_samples_whichever_way_the_client_was_had(saw: Saw) -> None:
    """By path, from the training client, as a snapshot, in flight, from an export, from a handle."""
    drawn = saw["drawn"]

    assert len(drawn) == 7
    assert {json.dumps(tokens) for tokens in drawn.values()} == {json.dumps(drawn["path"])}
    assert [len(tokens) for tokens in drawn["path"]] == [6, 6]
    assert drawn["path"][0] != drawn["path"][1]


def test_a_prompt_is_scored_as_asked(saw: Saw) -> None:
    """The first token has no score; a score at the end alone is that of the whole; every form agrees."""
    asked, prompt = saw["asked"], saw["prompt"]

    assert prompt[0] is None
    assert all(logprob < 0 for logprob in prompt[1:])
    assert saw["prompt end"] == [None, None, *prompt[2:]]
    assert asked["prompt"] == prompt
    assert [row and len(row) for row in asked["prompt topk"]] == [None, 3, 3, 3]
    assert [row[0] for row in asked["target"]] == prompt[1:]
    assert [row[1] == 0 for row in asked["target"]] == [True, False, True]
    assert [len(row) for row in asked["alternatives"]] == [2, 2, 2]
    assert [len(row) for row in asked["topk"]] == [2] * len(asked["logprobs"])
    assert asked["id"].endswith(":0")


def test_what_is_saved_is_told_by_its_path(saw: Saw) -> None:
    """Exports and copies too; the deprecated loads answer with the path that they loaded."""
    run = saw["info"]["model_id"]

    assert saw["saved"] == f"tinker://{run}/weights/step-6"
    assert saw["external"] == f"tinker://{run}/external_weights/export"
    assert saw["copied"].endswith("/weights/step-6")
    assert run not in saw["copied"]
    assert saw["loaded"] == [saw["saved"]] * 4
    assert run.startswith(saw["holder"])
