"""What goes into drawing tokens and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from tinker_operator.tinker.errors import CallNotPossible


class StopReason(StrEnum):
    """Why a sample ended."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn; the defaults are those of the official client.

    Args:
        max_tokens: The longest sample; None is as long as the context allows.
        seed: Makes the same request draw the same tokens.
        stop: Texts or tokens that end a sample. None ends it where the model does; an empty sequence never.
        temperature: 0 draws the likeliest.
        top_k: Draw among so many; -1 among all.
        top_p: Draw among the likeliest that have this probability together.

    Raises:
        CallNotPossible: A number is outside what it can be.
    """

    max_tokens: int | None = None
    seed: int | None = None
    stop: str | Sequence[str] | Sequence[int] | None = None
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise CallNotPossible(f"A sample cannot be of at most {self.max_tokens} tokens", "Give 1 or more, or None.")
        if not self.temperature >= 0:
            raise CallNotPossible(f"A temperature cannot be {self.temperature}", "Give 0 or more.")
        if not 0 < self.top_p <= 1:
            raise CallNotPossible(f"top_p cannot be {self.top_p}", "Give more than 0 and at most 1.")

    def to_json(self) -> dict[str, Any]:
        """Give the form that the wire has."""
        stop = self.stop if self.stop is None or isinstance(self.stop, str) else list(self.stop)
        numbers = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        optional = {"max_tokens": self.max_tokens, "seed": self.seed, "stop": stop}
        return {**{name: value for name, value in optional.items() if value is not None}, **numbers}


TopTokens: TypeAlias = tuple[tuple[tuple[int, float], ...] | None, ...]
"""Per position the likeliest tokens with their log-probabilities; None where the service computed none."""


@dataclass(frozen=True, slots=True)
class SampledSequence:
    """One sample.

    Args:
        sequence_id: The service's name for it.
        stop_reason: Why it ended.
        tokens: What was drawn.
        logprobs: Of each of them; None when the service does not say.
        topk_logprobs: The likeliest at each position; None when not asked for.
    """

    sequence_id: str
    stop_reason: StopReason
    tokens: tuple[int, ...] = field(repr=False)
    logprobs: tuple[float, ...] | None = field(repr=False)
    topk_logprobs: TopTokens | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SampleResponse:
    """All samples of one prompt.

    Args:
        sequences: As many as were asked for.
        prompt_logprobs: Of each token of the prompt, None for the first; None when not asked for.
        topk_prompt_logprobs: The likeliest at each position of the prompt; None when not asked for.
        prompt_cache_hit_tokens: How many tokens of the prompt the service had read before.
    """

    sequences: tuple[SampledSequence, ...]
    prompt_logprobs: tuple[float | None, ...] | None = field(default=None, repr=False)
    topk_prompt_logprobs: TopTokens | None = field(default=None, repr=False)
    prompt_cache_hit_tokens: int = 0
