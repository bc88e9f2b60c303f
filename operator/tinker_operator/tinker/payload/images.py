"""Looks into the bytes of an image before they travel: the service would refuse them only after megabytes were sent."""

from enum import StrEnum
from typing import Final

_PNG_BEGINS: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_PNG_SIZES: Final = slice(16, 24)
_PNG_ENDS: Final = b"IEND\xaeB`\x82"
_JPEG_BEGINS: Final = b"\xff\xd8\xff"
_JPEG_ENDS: Final = b"\xff\xd9"
_MARKER: Final = 0xFF
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FRAME_HEAD: Final = 9


class ImageFormat(StrEnum):
    """The formats that models can look at."""

    PNG = "png"
    JPEG = "jpeg"


def image_size(content: bytes, form: ImageFormat) -> tuple[int, int] | None:
    """Give (width, height) in pixels; None when the bytes are no whole image of the format."""
    size = _png_size(content) if form is ImageFormat.PNG else _jpeg_size(content)
    return size if size and min(size) > 0 else None


def _png_size(content: bytes) -> tuple[int, int] | None:
    if not content.startswith(_PNG_BEGINS) or _PNG_ENDS not in content:
        return None
    sizes = content[_PNG_SIZES]
    return int.from_bytes(sizes[:4]), int.from_bytes(sizes[4:])


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Walk from segment to segment to the one that begins the picture and says its size."""
    if not content.startswith(_JPEG_BEGINS):
        return None
    place = 2
    while content[place : place + 1] == bytes((_MARKER,)) and place + _FRAME_HEAD <= len(content):
        kind = content[place + 1]
        if kind in _FRAMES:
            height, width = content[place + 5 : place + 7], content[place + 7 : place + 9]
            ended = content.find(_JPEG_ENDS, place) > 0
            return (int.from_bytes(width), int.from_bytes(height)) if ended else None
        place += 1 if kind == _MARKER else 2 if kind in _WITHOUT_LENGTH else _length(content, place)
    return None


def _length(content: bytes, place: int) -> int:
    return 2 + max(2, int.from_bytes(content[place + 2 : place + 4]))
