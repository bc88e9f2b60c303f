"""What a model reads: text as tokens, and images between them. Used for training data and for prompts alike."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.payload.images import ImageFormat, image_size
from tinker_operator.tinker.payload.tensors import Nested, packed

BYTES_PER_TOKEN: Final = 4
LARGEST_IMAGE: Final = 20 * 1024 * 1024
"""In bytes. Larger ones make requests that services and the proxies before them refuse."""
MOST_IMAGE_TOKENS: Final = 2**20
"""More than any context holds."""


@dataclass(frozen=True, slots=True)
class EncodedTextChunk:
    """Text, already in tokens.

    Raises:
        CallNotPossible: A token is no number between 0 and 2^31 - 1.
    """

    tokens: tuple[int, ...]

    def __init__(self, tokens: Nested) -> None:
        listed = tuple(tokens.tolist() if hasattr(tokens, "tolist") else tokens)
        packed("i", listed)
        if min(listed, default=0) < 0:
            raise CallNotPossible("A token is negative", "Give the ids that the model's tokenizer makes.")
        object.__setattr__(self, "tokens", listed)

    @property
    def length(self) -> int:
        """How many tokens."""
        return len(self.tokens)

    @property
    def bytes_count(self) -> int:
        """How many bytes travel."""
        return len(self.tokens) * BYTES_PER_TOKEN

    def to_json(self) -> dict[str, Any]:
        """Give the form that prompts have."""
        return {"type": "encoded_text", "tokens": list(self.tokens)}


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """An image, as its file is.

    Args:
        data: The file's bytes.
        format: png or jpeg; the bytes must be of it.
        expected_tokens: How many tokens the image stands for. The service counts them itself and refuses at once what
            does not agree. None does not say; the length of the input is then not known here.
        tokens_wide: How many of them lie side by side, and
        tokens_high: one below the other; given both, `expected_tokens` is their product.

    Raises:
        CallNotPossible: The image is empty, too large or of another format, or the token counts do not fit.
    """

    data: bytes = field(repr=False)
    format: ImageFormat
    expected_tokens: int | None = None
    tokens_wide: int | None = None
    tokens_high: int | None = None

    def __post_init__(self) -> None:
        if fault := _content_fault(self.data, self.format) or self._count_fault():
            raise CallNotPossible(*fault)
        object.__setattr__(self, "format", ImageFormat(self.format))
        if self.expected_tokens is None and self.tokens_wide is not None and self.tokens_high is not None:
            object.__setattr__(self, "expected_tokens", self.tokens_wide * self.tokens_high)

    def _count_fault(self) -> tuple[str, str] | None:
        remedy = "Give the count that the model's image processor makes, or none."
        sides = (self.tokens_wide, self.tokens_high)
        for count in (self.expected_tokens, *sides):
            if count is not None and not 1 <= count <= MOST_IMAGE_TOKENS:
                return f"An image cannot stand for {count} tokens", remedy
        if None in sides:
            return None if sides == (None, None) else ("Of the image's token counts one side is missing", remedy)
        product = (self.tokens_wide or 0) * (self.tokens_high or 0)
        if product > MOST_IMAGE_TOKENS or self.expected_tokens not in {None, product}:
            return f"{sides[0]} by {sides[1]} tokens are not the {self.expected_tokens} that are expected", remedy
        return None

    @property
    def length(self) -> int:
        """How many tokens.

        Raises:
            CallNotPossible: It was not said.
        """
        if self.expected_tokens is None:
            raise CallNotPossible("The image's number of tokens is not known", "Give its expected_tokens.")
        return self.expected_tokens

    @property
    def bytes_count(self) -> int:
        """How many bytes travel."""
        return len(self.data)

    def to_json(self) -> dict[str, Any]:
        """Give the form that prompts have."""
        form = {"type": "image", "data": base64.b64encode(self.data).decode(), "format": self.format.value}
        return form if self.expected_tokens is None else {**form, "expected_tokens": self.expected_tokens}


Chunk: TypeAlias = EncodedTextChunk | ImageChunk


@dataclass(frozen=True, slots=True)
class ModelInput:
    """Chunks in the order in which the model reads them."""

    chunks: tuple[Chunk, ...] = ()

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        object.__setattr__(self, "chunks", tuple(chunks))

    @classmethod
    def empty(cls) -> "ModelInput":
        """Make one of nothing."""
        return cls()

    @classmethod
    def from_ints(cls, tokens: Nested) -> "ModelInput":
        """Make one of text alone.

        Raises:
            CallNotPossible: A token is no number between 0 and 2^31 - 1.
        """
        return cls((EncodedTextChunk(tokens),))

    def to_ints(self) -> list[int]:
        """Give the tokens.

        Raises:
            CallNotPossible: There is an image among them.
        """
        if not all(isinstance(chunk, EncodedTextChunk) for chunk in self.chunks):
            raise CallNotPossible("The input holds an image, which is no list of tokens", "Read its chunks instead.")
        return [token for chunk in self.chunks if isinstance(chunk, EncodedTextChunk) for token in chunk.tokens]

    def append(self, chunk: Chunk) -> "ModelInput":
        """Make one with a chunk more."""
        return ModelInput((*self.chunks, chunk))

    def append_int(self, token: int) -> "ModelInput":
        """Make one with a token more."""
        return self.append(EncodedTextChunk([token]))

    @property
    def length(self) -> int:
        """How many tokens of context it takes.

        Raises:
            CallNotPossible: An image does not say.
        """
        return sum(chunk.length for chunk in self.chunks)

    @property
    def bytes_count(self) -> int:
        """How many bytes travel, but for a few."""
        return sum(chunk.bytes_count for chunk in self.chunks)

    def to_json(self) -> dict[str, Any]:
        """Give the form that prompts have."""
        return {"chunks": [chunk.to_json() for chunk in self.chunks]}


def _content_fault(content: bytes, form: str) -> tuple[str, str] | None:
    remedy = f"Give the bytes of a {form} file."
    if form not in set(ImageFormat):
        return f"Images of the format {form!a} are not taken", "Give png or jpeg."
    if not content:
        return "The image is empty", remedy
    if len(content) > LARGEST_IMAGE:
        return f"The image is larger than {LARGEST_IMAGE} bytes", "Scale it down."
    if image_size(content, ImageFormat(form)) is None:
        return f"The image is no whole {form}", remedy
    return None
