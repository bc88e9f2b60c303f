"""What a model reads: text as its tokens, an image as as many tokens as it says it counts for.

Used for the data of a training request and for the prompt of a sampling request. The small model has no eyes: an
image means whatever follows from its bytes, the same bytes the same, and other bytes something else.
"""

import base64
import binascii
from collections.abc import Sequence

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.learning.adapter import VOCABULARY, seed_from
from tinker_simulator.learning.losses import LossInputError
from tinker_simulator.requests import PromptChunk
from tinker_simulator.settings import CONTEXT_LENGTH


class PieceError(LossInputError):
    """A piece of input cannot be read."""


def tokens_of_datum(chunks: Sequence[wire.Chunk]) -> tuple[int, ...]:
    """What a datum is read as.

    Raises:
        PieceError: there is nothing in it, too much, or something that is neither text nor an image.
    """
    return _whole([token for chunk in chunks for token in _of_datum(chunk)])


def tokens_of_prompt(chunks: Sequence[PromptChunk]) -> tuple[int, ...]:
    """What a prompt is read as.

    Raises:
        PieceError: there is nothing in it, too much, or something that is neither text nor an image.
    """
    return _whole([token for chunk in chunks for token in _of_prompt(chunk)])


def _whole(tokens: list[int]) -> tuple[int, ...]:
    if not tokens:
        raise PieceError("The input is empty. Send at least one token.")
    if len(tokens) > CONTEXT_LENGTH:
        raise PieceError(f"The input has {len(tokens)} tokens. Send at most {CONTEXT_LENGTH}.")
    return tuple(tokens)


def _of_datum(chunk: wire.Chunk) -> list[int]:
    match chunk.WhichOneof("chunk"):
        case "encoded_text":
            return _numbers(chunk.encoded_text.tokens)
        case "image":
            image = chunk.image
            return _seen(image.data, image.expected_tokens if image.HasField("expected_tokens") else None)
        case other:
            raise PieceError(f"Chunks of type {other} are not understood. Send text or images.")


def _of_prompt(chunk: PromptChunk) -> list[int]:
    match chunk.type:
        case "encoded_text":
            return chunk.tokens
        case "image":
            return _seen(_decoded(chunk.data), chunk.expected_tokens)
        case "image_asset_pointer":
            return _seen(chunk.location.encode(), chunk.expected_tokens)
        case other:
            raise PieceError(f"Chunks of type {other} are not understood. Send text or images.")


def _numbers(packed: bytes) -> list[int]:
    try:
        numbers: list[int] = np.frombuffer(packed, "<i4").tolist()
    except ValueError as cut:
        raise PieceError(f"{len(packed)} bytes of tokens are no whole number of them. Send 4 bytes each.") from cut
    return numbers


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as wrong:
        raise PieceError("An image's data is not base64. Encode its bytes.") from wrong


def _seen(image: bytes, expected_tokens: int | None) -> list[int]:
    if not image:
        raise PieceError("An image has no data. Send its bytes.")
    count = 1 if expected_tokens is None else expected_tokens
    if not 1 <= count <= CONTEXT_LENGTH:
        raise PieceError(f"An image cannot count for {count} tokens. Say 1 to {CONTEXT_LENGTH}.")
    generator = np.random.default_rng(seed_from(f"image/{image.hex()}"))
    tokens: list[int] = generator.integers(0, VOCABULARY, count).tolist()
    return tokens
