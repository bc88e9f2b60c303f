"""What an answer of the API server, a kubeconfig and a clock are turned into."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client import Configuration

from tinker_operator.engine import kube_errors as errors
from tinker_operator.engine.credentials import load_credentials
from tinker_operator.engine.events import LONGEST_NOTE, cut
from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kopf_source import KopfSource, SourceEndedError, connection_info
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.timestamps import micro_time, moment_of
from tinker_operator.engine.transport import parsed_answer, seconds_of

pytestmark = pytest.mark.pure

WIDGETS = Resource("g.dev", "v1", "widgets", "Widget")
PATCH = errors.Access("patch", "g.dev", "widgets/status", "team-a", "w1")
LIST = errors.Access("list", "", "configmaps")
RBAC = 'widgets.g.dev "w1" is forbidden: User "sa" cannot patch resource "widgets/status" in API group "g.dev"'
RBAC_CREATE = 'configmaps "c" is forbidden: User "sa" cannot create resource "configmaps" in API group ""'


def verdict(message: str, **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "message": message, "details": details}


@pytest.mark.parametrize(
    ("status", "answer", "expected", "transient"),
    [
        pytest.param(401, verdict("Unauthorized"), errors.KubeUnauthorized, True, id="refused credentials"),
        pytest.param(403, verdict(RBAC), errors.KubeForbidden, False, id="a missing right"),
        pytest.param(404, verdict("not found", name="w1"), errors.ObjectGone, False, id="an object that is gone"),
        pytest.param(404, None, errors.ResourceMissing, False, id="a kind that is not installed"),
        pytest.param(409, verdict("conflict"), errors.WriteConflict, True, id="an object that changed"),
        pytest.param(410, verdict("expired"), errors.ListingExpired, True, id="a listing that took too long"),
        pytest.param(422, verdict("invalid"), errors.KubeRejected, False, id="content that is refused"),
        pytest.param(400, "<html>", errors.KubeRejected, False, id="an answer of a proxy"),
        pytest.param(429, verdict("slow down"), errors.KubeUnavailable, True, id="too many requests"),
        pytest.param(503, None, errors.KubeUnavailable, True, id="a server that starts"),
        pytest.param(302, None, errors.KubeRejected, False, id="a redirection"),
    ],
)
def test_an_answer_other_than_success_has_an_error_of_its_own(
    status: int, answer: Any, expected: type[errors.KubeError], transient: bool
) -> None:
    error = errors.error_of(PATCH, status, answer)

    assert type(error) is expected
    assert error.transient is transient
    assert error.message.endswith(".")
    assert error.remedy.endswith(".")


@pytest.mark.parametrize(
    ("access", "said", "expected"),
    [
        pytest.param(
            PATCH,
            RBAC,
            "Grant the verb 'patch' on 'widgets/status' of API group 'g.dev' to the operator's account by a Role "
            "in namespace 'team-a'.",
            id="a right in a namespace",
        ),
        pytest.param(
            LIST,
            'configmaps is forbidden: User "sa" cannot list resource "configmaps" in API group "" at the cluster scope',
            "Grant the verb 'list' on 'configmaps' of the core API group to the operator's account by a ClusterRole "
            "in all namespaces.",
            id="a right in the whole cluster",
        ),
        pytest.param(
            errors.Access("patch", "", "configmaps", "n", "c"),
            RBAC_CREATE,
            "Grant the verb 'create' on 'configmaps' of the core API group to the operator's account by a Role "
            "in namespace 'n'.",
            id="an apply that lacks the right to create",
        ),
        pytest.param(
            PATCH,
            'widgets "w1" is forbidden: exceeded quota: small',
            "An admission rule or a quota of the cluster refuses it: change the rule, or what the rule objects to.",
            id="a quota is no missing right",
        ),
    ],
)
def test_a_refusal_names_the_right_that_is_missing(access: errors.Access, said: str, expected: str) -> None:
    assert errors.error_of(access, 403, verdict(said)).remedy == expected


def test_a_namespace_that_is_being_deleted_is_no_missing_right() -> None:
    answer = verdict("forbidden: being terminated", causes=[{"reason": "NamespaceTerminating"}])

    assert type(errors.error_of(PATCH, 403, answer)) is errors.ObjectGone


def test_the_time_that_the_server_asks_for_is_kept() -> None:
    error = errors.error_of(LIST, 429, None, retry_after=7)

    assert isinstance(error, errors.KubeUnavailable)
    assert error.retry_after == 7


def test_long_answers_are_cut_short() -> None:
    assert len(str(errors.error_of(LIST, 422, verdict("x" * 10_000)))) < 600


def test_silence_is_told_with_its_kind() -> None:
    assert "TimeoutError" in str(errors.unreachable(LIST, TimeoutError()))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(None, 0, id="none"),
        pytest.param("30", 30, id="seconds"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", 0, id="a date, which the API server never sends"),
    ],
)
def test_retry_after_is_read_as_seconds(header: str | None, expected: float) -> None:
    assert seconds_of(header) == expected


def test_half_an_answer_is_no_answer() -> None:
    assert parsed_answer(b'{"kind": "Lis') is None


@given(text=st.text(max_size=2000), size=st.integers(min_value=3, max_value=1100))
def test_a_cut_note_fits_and_begins_as_it_did(text: str, size: int) -> None:
    short = cut(text, size)

    assert len(short.encode()) <= size
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_a_note_of_the_longest_length_is_left_alone() -> None:
    assert cut("x" * LONGEST_NOTE, LONGEST_NOTE) == "x" * LONGEST_NOTE


@given(moment=st.datetimes(timezones=st.timezones()))
def test_a_micro_time_is_read_back_as_it_was(moment: datetime) -> None:
    assert moment_of(micro_time(moment)) == moment.astimezone(UTC)


def test_a_moment_on_the_full_second_is_still_spelt_with_microseconds() -> None:
    assert micro_time(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000Z"


def test_our_errors_are_told_in_full_and_foreign_ones_by_kind_and_place() -> None:
    ours = described(errors.WriteConflict("It changed.", "Read it again."))
    try:
        int("secret")
    except ValueError as fault:
        foreign = described(fault)

    assert ours == {"error": "WriteConflict", "message": "It changed. Read it again."}
    assert foreign["error"] == "ValueError"
    assert "secret" not in str(foreign)
    assert "test_our_errors" in foreign["at"]


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:1"{cluster}}}}}]
users: [{{name: u, user: {{tokenFile: {token}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(None, "cannot be used", id="a file that is not there"),
        pytest.param("", "cannot be used", id="an empty file"),
        pytest.param("current-context: [tml-secret", "is not valid YAML", id="a file that is no YAML"),
        pytest.param("- a list", "cannot be used", id="a file of another shape"),
        pytest.param("{kind: Config, clusters: [], contexts: []}", "cannot be used", id="no current context"),
        pytest.param(KUBECONFIG.format(token="/nowhere", cluster=""), "cannot be used", id="a token that is not there"),
        pytest.param(
            KUBECONFIG.format(token="/dev/null", cluster=", tls-server-name: x"),
            "tls-server-name",
            id="a setting that is not honoured",
        ),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_told_with_a_remedy(
    tmp_path: Path, content: str | None, told: str
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)

    with pytest.raises(errors.CredentialsInvalid, match=told) as raised:
        await load_credentials(path)
    assert str(path) in str(raised.value)
    assert "tml-secret" not in str(raised.value)


def kubeconfig(cluster: Any = "{server: 'https://127.0.0.1:1'}", user: Any = "{token: tml-secret}") -> str:
    """A kubeconfig with a secret in it, whole but for what is given."""
    clusters, users = f"[{{name: c, cluster: {cluster}}}]", f"[{{name: u, user: {user}}}]"
    contexts = "[{name: x, context: {cluster: c, user: u}}]"
    return f"{{current-context: x, contexts: {contexts}, clusters: {clusters}, users: {users}}}"


NO_PEM = "Z2FyYmFnZQ=="


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(
            kubeconfig().replace("user: {token", "usr: {token"), "Expected key user", id="a user with a misspelt key"
        ),
        pytest.param(kubeconfig("{server: notaurl}"), "server", id="a server that is no URL"),
        pytest.param(kubeconfig("{server: ''}"), "server", id="an empty server"),
        pytest.param(kubeconfig("{}"), "server", id="no server, which is not this machine"),
        pytest.param(kubeconfig("{server: 'http://['}"), "server", id="a server with half an address"),
        pytest.param(kubeconfig("{server: 'https://h:abc'}"), "server", id="a server with a port in letters"),
        pytest.param(kubeconfig("{server: 'https://h:0'}"), "server", id="a server with a port of zero"),
        pytest.param(kubeconfig("{server: 'https://a b'}"), "server", id="a server with a space"),
        pytest.param(kubeconfig("{server: 'https://u:tml-secret@h'}"), "holds a user", id="a server with a password"),
        pytest.param(kubeconfig("{server: 7}"), "not the form", id="a server that is a number"),
        pytest.param(
            kubeconfig(f"{{server: 'https://h', certificate-authority-data: {NO_PEM}}}"),
            "not valid PEM",
            id="an authority that is garbage",
        ),
        pytest.param(
            kubeconfig("{server: 'https://h', certificate-authority-data: tml-secret}"),
            "not the form|not valid PEM",
            id="an authority that is not even base64",
        ),
        pytest.param(
            kubeconfig("{server: 'https://h', certificate-authority: /nowhere}"), "/nowhere", id="no such authority"
        ),
        pytest.param(
            kubeconfig(user=f"{{client-certificate-data: {NO_PEM}, client-key-data: {NO_PEM}}}"),
            "not valid PEM",
            id="a client certificate that is garbage",
        ),
        pytest.param("null", "not the form", id="nothing"),
        pytest.param('"tml-secret"', "not the form", id="a text"),
        pytest.param("{current-context: 5, contexts: [7]}", "not the form", id="contexts that are numbers"),
        pytest.param("{users: [{nme: tml-secret}, {nme: u}]}", "Expected key name", id="users without names"),
    ],
)
async def test_no_client_is_made_from_a_kubeconfig_that_cannot_work(tmp_path: Path, content: str, told: str) -> None:
    """Told before anything is sent, on one line, with the remedy, without what the file keeps secret."""
    path = tmp_path / "kubeconfig"
    path.write_text(content)

    with pytest.raises(errors.CredentialsInvalid, match=told) as raised:
        await KubeApi.connect(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert "tml-secret" not in str(raised.value)
    assert "{" not in str(raised.value)


async def test_a_token_that_was_rotated_is_read_again_within_a_minute(tmp_path: Path) -> None:
    token, path, now = tmp_path / "token", tmp_path / "kubeconfig", [0.0]
    token.write_text("first")
    path.write_text(KUBECONFIG.format(token=token, cluster=""))
    credentials = await load_credentials(path, lambda: now[0])
    token.write_text("second")
    seen = []
    for moment in (0.0, 59.0, 61.0):
        now[0] = moment
        seen.append(await credentials.get_api_key_with_prefix("BearerToken"))

    assert seen == ["Bearer first", "Bearer first", "Bearer second"]


@given(seconds=st.integers(min_value=0, max_value=10**6))
def test_kopf_asks_for_credentials_again_within_five_minutes_and_the_same_ones_look_the_same(seconds: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    credentials = Configuration(host="https://h", api_key={"BearerToken": "bearer abc"})
    info = connection_info(credentials, now)

    assert info.expiration is not None
    assert timedelta(0) < info.expiration - now <= timedelta(minutes=5)
    assert connection_info(credentials, info.expiration - timedelta(seconds=1)) == info
    assert info.as_http_headers() == {"Authorization": "Bearer abc"}


def test_kopf_is_given_nothing_to_write_with() -> None:
    """No handler but the event watchers, no finalizer of ours to strip, nothing registered behind our back."""
    source = KopfSource([WIDGETS], kubeconfig=None, namespaces=(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    settings = source._settings()

    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert settings.process.ultimate_exiting_timeout is None
    assert settings.persistence.finalizer == "g.dev/kopf-unused"
    body = kopf.Body({"metadata": {"labels": {"a": "b"}}, "spec": {"c": 1}})
    assert settings.persistence.diffbase_storage.build(body=body) == {}
    assert settings.persistence.diffbase_storage.fetch(body=body) is None
    essence = kopf.BodyEssence({"spec": {"c": 1}})
    assert settings.persistence.progress_storage.clear(essence=essence) is essence
    assert not list(kopf.get_default_registry()._watching.get_all_handlers())


async def test_a_source_without_credentials_ends_with_the_reason_and_leaves_no_thread(
    tmp_path: Path, until: Any
) -> None:
    source = KopfSource(
        [WIDGETS],
        kubeconfig=tmp_path / "nowhere",
        namespaces=["n"],
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )
    with pytest.raises(SourceEndedError, match="kopf ended with CredentialsInvalid: The kubeconfig"):
        async with asyncio.timeout(30):
            await source.run(_Deaf())
    await until(lambda: "kopf" not in {thread.name for thread in threading.enumerate()})


class _Deaf:
    def apply(self, kind: str, obj: Any) -> None:
        raise AssertionError((kind, obj))

    discard = apply

    def is_news(self, kind: str, obj: Any) -> bool:
        raise AssertionError((kind, obj))
