"""The hand-over document: read in full, tolerant of what is new, refused when it is of another version."""

import importlib
import json
import sys
from collections.abc import Callable

import pytest

from tinker_operator.trainer import HandOver, HandOverMalformed, HandOverVersionUnknown, TrainerError

pytestmark = pytest.mark.pure

Make = Callable[..., str]


def test_every_field_of_the_document_is_read(handover_text: Make) -> None:
    """What the operator wrote arrives under the same meaning."""
    seen = HandOver.parse(handover_text(), place="here")

    assert seen.model_dump(by_alias=True) == json.loads(handover_text())


def test_a_field_of_a_later_release_is_passed_over(handover_text: Make) -> None:
    """New fields within the version do not break an older loop."""
    plain = HandOver.parse(handover_text(), place="here")

    assert HandOver.parse(handover_text(schedule={"saveEvery": 100}), place="here") == plain


def test_only_what_identifies_the_hand_over_is_required() -> None:
    """A first hand-over of a run that never saved has nothing to resume from."""
    text = json.dumps({"version": 1, "trainingRun": {"namespace": "a", "name": "b"}, "attempt": 0})

    seen = HandOver.parse(text, place="here")

    assert (seen.checkpoint, seen.restore_optimizer, dict(seen.user_metadata)) == (None, True, {})


def test_a_document_of_another_version_is_refused_whatever_its_shape() -> None:
    """The version is looked at first: fields of an unknown version mean nothing."""
    with pytest.raises(HandOverVersionUnknown, match=r"version 2.*Install the tinker-operator release"):
        HandOver.parse('{"version": 2, "run": []}', place="here")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an empty file"),
        pytest.param('{"version": 1, "att', id="half a document"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param("{}", id="no version"),
        pytest.param('{"version": true}', id="a version that is no number"),
        pytest.param('{"version": "1"}', id="a version that is text"),
        pytest.param('{"version": 1, "trainingRun": {"namespace": "a", "name": "b"}}', id="no attempt"),
        pytest.param(
            '{"version": 1, "trainingRun": {"namespace": "a", "name": "b"}, "attempt": -1}', id="a negative attempt"
        ),
    ],
)
def test_what_is_no_hand_over_is_called_malformed_and_may_pass(text: str) -> None:
    """Half a document is what a file looks like while it is written, so waiting may look again."""
    with pytest.raises(HandOverMalformed, match="here") as caught:
        HandOver.parse(text, place="here")

    assert caught.value.transient


def test_every_error_says_what_to_do() -> None:
    """Message and remedy are two sentences of one text."""
    with pytest.raises(TrainerError) as caught:
        HandOver.parse("[]", place="here")

    assert str(caught.value) == f"{caught.value.message} {caught.value.remedy}"
    assert caught.value.remedy.endswith(".")


def test_without_the_sdk_the_import_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer is an extra; whoever forgot it gets the command and not a bare missing module."""
    for name in [name for name in sys.modules if name.startswith("tinker_operator.trainer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tinker", None)

    with pytest.raises(ImportError, match=r"pip install 'tinker-operator\[trainer\]'"):
        importlib.import_module("tinker_operator.trainer")
