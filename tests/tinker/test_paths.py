"""TinkerPath: what is a path, and what the others are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinker_operator.tinker.errors import CallNotPossible, InvalidTinkerPath
from tinker_operator.tinker.paths import CheckpointKind, TinkerPath, checked_segment

pytestmark = pytest.mark.pure

ALLOWED = st.text(st.characters(exclude_characters="/?#%\\", exclude_categories=["C", "Z"]), min_size=1).filter(
    lambda text: text not in {".", ".."}
)


@given(run=ALLOWED, kind=st.sampled_from(CheckpointKind), name=ALLOWED)
def test_what_is_written_is_read_again(run: str, kind: CheckpointKind, name: str) -> None:
    path = TinkerPath(run, kind, name)
    assert TinkerPath.parse(str(path)) == path


@given(st.text() | st.builds("tinker://{}/{}/{}".format, st.text(), st.sampled_from(["weights", ""]), st.text()))
def test_any_text_is_a_path_that_writes_itself_or_is_refused(text: str) -> None:
    try:
        path = TinkerPath.parse(text)
    except InvalidTinkerPath as refused:
        refusal = str(refused)
    else:
        refusal = ""
        assert str(path) == text
    assert refusal.isprintable()


def test_the_checkpoint_id_includes_the_kind() -> None:
    path = TinkerPath.parse("tinker://0b5c:train:0/weights/step-3")
    assert (path.training_run_id, path.checkpoint_id) == ("0b5c:train:0", "weights/step-3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "does not begin with tinker://", id="nothing"),
        pytest.param("https://x/weights/a", "does not begin with tinker://", id="another scheme"),
        pytest.param("Tinker://x/weights/a", "does not begin with tinker://", id="the scheme in other case"),
        pytest.param(" tinker://x/weights/a", "does not begin with tinker://", id="a leading space"),
        pytest.param("tinker://run", "has 1 parts instead of three", id="a run alone"),
        pytest.param("tinker://run/step-3", "has 2 parts instead of three", id="no kind"),
        pytest.param("tinker://run/weights/a/b", "has 4 parts instead of three", id="a name with a slash"),
        pytest.param("tinker://run/weights/a/", "has 4 parts instead of three", id="a slash at the end"),
        pytest.param("tinker://run/Weights/a", "'Weights' in the middle instead of one of weights,", id="kind in case"),
        pytest.param("tinker://run//a", "'' in the middle", id="an empty kind"),
        pytest.param("tinker:///weights/a", "the training run is empty", id="an empty run"),
        pytest.param("tinker://run/weights/", "the checkpoint name is empty", id="an empty name"),
        pytest.param("tinker://../weights/a", "the training run is '..'", id="a run that climbs"),
        pytest.param("tinker://run/weights/..", "the checkpoint name is '..'", id="a name that climbs"),
        pytest.param("tinker://run/weights/.", "the checkpoint name is '.'", id="a name that stays"),
        pytest.param("tinker://run/weights/a?b", "contains '?'", id="a query"),
        pytest.param("tinker://run/weights/a#b", "contains '#'", id="a fragment"),
        pytest.param("tinker://run/weights/%2e%2e", "contains '%'", id="an escaped climb"),
        pytest.param("tinker://run/weights/a\\b", "contains '\\\\'", id="a backslash"),
        pytest.param("tinker://run/weights/a\nb", "contains a control character", id="a line break"),
        pytest.param("tinker://run/weights/a ", "surrounding space", id="a trailing space"),
        pytest.param("tinker://run/weights/a\x1b[2J", "contains a control character", id="a terminal escape"),
    ],
)
def test_a_wrong_path_is_told_what_is_wrong_and_the_right_form(text: str, said: str) -> None:
    with pytest.raises(InvalidTinkerPath) as refusal:
        TinkerPath.parse(text)
    assert said in refusal.value.message
    assert "tinker://<training run>/weights/<name>" in refusal.value.remedy
    assert isinstance(refusal.value, ValueError)
    assert str(refusal.value).isprintable()


def test_a_path_made_from_parts_obeys_the_same_rules() -> None:
    with pytest.raises(InvalidTinkerPath, match="the checkpoint name contains '/'"):
        TinkerPath("run", CheckpointKind.WEIGHTS, "a/b")


def test_a_very_long_path_is_shown_in_part() -> None:
    with pytest.raises(InvalidTinkerPath) as refusal:
        TinkerPath.parse("x" * 10_000)
    assert len(str(refusal.value)) < 400


def test_an_id_for_a_url_is_named_in_its_refusal() -> None:
    with pytest.raises(CallNotPossible, match="The session id 'a/b' contains '/'"):
        checked_segment("a/b", "The session id")
    assert checked_segment("model_1a2b:train:0", "The training run id") == "model_1a2b:train:0"
