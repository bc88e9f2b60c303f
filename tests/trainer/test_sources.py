"""Where hand-overs come from: a place is named by one text, and a place without a hand-over is no error."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiException
from urllib3.exceptions import ConnectTimeoutError

from tinker_operator.trainer import (
    ConfigMapHandOver,
    FileHandOver,
    HandOverForbidden,
    HandOverMalformed,
    HandOverUnreadable,
    NoHandOver,
    SettingInvalid,
    source_from,
)

pytestmark = pytest.mark.pure

Make = Callable[..., str]


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        pytest.param(
            "configmap://math/sft-handover", ConfigMapHandOver, "configmap://math/sft-handover", id="configmap"
        ),
        pytest.param("configmap://math/sft-handover/", ConfigMapHandOver, "configmap://math/sft-handover", id="slash"),
        pytest.param("file:///etc/handover", FileHandOver, "/etc/handover", id="file"),
        pytest.param("file://localhost/etc/handover", FileHandOver, "/etc/handover", id="file of this host"),
        pytest.param("file:///etc/hand%20over", FileHandOver, "/etc/hand over", id="file with an escape"),
        pytest.param("/etc/handover/handover.json", FileHandOver, "/etc/handover/handover.json", id="bare path"),
        pytest.param("handover.json", FileHandOver, "handover.json", id="relative path"),
        pytest.param("", NoHandOver, "nowhere", id="empty"),
        pytest.param("  ", NoHandOver, "nowhere", id="blank"),
    ],
)
def test_a_text_names_a_place(text: str, kind: type, name: str) -> None:
    """Every form of the setting leads to its source."""
    source = source_from(text)

    assert (type(source), str(source)) == (kind, name)


def test_the_place_comes_from_the_environment() -> None:
    """A loop needs no argument of its own for it."""
    source = source_from(environ={"TINKER_OPERATOR_HANDOVER": "/mnt/handover"})

    assert str(source) == "/mnt/handover"


def test_without_the_setting_nobody_hands_over(tmp_path: Path) -> None:
    """A loop outside Kubernetes runs unchanged."""
    assert isinstance(source_from(environ={}, mounted=tmp_path / "none"), NoHandOver)


def test_the_usual_mount_needs_no_setting(tmp_path: Path) -> None:
    """Where the operator's Job mounts the hand-over, it is found."""
    mounted = tmp_path / "handover.json"
    mounted.touch()

    assert str(source_from(environ={}, mounted=mounted)) == str(mounted)


def test_a_pod_of_the_operator_looks_at_the_usual_mount_before_it_is_filled(tmp_path: Path) -> None:
    """An attempt is set, so a hand-over will come."""
    mounted = tmp_path / "later"

    assert str(source_from(environ={"TINKER_OPERATOR_ATTEMPT": "0"}, mounted=mounted)) == str(mounted)


def test_an_empty_setting_says_that_nobody_hands_over(tmp_path: Path) -> None:
    """Also beside a mount: the user has said so."""
    source = source_from(environ={"TINKER_OPERATOR_HANDOVER": ""}, mounted=tmp_path)

    assert isinstance(source, NoHandOver)


@pytest.mark.parametrize(
    "text",
    [
        "configmap://math",
        "configmap:///sft",
        "configmap://math/sft/more",
        "configmap://",
        "file://host/etc/handover",
        "file://",
        "https://math/sft",
    ],
)
def test_a_text_that_names_no_place_is_refused_with_the_right_forms(text: str) -> None:
    """The message shows what would have been right."""
    with pytest.raises(SettingInvalid, match="configmap://NAMESPACE/NAME"):
        source_from(text)


def test_a_file_and_its_directory_read_alike(tmp_path: Path, handover_text: Make) -> None:
    """A ConfigMap may be mounted as a directory or as a single file."""
    (tmp_path / "handover.json").write_text(handover_text(), encoding="utf-8")

    by_directory = FileHandOver(tmp_path).read()

    assert by_directory is not None
    assert by_directory == FileHandOver(tmp_path / "handover.json").read()


def test_a_file_that_is_not_there_yet_is_no_hand_over(tmp_path: Path) -> None:
    """The operator writes it only after the TrainingRun exists."""
    assert FileHandOver(tmp_path).read() is None
    assert FileHandOver(tmp_path / "later" / "handover.json").read() is None


