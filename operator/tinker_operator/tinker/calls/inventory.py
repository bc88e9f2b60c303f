"""Calls about what the service keeps: runs and their checkpoints."""

from http import HTTPStatus
from typing import Final

from pydantic import SecretStr

from tinker_operator.tinker.calls.call import (
    AccessScope,
    Call,
    checkpoint_route,
    idempotency_header,
    json_body,
    run_route,
    stated,
)
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath

REDIRECTS: Final = frozenset({HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.SEE_OTHER})


def training_runs(offset: int, limit: int, access_scope: AccessScope = "owned", project_id: str | None = None) -> Call:
    """Ask for one page of runs."""
    query = (("limit", str(limit)), ("offset", str(offset)), ("access_scope", access_scope))
    return Call("GET", "training_runs", query if project_id is None else (*query, ("project_id", project_id)))


def training_run(run_id: str, access_scope: AccessScope = "owned") -> Call:
    """Ask for one run."""
    return Call("GET", run_route(run_id), (("access_scope", access_scope),))


def checkpoints(run_id: str, offset: int) -> Call:
    """Ask for a run's checkpoints. Official services do not page them, so only a later page names its offset."""
    query = (("offset", str(offset)),) if offset else ()
    return Call("GET", run_route(run_id, "checkpoints"), query)


def user_checkpoints(offset: int, limit: int) -> Call:
    """Ask for one page of all checkpoints of the key's owner, newest first."""
    return Call("GET", "checkpoints", (("limit", str(limit)), ("offset", str(offset))))


def delete_checkpoint(path: TinkerPath) -> Call:
    """Delete one checkpoint; for good. Not repeated: another one may have been saved under the name meanwhile."""
    return Call("DELETE", checkpoint_route(path), repeatable=False)


def publish_checkpoint(path: TinkerPath) -> Call:
    """Let everybody use a checkpoint. Not repeated: what is public already is answered with a conflict."""
    return Call("POST", checkpoint_route(path, "publish"), repeatable=False)


def unpublish_checkpoint(path: TinkerPath) -> Call:
    """Take a checkpoint back. Not repeated: what is private already is answered with a conflict."""
    return Call("DELETE", checkpoint_route(path, "publish"), repeatable=False)


def set_checkpoint_ttl(path: TinkerPath, ttl_seconds: int | None) -> Call:
    """Say how long from now a checkpoint lives; None, said as null, is for ever."""
    return Call("PUT", checkpoint_route(path, "ttl"), content=json_body({"ttl_seconds": ttl_seconds}))


def external_weights_urls(path: TinkerPath) -> Call:
    """Ask where the files of an external checkpoint are."""
    return Call("GET", checkpoint_route(path, "external_weights_urls"))


def archive(path: TinkerPath) -> Call:
    """Ask where the archive of a checkpoint is, as older services answer: with a redirect, which is not followed.

    503 says that it is being built, so the service is asked once and whoever calls decides when to ask again.
    """
    answers = REDIRECTS | {HTTPStatus.SERVICE_UNAVAILABLE}
    return Call("GET", checkpoint_route(path, "archive"), repeatable=False, answers=answers)


def weights_info(path: TinkerPath) -> Call:
    """Ask what a checkpoint was trained as."""
    return Call("POST", "weights_info", content=json_body({"tinker_path": str(path)}))


def copy_weights(
    source: TinkerPath,
    idempotency_key: str,
    *,
    project_id: str | None,
    session_id: str | None,
    model_seq_id: int | None,
    ttl_seconds: int | None,
    weights_access_token: SecretStr | None,
) -> Call:
    """Copy a checkpoint into a project, or into a session; the service knows a repetition by the key.

    Raises:
        CallNotPossible: The destination is not exactly one, or the key or the token cannot be a header's value.
    """
    if (project_id is None) == (session_id is None) or (session_id is None) != (model_seq_id is None):
        raise CallNotPossible(
            "The copy has no destination, or two", "Give project_id, or session_id together with model_seq_id."
        )
    body = {
        "source_path": str(source),
        "destination_project_id": project_id,
        "session_id": session_id,
        "model_seq_id": model_seq_id,
        "ttl_seconds": ttl_seconds,
    }
    headers = (idempotency_header(idempotency_key), *_token_header(weights_access_token))
    return Call("POST", "copy_weights", content=json_body(stated(body)), headers=headers)


def _token_header(token: SecretStr | None) -> tuple[tuple[str, str], ...]:
    if token is None:
        return ()
    if _is_no_header(token):
        raise CallNotPossible("The weights access token is empty or no printable ASCII", "Give it as it was issued.")
    return (("X-Tinker-Weights-Access-Token", token.get_secret_value()),)


def _is_no_header(token: SecretStr) -> bool:
    """Judge in a frame that raises nothing, so that no traceback shows the token among its variables."""
    text = token.get_secret_value()
    return not (text.isascii() and text.isprintable() and text.strip())
