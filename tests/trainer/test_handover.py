"""The hand-over document: read in full, tolerant of what is new, refused when it is of another version."""

import importlib
import json
import sys
from collections.abc import Callable

import pytest

from tinker_operator.trainer import HandOver, HandOverMalformed, HandOverVersionUnknown, Mode, TrainerError

pytestmark = pytest.mark.pure

Make = Callable[..., str]


def test_every_field_of_the_document_is_read(handover_text: Make) -> None:
    """What the operator wrote arrives under the same meaning."""
    seen = HandOver.parse(handover_text(), place="here")

    assert seen.model_dump(by_alias=True) == json.loads(handover_text())


def test_a_field_of_a_later_release_is_passed_over(handover_text: Make) -> None:
    """New fields within the version do not break an older loop."""
    plain = HandOver.parse(handover_text(), place="here")

    assert HandOver.parse(handover_text(colour={"saveEvery": 100}), place="here") == plain


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        pytest.param("Recreate", Mode.RECREATE, id="Recreate"),
        pytest.param("HandOver", Mode.HAND_OVER, id="HandOver"),
        pytest.param("Relaunch", Mode.RELAUNCH, id="Relaunch"),
        pytest.param(None, Mode.RECREATE, id="null, as if absent"),
        pytest.param("Teleport", Mode.RECREATE, id="a mode of a later release"),
        pytest.param(["Relaunch"], Mode.RECREATE, id="no text at all"),
    ],
)
def test_a_mode_that_is_unknown_counts_as_the_default(written: object, mode: Mode, handover_text: Make) -> None:
    """A loop that waits in vain harms less than one that ends and that nobody replaces."""
    assert HandOver.parse(handover_text(mode=written), place="here").mode is mode


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param({"saveEvery": 100, "colour": [1]}, {"saveEvery": 100, "colour": [1]}, id="whatever it holds"),
        pytest.param(None, {}, id="null"),
        pytest.param("always", {"unreadable": "always"}, id="no object, which is not the same as none"),
    ],
)
def test_a_schedule_is_kept_as_it_was_found(written: object, read: object, handover_text: Make) -> None:
    """A schedule that this release cannot read never keeps a loop from resuming."""
    assert HandOver.parse(handover_text(schedule=written), place="here").schedule == read


OURS = "s1:train:0"


@pytest.mark.parametrize(
    ("fields", "overtaken"),
    [
        pytest.param({"attempt": 1}, True, id="a later attempt"),
        pytest.param({"attempt": 7}, True, id="a much later attempt"),
        pytest.param({"attempt": 0}, False, id="the same attempt"),
        pytest.param({"attempt": 0, "checkpoint": f"tinker://{OURS}/weights/step-000040"}, False, id="a newer save"),
        pytest.param({"attempt": 0, "previousTrainingRunId": OURS}, False, id="the same attempt, and our run is lost"),
        pytest.param({"attempt": 0, "trainingRunId": "other"}, False, id="the same attempt with another run"),
        pytest.param(
            {"attempt": 1, "trainingRunId": OURS, "previousTrainingRunId": "s0:train:0"},
            False,
            id="a later attempt that goes on with our run",
        ),
        pytest.param(
            {"attempt": 1, "trainingRunId": OURS, "previousTrainingRunId": OURS, "mode": "HandOver"},
            True,
            id="a later attempt that hands our lost run over",
        ),
    ],
)
def test_only_a_later_attempt_without_our_run_leaves_it_behind(
    fields: dict[str, object], overtaken: bool, handover_text: Make
) -> None:
    """Nothing that is said of the loop's own attempt ends it."""
    document = HandOver.parse(handover_text(**fields), place="here")

    assert document.overtakes(training_run_id=OURS, attempt=0) is overtaken


@pytest.mark.parametrize(
    ("mode", "current", "successor", "is_open"),
    [
        pytest.param("Recreate", "proof", "proof", True, id="the operator's proof is current"),
        pytest.param("Recreate", "lost", "proof", True, id="the lost run is still current"),
        pytest.param("Recreate", "", None, True, id="no run is current"),
        pytest.param("Recreate", "another", "proof", False, id="another loop took it"),
        pytest.param("HandOver", "lost", None, True, id="nobody made a successor"),
        pytest.param("HandOver", "another", None, False, id="another loop made the successor"),
        pytest.param("HandOver", "another", "another", False, id="another loop's successor is on record"),
        pytest.param("Relaunch", "lost", None, False, id="the operator replaces the loop"),
    ],
)
def test_an_attempt_is_open_until_a_loop_took_it(
    mode: str, current: str, successor: str | None, is_open: bool, handover_text: Make
) -> None:
    """Two loops on one attempt would train side by side."""
    ids = {"trainingRunId": current, "previousTrainingRunId": "lost", "successorTrainingRunId": successor}

    assert HandOver.parse(handover_text(mode=mode, **ids), place="here").open_to_this_loop is is_open


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
