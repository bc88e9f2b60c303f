"""What becomes of each tensor of an adapter in a GGUF file: the rules of llama.cpp's own converter, without its models.

llama.cpp keeps its weights in another arrangement than PEFT. Most matrices merely have another name. Those of experts
are stacked, and in Llama the rows of what makes queries and keys are in another order. Whatever this module does not
know for certain is refused: an adapter that loads and computes nonsense is worse than none.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from tinker_operator.exporter.errors import FormatUnsupported
from tinker_operator.tinker.download.tensors import Tensor

DTYPES: Final = ("F32", "F16", "BF16")
"""What a tensor may be made of; each of their values is one of F32, too, so nothing is rounded."""
_MOST_BLOCKS: Final = 1024
_PREFIX: Final = "base_model.model."
_FACTOR: Final = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_EXPERT: Final = re.compile(r"(?P<experts>.+\.mlp\.experts)\.(?P<number>\d+)\.(?P<matrix>\w+)")
_BLOCK: Final = re.compile(r"\.layers\.(\d+)\.")
_ROTARY: Final = (".self_attn.q_proj", ".self_attn.k_proj")
_MATRIX: Final = 2


@dataclass(frozen=True, slots=True)
class Family:
    """Base models whose adapters have one arrangement.

    Attributes:
        models: Names of the base models, without their owner.
        architecture: As llama.cpp calls it.
        tied: Whether the embedding serves as the output matrix, too, which then cannot have an adapter of its own.
        head: Rows of one attention head, where queries and keys are in another order; None where they are not.
    """

    models: re.Pattern[str]
    architecture: str
    tied: bool = False
    head: int | None = None


_FAMILIES: Final = (
    Family(re.compile(r"Qwen3-(0\.6|1\.7|4)B(-.+)?"), "qwen3", tied=True),
    Family(re.compile(r"Qwen3-(8|14|32)B(-.+)?"), "qwen3"),
    Family(re.compile(r"Qwen3-(Coder-)?\d+B-A\d+B(-.+)?"), "qwen3moe"),
    Family(re.compile(r"(Meta-)?Llama-3\.2-1B(-.+)?"), "llama", tied=True, head=64),
    Family(re.compile(r"(Meta-)?Llama-3\.2-3B(-.+)?"), "llama", tied=True, head=128),
    Family(re.compile(r"(Meta-)?Llama-3(\.[13])?-(8|70|405)B(-.+)?"), "llama", head=128),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor of the file.

    Attributes:
        name: In the file.
        sources: What it is made of: one, or one of each expert in their order.
        shape: Its shape, the outermost dimension first.
        head: Rows of a head, if they are to be put into another order.
    """

    name: str
    sources: tuple[Tensor, ...]
    shape: tuple[int, ...]
    head: int | None = None


def family_of(config: Mapping[str, Any]) -> Family:
    """Give the family of an adapter's base model.

    Args:
        config: The adapter's configuration.

    Raises:
        FormatUnsupported: The base model is of none.
    """
    base_model = config.get("base_model_name_or_path")
    name = base_model.rpartition("/")[2] if isinstance(base_model, str) else ""
    found = next((one for one in _FAMILIES if one.models.fullmatch(name)), None)
    if found is None:
        raise FormatUnsupported(f"How adapters of the base model {base_model!a:.120} look in GGUF is not known")
    return found


def alpha_of(config: Mapping[str, Any]) -> float:
    """Give what the product of the factors is multiplied with, times the rank: the file has one number for all.

    Args:
        config: The adapter's configuration.

    Raises:
        FormatUnsupported: The adapter is scaled or made in a way that the file cannot say.
    """
    foreign = [name for name in ("use_dora", "use_rslora", "alpha_pattern", "fan_in_fan_out") if config.get(name)]
    if foreign or config.get("bias", "none") != "none":
        raise FormatUnsupported(f"GGUF cannot say what the adapter's {(foreign or ['bias'])[0]} means")
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < inf:
        raise FormatUnsupported("The adapter's lora_alpha is no number above 0, which llama.cpp would not scale by")
    return float(alpha)


