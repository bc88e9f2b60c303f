"""Calls that make models, step them and save them. All but `get_info` begin work that a future waits for.

Every one may be repeated: the service knows them again by (session_id, model_seq_id) or by (model_id, seq_id).
"""

from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from tinker_operator.tinker.calls.call import PROTOBUF, Call, json_body, posted
from tinker_operator.tinker.models import LoraConfig
from tinker_operator.tinker.paths import TinkerPath

CANCEL_SECONDS = 30.0
"""As long as the official client waits for a cancellation."""


def get_info(model_id: str) -> Call:
    """Ask what a live model is."""
    return posted("get_info", {"model_id": model_id})


def create_model(
    session_id: str, model_seq_id: int, base_model: str, lora: LoraConfig, user_metadata: Mapping[str, str]
) -> Call:
    """Make a fresh run; the service knows a repetition by (session_id, model_seq_id)."""
    body = {
        "session_id": session_id,
        "model_seq_id": model_seq_id,
        "base_model": base_model,
        "user_metadata": dict(user_metadata),
        "lora_config": lora.model_dump(mode="json", exclude_none=True),
        "optimizer_config": {"type": "adamw"},
    }
    return posted("create_model", body)


def load_weights(
    session_id: str,
    model_seq_id: int,
    path: TinkerPath,
    optimizer: bool,
    user_metadata: Mapping[str, str],
    *,
    base_model: str | None = None,
    weights_access_token: SecretStr | None = None,
) -> Call:
    """Make a run from a checkpoint; the service knows a repetition by (session_id, model_seq_id)."""
    body = {
        "session_id": session_id,
        "model_seq_id": model_seq_id,
        "path": str(path),
        "optimizer": optimizer,
        "user_metadata": dict(user_metadata),
        "base_model": base_model,
        "weights_access_token": _shown(weights_access_token),
    }
    return posted("load_weights", body)


def load_weights_into(
    model_id: str, seq_id: int, path: TinkerPath, optimizer: bool, weights_access_token: SecretStr | None = None
) -> Call:
    """Load a checkpoint into a run that exists: the older form."""
    body = {
        "model_id": model_id,
        "seq_id": seq_id,
        "path": str(path),
        "optimizer": optimizer,
        "weights_access_token": _shown(weights_access_token),
    }
    return posted("load_weights", body)


def forward_backward(request: bytes) -> Call:
    """Sum a gradient, or only compute the loss; the request, a protobuf message, holds the model and the number."""
    return Call("POST", "forward_backward", content=request, headers=(("Content-Type", PROTOBUF),))


def optim_step(model_id: str, seq_id: int, adam_params: Mapping[str, float]) -> Call:
    """Spend the summed gradient."""
    return posted("optim_step", {"model_id": model_id, "seq_id": seq_id, "adam_params": dict(adam_params)})


def save_weights(
    model_id: str,
    seq_id: int,
    name: str,
    *,
    ttl_seconds: int | None,
    overwrite: bool,
    user_metadata: Mapping[str, str] | None,
) -> Call:
    """Store a checkpoint that training can go on from."""
    body = {
        "model_id": model_id,
        "seq_id": seq_id,
        "path": name,
        "ttl_seconds": ttl_seconds,
        "overwrite": overwrite,
        "user_metadata": None if user_metadata is None else dict(user_metadata),
    }
    return posted("save_weights", body)


def save_weights_for_sampler(
    model_id: str, seq_id: int, name: str, ttl_seconds: int | None, user_metadata: Mapping[str, str] | None
) -> Call:
    """Store a named checkpoint for sampling."""
    body = {
        "model_id": model_id,
        "seq_id": seq_id,
        "path": name,
        "kind": "snapshot",
        "ttl_seconds": ttl_seconds,
        "user_metadata": None if user_metadata is None else dict(user_metadata),
    }
    return posted("save_weights_for_sampler", body)


def snapshot_for_sampler(model_id: str, seq_id: int, sampling_session_seq_id: int) -> Call:
    """Open a sampling session on the weights of this moment, without a checkpoint that is listed."""
    body = {
        "model_id": model_id,
        "seq_id": seq_id,
        "sampling_session_seq_id": sampling_session_seq_id,
        "kind": "snapshot",
    }
    return posted("save_weights_for_sampler", body)


def save_weights_external(
    model_id: str, seq_id: int, name: str, ttl_seconds: int | None, age_recipients: Sequence[str]
) -> Call:
    """Store the weights as files for use outside the service, encrypted to the recipients where there are any."""
    body = {
        "model_id": model_id,
        "seq_id": seq_id,
        "path": name,
        "ttl_seconds": ttl_seconds,
        "age_encryption_recipients": list(age_recipients) or None,
    }
    return posted("save_weights_external", body)


def retrieve_future(request_id: str, seconds: float, *, protobuf: bool = False) -> Call:
    """Ask for a result. Not repeated by the transport: polling has a law of its own."""
    body = json_body({"request_id": request_id, "allow_metadata_only": False})
    headers = (("Accept", PROTOBUF),) if protobuf else ()
    return Call("POST", "retrieve_future", content=body, headers=headers, repeatable=False, seconds=seconds)


def cancel_future(request_id: str) -> Call:
    """Say that nobody waits for a result any more."""
    return Call("POST", "cancel_future", content=json_body({"request_id": request_id}), seconds=CANCEL_SECONDS)


def _shown(token: SecretStr | None) -> str | None:
    return None if token is None else token.get_secret_value()
