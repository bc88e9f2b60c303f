"""What a simulator is started with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

BASE_MODELS: tuple[str, ...] = (
    "Qwen/Qwen3-4B-Instruct-2507",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-8B-Base",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-32B",
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.2-1B",
    "meta-llama/Llama-3.2-3B",
    "meta-llama/Llama-3.3-70B-Instruct",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
)
CONTEXT_LENGTH = 32768
HIGHEST_RANK = 256
DEFAULT_OWNER = "simulator"
DEFAULT_KEY = "tml-simulator"


class SettingError(ValueError):
    """A setting cannot be used; the message tells the remedy."""


class ArchiveRoute(StrEnum):
    """How the archive of a checkpoint is answered, where there is such a route."""

    REDIRECT = "redirect"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the simulator answers.

    Attributes:
        owners: Owner by API key; two keys of one owner see the same runs.
        admin: Whether the routes under `/_simulator/` exist.
        hold_seconds: How long a poll of an unfinished future is held before it is answered 408.
        gap_seconds: How long an operation waits for a missing one with a lower sequence number.
        token_seconds: How long a token lives that a key is exchanged for; None: keys are not exchanged.
        archive_route: How checkpoints are offered as one archive; None: they are not.
        archive_takes_time: Whether the first request for an archive is told that it is being built.
    """

    owners: Mapping[str, str]
    admin: bool = False
    hold_seconds: float = 25.0
    gap_seconds: float = 1.0
    token_seconds: float | None = None
    archive_route: ArchiveRoute | None = None
    archive_takes_time: bool = False


def owners_of(api_keys: Iterable[str]) -> dict[str, str]:
    """Owner by key, from `KEY` or `KEY@OWNER`; a key without an owner belongs to the default one.

    Raises:
        SettingError: a key is not one that the official clients would send.
    """
    owners: dict[str, str] = {}
    for number, text in enumerate(api_keys, start=1):
        key, _, owner = text.partition("@")
        if not key.startswith("tml-"):
            raise SettingError(f"API key {number} does not begin with 'tml-'. Give one that does.")
        owners[key] = owner or DEFAULT_OWNER
    if not owners:
        raise SettingError("There is no API key. Give at least one.")
    return owners
