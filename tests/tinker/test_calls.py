"""Every call of the official SDK is a call of ours, written as it writes it; and which of them may be repeated."""

import ast
import inspect
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tinker
from pydantic import SecretStr
from tinker import types

from tinker_operator.tinker import LoraConfig, TinkerPath, calls
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import CallNotPossible

pytestmark = pytest.mark.pure

SDK = Path(inspect.getfile(tinker)).parent
PATH = TinkerPath.parse("tinker://RUN/weights/NAME")
TOKEN = SecretStr("opens-it")

OURS: dict[str, Call] = {
    "healthz": calls.healthz(),
    "server_capabilities": calls.server_capabilities(),
    "client_config": calls.client_config(),
    "dynamic_config": calls.dynamic_config(),
    "auth_token": calls.auth_token(),
    "create_session": calls.create_session(("a",), {"k": "v"}, "key", "project", "name"),
    "heartbeat": calls.heartbeat("SESSION", 10),
    "finish_session": calls.finish_session("SESSION", "success", None),
    "sessions": calls.sessions(0, 20, "owned"),
    "session": calls.session("SESSION", "accessible"),
    "search_sessions": calls.search_sessions({"limit": 50}),
    "assign_session_project": calls.assign_session_project("SESSION", "project"),
    "trace_export": calls.trace_export("SESSION"),
    "get_info": calls.get_info("m"),
    "create_model": calls.create_model("s", 0, "Q", LoraConfig(rank=8, seed=3), {"k": "v"}),
    "load_weights": calls.load_weights("s", 0, PATH, True, {"k": "v"}, base_model="Q", weights_access_token=TOKEN),
    "load_weights_into": calls.load_weights_into("m", 1, PATH, True, TOKEN),
    "forward_backward": calls.forward_backward(b""),
    "optim_step": calls.optim_step("m", 1, {"learning_rate": 0.1}),
    "save_weights": calls.save_weights("m", 1, "n", ttl_seconds=3600, overwrite=True, user_metadata={"k": "v"}),
    "save_weights_for_sampler": calls.save_weights_for_sampler("m", 1, "n", 3600, {"k": "v"}),
    "snapshot_for_sampler": calls.snapshot_for_sampler("m", 1, 2),
    "save_weights_external": calls.save_weights_external("m", 1, "n", 3600, ("age1",)),
    "retrieve_future": calls.retrieve_future("r", 45),
    "cancel_future": calls.cancel_future("r"),
    "create_sampling_session": calls.create_sampling_session("s", 0, str(PATH), "Q"),
    "join_sampling_session": calls.join_sampling_session("x"),
    "sampler": calls.sampler("SAMPLER"),
    "asample": calls.asample({"sampling_session_id": "x", "seq_id": 0}),
    "training_runs": calls.training_runs(0, 20, "owned", "project"),
    "training_run": calls.training_run("RUN"),
    "checkpoints": calls.checkpoints("RUN", 0),
    "user_checkpoints": calls.user_checkpoints(0, 100),
    "delete_checkpoint": calls.delete_checkpoint(PATH),
    "publish_checkpoint": calls.publish_checkpoint(PATH),
    "unpublish_checkpoint": calls.unpublish_checkpoint(PATH),
    "set_checkpoint_ttl": calls.set_checkpoint_ttl(PATH, None),
    "external_weights_urls": calls.external_weights_urls(PATH),
    "archive": calls.archive(PATH),
    "weights_info": calls.weights_info(PATH),
    "copy_weights": calls.copy_weights(
        PATH,
        "key",
        project_id="p",
        session_id=None,
        model_seq_id=None,
        ttl_seconds=3600,
        weights_access_token=TOKEN,
    ),
}
"""One example of each call."""

NOT_OURS = {
    ("POST", "telemetry"): "tells the service about its client; this one tells nothing",
    ("POST", "retrieve_futures"): "asks for many results at once, where a service wants that; each can be asked for",
    ("POST", "create_custom_loss"): "uploads a traced graph of an array library, which this package has not",
    ("GET", "audit"): "for administrators",
    ("GET", "billing/usage/events"): "for administrators",
    ("GET", "billing/usage/checkpoints/current"): "for administrators",
    ("GET", "auth/apikey/me"): "belongs to the log-in of the SDK's own command",
    ("DELETE", "auth/apikey/me"): "belongs to the log-in of the SDK's own command",
}
NOT_THEIRS = {("GET", "training_runs/*/checkpoints/*/archive"): "older releases had it, and older services have it"}