def blocks_in(tensors: Iterable[Tensor]) -> int:
    """Give how many blocks of layers the tensors need.

    Raises:
        FormatUnsupported: More than any model has.
    """
    numbers = [int(found[1]) for it in tensors if (found := _BLOCK.search(it.name)) is not None]
    if max(numbers, default=0) >= _MOST_BLOCKS:
        raise FormatUnsupported(f"The adapter names layer {max(numbers)}, which no known model has")
    return max(numbers, default=0) + 1


def planned(tensors: Iterable[Tensor], family: Family, renamed: Callable[[str], str | None]) -> tuple[Planned, ...]:
    """Give the tensors of the file, in its order: factor A of a matrix, then its B.

    Args:
        tensors: Of the adapter.
        family: Of its base model.
        renamed: Gives llama.cpp's name of a matrix; None when it has none.

    Raises:
        FormatUnsupported: A tensor has no place in the file.
    """
    found: list[Planned] = []
    for matrix, factors in _stacks(tensors).items():
        name = renamed(matrix)
        if name is None or (family.tied and matrix == "lm_head"):
            raise FormatUnsupported(f"{family.architecture} has no matrix of its own for {matrix!a:.120}")
        head = family.head if matrix.endswith(_ROTARY) else None
        found += [
            _planned(f"{name}.weight.lora_a", factors["A"]),
            _planned(f"{name}.weight.lora_b", factors["B"], head),
        ]
    if len({one.name for one in found}) != len(found):
        raise FormatUnsupported("Two matrices of the adapter are the same one in GGUF")
    return tuple(found)


def _stacks(tensors: Iterable[Tensor]) -> dict[str, dict[str, dict[int | None, Tensor]]]:
    """Matrix → factor → number of the expert, None for what is no expert's → tensor; all of them whole."""
    stacks: dict[str, dict[str, dict[int | None, Tensor]]] = {}
    for tensor in tensors:
        factor = _FACTOR.fullmatch(tensor.name.removeprefix(_PREFIX))
        if factor is None or len(tensor.shape) != _MATRIX or tensor.dtype not in DTYPES:
            raise FormatUnsupported(f"{tensor.name!a:.120} is no factor of a matrix, or of type {tensor.dtype!a:.20}")
        expert = _EXPERT.fullmatch(factor["module"])
        matrix = factor["module"] if expert is None else f"{expert['experts']}.{expert['matrix']}"
        number = None if expert is None else int(expert["number"])
        stacks.setdefault(matrix, {"A": {}, "B": {}})[factor["side"]][number] = tensor
    experts = max((len(it["A"]) for it in stacks.values()), default=0)
    for matrix, factors in stacks.items():
        whole = {None} if None in factors["A"] else set(range(experts))
        if not factors["A"].keys() == factors["B"].keys() == whole:
            raise FormatUnsupported(f"Of {matrix!a:.120} a factor, or an expert's, is missing")
        first_a, first_b = next(iter(factors["A"].values())), next(iter(factors["B"].values()))
        alike = all({it.shape for it in one.values()} == {next(iter(one.values())).shape} for one in factors.values())
        if first_a.shape[0] != first_b.shape[1] or not alike:
            raise FormatUnsupported(f"The factors of {matrix!a:.120} do not fit together")
    return stacks


def _planned(name: str, experts: Mapping[int | None, Tensor], head: int | None = None) -> Planned:
    sources = tuple(experts[number] for number in sorted(experts, key=lambda it: -1 if it is None else it))
    shape = sources[0].shape if None in experts else (len(sources), *sources[0].shape)
    if head is not None and shape[0] % head:
        raise FormatUnsupported(f"{sources[0].name!a:.120} has {shape[0]} rows, which are no whole heads of {head}")
    return Planned(name, sources, shape, head)
