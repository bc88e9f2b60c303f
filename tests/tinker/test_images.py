"""An image that the service would refuse is refused before it travels."""

from functools import partial
from typing import Any

import pytest
from tests.tinker.pictures import jpeg, png
from tinker import types

from tinker_operator.tinker import CallNotPossible, ImageChunk, ImageFormat, ModelInput
from tinker_operator.tinker.payload.images import image_size
from tinker_operator.tinker.payload.inputs import LARGEST_IMAGE, MOST_IMAGE_TOKENS

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (640, 480), (65535, 1)])
@pytest.mark.parametrize(
    ("content", "form"),
    [
        pytest.param(png, ImageFormat.PNG, id="png"),
        pytest.param(jpeg, ImageFormat.JPEG, id="jpeg"),
        pytest.param(partial(jpeg, kind=0xC2), ImageFormat.JPEG, id="progressive jpeg"),
        pytest.param(lambda *size: jpeg(*size) + b"trailing", ImageFormat.JPEG, id="jpeg with something behind it"),
    ],
)
def test_the_size_of_a_whole_image_is_read(content: Any, form: ImageFormat, size: tuple[int, int]) -> None:
    assert image_size(content(*size), form) == size


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"data": b""}, "empty", id="nothing"),
        pytest.param({"data": b"GIF89a" + bytes(20)}, "no whole png", id="another format"),
        pytest.param({"data": jpeg()}, "no whole png", id="a jpeg called png"),
        pytest.param({"data": png(), "format": "jpeg"}, "no whole jpeg", id="a png called jpeg"),
        pytest.param({"data": png()[:40]}, "no whole png", id="half a png"),
        pytest.param({"data": png()[:20]}, "no whole png", id="the head of a png"),
        pytest.param({"data": jpeg()[:-2], "format": "jpeg"}, "no whole jpeg", id="a jpeg without an end"),
        pytest.param({"data": jpeg()[:60], "format": "jpeg"}, "no whole jpeg", id="half a jpeg"),
        pytest.param({"data": b"\xff\xd8\xff" + b"\xff" * 90, "format": "jpeg"}, "no whole jpeg", id="only fillings"),
        pytest.param({"data": b"\xff\xd8\xff\xe0" + bytes(90), "format": "jpeg"}, "no whole jpeg", id="empty segments"),
        pytest.param({"data": png(0, 5)}, "no whole png", id="no width"),
        pytest.param({"data": jpeg(5, 0), "format": "jpeg"}, "no whole jpeg", id="no height"),
        pytest.param({"data": png() + bytes(LARGEST_IMAGE)}, "larger", id="too many bytes"),
        pytest.param({"format": "gif"}, "gif", id="a format that is not taken"),
        pytest.param({"expected_tokens": 0}, "0 tokens", id="no tokens"),
        pytest.param({"expected_tokens": -1}, "-1 tokens", id="fewer than none"),
        pytest.param({"expected_tokens": MOST_IMAGE_TOKENS + 1}, "tokens", id="more than any context"),
        pytest.param({"tokens_wide": 2}, "missing", id="a width without a height"),
        pytest.param({"tokens_high": 2}, "missing", id="a height without a width"),
        pytest.param({"tokens_wide": 0, "tokens_high": 2}, "0 tokens", id="no columns"),
        pytest.param({"tokens_wide": 2**19, "tokens_high": 2**19}, "tokens", id="a grid larger than any context"),
        pytest.param(
            {"tokens_wide": 2, "tokens_high": 3, "expected_tokens": 5}, "not the 5", id="a grid of another count"
        ),
    ],
)
def test_an_image_that_cannot_be_right_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(CallNotPossible, match=said):
        ImageChunk(**({"data": png(), "format": "png"} | arguments))


@pytest.mark.parametrize("arguments", [{"expected_tokens": 6}, {"tokens_wide": 2, "tokens_high": 3}])
def test_an_image_is_as_long_as_it_is_said_to_be(arguments: dict[str, int]) -> None:
    chunk = ImageChunk(png(), ImageFormat.PNG, **arguments)
    assert (chunk.length, ModelInput([chunk]).append_int(1).length) == (6, 7)


def test_an_image_whose_tokens_are_not_told_has_no_length() -> None:
    with pytest.raises(CallNotPossible, match="expected_tokens"):
        _ = ModelInput([ImageChunk(png(), ImageFormat.PNG)]).length


def test_an_image_is_no_list_of_tokens() -> None:
    assert ModelInput.from_ints([1, 2]).append_int(3).to_ints() == [1, 2, 3]
    with pytest.raises(CallNotPossible, match="image"):
        ModelInput([ImageChunk(png(), ImageFormat.PNG)]).to_ints()


@pytest.mark.parametrize("tokens", [None, 7])
def test_a_prompt_is_written_as_the_sdk_writes_it(tokens: int | None) -> None:
    prompt = ModelInput([ImageChunk(png(), ImageFormat.PNG, tokens)]).append_int(5)
    image = types.ImageChunk(data=png(), format="png", expected_tokens=tokens)
    theirs = types.ModelInput(chunks=[image, types.EncodedTextChunk(tokens=[5])])
    ours = {"chunks": [dict(chunk) for chunk in prompt.to_json()["chunks"]]}
    assert ours == theirs.model_dump(mode="json", exclude_none=True)


def test_the_bytes_of_an_image_are_not_shown() -> None:
    assert "PNG\\r" not in repr(ModelInput([ImageChunk(png(), ImageFormat.PNG)]))
