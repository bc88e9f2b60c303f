"""What is trained: the low-rank factors of one run, and everything the optimizer remembers about them.

Used by the executor (which trains), by the archive (which stores) and by sampling (which reads).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

VOCABULARY = 128
WIDTH = 16

FLOAT = np.float32
Array = NDArray[np.float32]
Factors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The shape of an adapter: two runs of equal config can exchange checkpoints.

    Attributes:
        base_model: Name of the frozen model underneath; decides its weights.
        rank: Inner dimension of every factor pair.
        seed: Where the factors start.
        train_unembed: Adapt the output projection.
        train_mlp: Adapt the per-token path.
        train_attn: Adapt the path that sees the tokens before.
    """

    base_model: str
    rank: int
    seed: int
    train_unembed: bool = True
    train_mlp: bool = True
    train_attn: bool = True

    def factor_shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of every trained matrix by its name, in a fixed order."""
        outputs = {
            "unembed": VOCABULARY if self.train_unembed else 0,
            "mlp": WIDTH if self.train_mlp else 0,
            "attn": WIDTH if self.train_attn else 0,
        }
        shapes: dict[str, tuple[int, int]] = {}
        for name, columns in outputs.items():
            if columns:
                shapes[f"{name}_a"] = (WIDTH, self.rank)
                shapes[f"{name}_b"] = (self.rank, columns)
        return shapes


@dataclass(frozen=True, slots=True)
class AdapterState:
    """Everything that continues a trajectory; never changed in place.

    Attributes:
        factors: The trained matrices.
        gradients: Sum of the gradients since the last optimizer step.
        first_moment: AdamW's running mean of the gradient.
        second_moment: AdamW's running mean of its square.
        step: Optimizer steps taken.
    """

    factors: Factors
    gradients: Factors
    first_moment: Factors
    second_moment: Factors
    step: int = 0

    @classmethod
    def fresh(cls, config: AdapterConfig) -> Self:
        """The state before the first step: the adapter changes nothing yet, the optimizer remembers nothing."""
        return cls.from_factors(initial_factors(config))

    @classmethod
    def from_factors(cls, factors: Factors) -> Self:
        """A state with these factors and a forgetful optimizer, as a restore of weights alone leaves it."""
        return cls(factors, zeros_like(factors), zeros_like(factors), zeros_like(factors))


def initial_factors(config: AdapterConfig) -> dict[str, Array]:
    """Factors as LoRA starts them: A random by seed, B zero, so the adapted model equals the base model."""
    generator = np.random.default_rng(seed_from(f"adapter/{config.seed}"))
    return {
        name: generator.normal(0.0, WIDTH**-0.5, shape).astype(FLOAT) if name.endswith("_a") else np.zeros(shape, FLOAT)
        for name, shape in config.factor_shapes().items()
    }


def zeros_like(factors: Factors) -> dict[str, Array]:
    """Zeros of the same names and shapes."""
    return {name: np.zeros_like(value) for name, value in factors.items()}


def seed_from(text: str) -> int:
    """A 64-bit seed that depends on nothing but `text`."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