def routes_of(file: Path) -> set[tuple[str, str]]:
    """Find each place where a module of the SDK sends something: a method, and a path with `*` for what varies."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        texts = [_text(argument) for argument in node.args]
        paths = [text.removeprefix("/api/v1/") for text in texts if text.startswith("/api/v1/")]
        said = [text for text in texts if text in {"GET", "POST", "PUT", "DELETE"}]
        method = said[0] if said else name.strip("_").upper()
        found |= {(method, path) for path in paths}
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return ""


@cache
def theirs() -> set[tuple[str, str]]:
    folders = (SDK / "resources", SDK / "lib", SDK / "cli")
    files = [file for folder in folders for file in folder.rglob("*.py") if not file.name.endswith("_test.py")]
    return {found for file in files for found in routes_of(file)}


def ours() -> set[tuple[str, str]]:
    varying = re.compile(r"RUN|SESSION|SAMPLER|weights/NAME")
    return {(call.method, varying.sub("*", call.route)) for call in OURS.values()}


def test_every_route_of_the_sdk_is_a_call_of_ours_or_named_with_a_reason() -> None:
    assert theirs() - ours() == set(NOT_OURS)
    assert ours() - theirs() == set(NOT_THEIRS)


def test_the_routes_of_the_sdk_are_found() -> None:
    """The law above can fail: a route without a method, or none at all, would make it empty."""
    found = theirs()
    assert len(found) > 40
    assert {method for method, _ in found} == {"GET", "POST", "PUT", "DELETE"}


def test_every_builder_of_a_call_has_an_example() -> None:
    builders = {
        name
        for name, thing in vars(calls).items()
        if inspect.isfunction(thing) and inspect.signature(thing).return_annotation is Call
    }
    assert builders - {"posted"} == set(OURS)


ONCE = {
    "heartbeat": "the next beat is the repetition",
    "retrieve_future": "polling has a law of its own",
    "asample": "whoever samples waits out a busy service",
    "join_sampling_session": "each time gives another number",
    "delete_checkpoint": "another may have been saved under the name",
    "publish_checkpoint": "a second time is a conflict",
    "unpublish_checkpoint": "a second time is a conflict",
    "archive": "503 says that it is being built",
}
RECOGNISED = {
    "create_session": "X-Idempotency-Key",
    "copy_weights": "X-Idempotency-Key",
    "create_model": ("session_id", "model_seq_id"),
    "load_weights": ("session_id", "model_seq_id"),
    "load_weights_into": ("model_id", "seq_id"),
    "optim_step": ("model_id", "seq_id"),
    "save_weights": ("model_id", "seq_id"),
    "save_weights_for_sampler": ("model_id", "seq_id"),
    "snapshot_for_sampler": ("model_id", "seq_id"),
    "save_weights_external": ("model_id", "seq_id"),
    "create_sampling_session": ("session_id", "sampling_session_seq_id"),
    "forward_backward": "in the message",
}
"""By what the service knows a repetition of what makes something."""
SETS_A_STATE = {"finish_session", "assign_session_project", "set_checkpoint_ttl", "cancel_future", "auth_token"}
READS = {"client_config", "dynamic_config", "get_info", "weights_info", "search_sessions"}
"""Reads that travel as POST."""


@pytest.mark.parametrize("name", OURS)
def test_only_what_the_service_recognises_is_repeated(name: str) -> None:
    call = OURS[name]
    harmless = call.method == "GET" or name in READS | SETS_A_STATE
    assert call.repeatable is (name not in ONCE)
    assert (name in ONCE) + (name in RECOGNISED) + (harmless and name not in ONCE) == 1
    known_by = RECOGNISED.get(name)
    if isinstance(known_by, tuple):
        assert set(known_by) <= json.loads(call.content or b"").keys()
    if known_by == "X-Idempotency-Key":
        assert dict(call.headers)[known_by] == "key"


SAID: dict[str, Any] = {
    "create_model": types.CreateModelRequest(
        session_id="s",
        model_seq_id=0,
        base_model="Q",
        user_metadata={"k": "v"},
        lora_config=types.LoraConfig(rank=8, seed=3),
    ),
    "load_weights": types.LoadWeightsRequest(
        session_id="s",
        model_seq_id=0,
        path=str(PATH),
        optimizer=True,
        user_metadata={"k": "v"},
        base_model="Q",
        weights_access_token="opens-it",
    ),
    "load_weights_into": types.LoadWeightsRequest(
        model_id="m", seq_id=1, path=str(PATH), optimizer=True, weights_access_token="opens-it"
    ),
    "save_weights": types.SaveWeightsRequest(
        model_id="m", seq_id=1, path="n", ttl_seconds=3600, overwrite=True, user_metadata={"k": "v"}
    ),
    "save_weights_for_sampler": types.SaveWeightsForSamplerRequest(
        model_id="m", seq_id=1, path="n", ttl_seconds=3600, user_metadata={"k": "v"}
    ),
    "snapshot_for_sampler": types.SaveWeightsForSamplerRequest(model_id="m", seq_id=1, sampling_session_seq_id=2),
    "save_weights_external": types.SaveWeightsExternalRequest(
        model_id="m", seq_id=1, path="n", ttl_seconds=3600, age_encryption_recipients=["age1"]
    ),
    "create_sampling_session": types.CreateSamplingSessionRequest(
        session_id="s", sampling_session_seq_id=0, model_path=str(PATH), base_model="Q"
    ),
    "join_sampling_session": types.JoinSamplingSessionRequest(sampling_session_id="x"),
    "get_info": types.GetInfoRequest(model_id="m"),
    "create_session": types.CreateSessionRequest(
        tags=["a"], user_metadata={"k": "v"}, sdk_version="0.38.0", project_id="project", display_name="name"
    ),
    "copy_weights": types.CopyWeightsRequest(source_path=str(PATH), destination_project_id="p", ttl_seconds=3600),
}


@pytest.mark.parametrize("name", SAID)
def test_a_body_is_the_one_that_the_sdk_sends(name: str) -> None:
    assert json.loads(OURS[name].content or b"") == SAID[name].model_dump(mode="json", exclude_none=True)


def test_no_expiry_is_said_and_not_left_out() -> None:
    assert json.loads(calls.set_checkpoint_ttl(PATH, None).content or b"") == {"ttl_seconds": None}


def test_nothing_that_opens_something_is_shown_with_a_call() -> None:
    for call in OURS.values():
        assert "opens-it" not in repr(call)


def copied(**changes: Any) -> Call:
    usual: dict[str, Any] = {"project_id": "p", "session_id": None, "model_seq_id": None, "ttl_seconds": None}
    return calls.copy_weights(PATH, **({"idempotency_key": "k", "weights_access_token": None} | usual | changes))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: calls.create_sampling_session("s", 0, None, None), id="nothing to sample from"),
        pytest.param(lambda: copied(project_id=None), id="a copy to nowhere"),
        pytest.param(lambda: copied(session_id="s", model_seq_id=0), id="a copy to two places"),
        pytest.param(lambda: copied(project_id=None, session_id="s"), id="a copy into a session without a number"),
        pytest.param(lambda: copied(model_seq_id=0), id="a number without a session"),
        pytest.param(lambda: copied(idempotency_key="a\r\nX-Other: 1"), id="a key that would add a header"),
        pytest.param(lambda: copied(weights_access_token=SecretStr("a\nb")), id="a token that would add a header"),
        pytest.param(lambda: copied(weights_access_token=SecretStr("")), id="an empty token"),
        pytest.param(lambda: calls.session("a/b", "owned"), id="a session id of two segments"),
        pytest.param(lambda: calls.sampler(".."), id="a sampler id that a URL collapses"),
        pytest.param(lambda: calls.optim_step("m", 1, {"learning_rate": float("nan")}), id="a rate that is no number"),
    ],
)
def test_what_cannot_be_meant_is_refused(build: Callable[[], Call]) -> None:
    with pytest.raises(CallNotPossible):
        build()


@pytest.mark.parametrize("name", OURS)
def test_what_calls_are_counted_by_names_no_run_no_session_and_no_checkpoint(name: str) -> None:
    """There is no end to those, but there is to templates."""
    call = OURS[name]
    assert not re.findall(r"RUN|SESSION|SAMPLER|NAME|step-", call.template)
    assert len(call.template.split("/")) == len(call.route.split("/"))


@pytest.mark.parametrize(
    ("call", "template"),
    [
        pytest.param(OURS["search_sessions"], "sessions/search", id="a word of the route's own stays"),
        pytest.param(OURS["checkpoints"], "training_runs/{id}/checkpoints", id="a run is taken out"),
        pytest.param(
            calls.delete_checkpoint(PATH), "training_runs/{id}/checkpoints/weights/{name}", id="and a checkpoint"
        ),
    ],
)
def test_a_template_says_what_kind_of_thing_is_asked_for(call: Call, template: str) -> None:
    assert call.template == template