def test_the_swap_of_a_mounted_volume_shows_the_new_document(tmp_path: Path, handover_text: Make) -> None:
    """The kubelet renames a symlink to a new directory and removes the old one; a reader sees one or the other."""
    mount = tmp_path / "mount"
    mount.mkdir()
    source = FileHandOver(mount)
    (mount / "handover.json").symlink_to(Path("..data", "handover.json"))
    attempts = []
    for attempt in range(3):
        _swap(mount, attempt, handover_text(attempt=attempt))
        seen = source.read()
        attempts.append(seen and seen.attempt)

    assert attempts == [0, 1, 2]


def test_a_directory_that_vanishes_under_a_reader_is_looked_at_again(
    tmp_path: Path, handover_text: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between resolving the symlink and opening the file the old directory may go."""
    _swap(tmp_path, 0, handover_text(attempt=0))
    (tmp_path / "handover.json").symlink_to(Path("..data", "handover.json"))
    read_text = Path.read_text
    swaps = iter([1])

    def read_after_swap(path: Path, **options: Any) -> str:
        if next(swaps, None):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", read_after_swap)

    assert FileHandOver(tmp_path).read() is not None


def _swap(mount: Path, generation: int, text: str) -> None:
    fresh = mount / f"..{generation}"
    fresh.mkdir()
    (fresh / "handover.json").write_text(text, encoding="utf-8")
    link = mount / "..data_tmp"
    link.symlink_to(fresh.name)
    link.replace(mount / "..data")
    old = mount / f"..{generation - 1}"
    if old.exists():
        (old / "handover.json").unlink()
        old.rmdir()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"\xff\xfe", HandOverMalformed, id="no text at all"),
        pytest.param(b"", HandOverMalformed, id="an empty file, as while it is written"),
    ],
)
def test_a_file_that_holds_something_else_is_malformed(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    """It may be written right now, or be the wrong file: the message names it."""
    (tmp_path / "handover.json").write_bytes(content)

    with pytest.raises(error, match="hand-over"):
        FileHandOver(tmp_path / "handover.json").read()


def test_a_directory_in_the_place_of_the_file_cannot_be_read(tmp_path: Path) -> None:
    """A mount of the wrong shape is an error and not the absence of a hand-over."""
    (tmp_path / "handover.json").mkdir()

    with pytest.raises(HandOverUnreadable, match="directory"):
        FileHandOver(tmp_path).read()


class FakeConfigMaps:
    """The API server's answer for one ConfigMap."""

    def __init__(self, answer: dict[str, str] | Exception | None) -> None:
        self.answer = answer

    def read_namespaced_config_map(self, name: str, namespace: str, **_options: Any) -> SimpleNamespace:
        assert (name, namespace) == ("math-sft-handover", "math")
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(data=self.answer)


def _config_map(answer: dict[str, str] | Exception | None) -> ConfigMapHandOver:
    return ConfigMapHandOver("math", "math-sft-handover", api=FakeConfigMaps(answer))


def test_a_config_map_holds_the_document_under_its_key(handover_text: Make) -> None:
    """The key is the file name of a mount."""
    seen = _config_map({"handover.json": handover_text(attempt=4)}).read()

    assert seen is not None
    assert seen.attempt == 4


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ApiException(status=404, reason="Not Found"), id="no such ConfigMap"),
        pytest.param(None, id="a ConfigMap without data"),
        pytest.param({"other": "{}"}, id="a ConfigMap without the key"),
    ],
)
def test_a_config_map_that_is_not_written_yet_is_no_hand_over(answer: dict[str, str] | Exception | None) -> None:
    """The ConfigMap appears after the TrainingRun."""
    assert _config_map(answer).read() is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_role_that_is_missing(status: int) -> None:
    """The user can write the Role from the message, and waiting would not mend it."""
    source = _config_map(ApiException(status=status, reason="Forbidden"))

    with pytest.raises(HandOverForbidden, match=r"Role in math .*get on configmaps.*math-sft-handover") as caught:
        source.read()

    assert not caught.value.transient


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ApiException(status=500, reason="Internal Server Error"), id="a fault"),
        pytest.param(ApiException(status=429, reason="Too Many Requests"), id="too many requests"),
        pytest.param(ConnectTimeoutError("slow"), id="no answer"),
    ],
)
def test_an_api_server_in_trouble_may_recover(answer: Exception) -> None:
    """Trouble of the API server is not the absence of a hand-over, and it may pass."""
    with pytest.raises(HandOverUnreadable) as caught:
        _config_map(answer).read()

    assert caught.value.transient


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A loop outside a cluster that names a ConfigMap learns what it lacks."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    with pytest.raises(HandOverUnreadable, match="set KUBECONFIG"):
        ConfigMapHandOver("math", "sft-handover").read()
