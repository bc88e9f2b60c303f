"""A batch in portions that the service takes, and the results of the portions as one; both as the official client does.

The official client averages over portions by the number of examples in each. Where no portion has any output it fails;
here the plain mean stands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import fsum, isfinite, nan
from types import MappingProxyType
from typing import Final

from tinker_operator.tinker.payload.training import Datum, ForwardBackwardOutput

_SIXTY_FOUR_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF
_PARTS_OF_A_NAME: Final = 2


def portions(batch: Iterable[Datum], most_examples: int, most_bytes: int) -> Iterator[tuple[Datum, ...]]:
    """Split a batch; an example larger than `most_bytes` goes alone."""
    portion: list[Datum] = []
    size = 0
    for datum in batch:
        if portion and (size + datum.bytes_count > most_bytes or len(portion) >= most_examples):
            yield tuple(portion)
            portion, size = [], 0
        portion.append(datum)
        size += datum.bytes_count
    if portion:
        yield tuple(portion)


def combined(results: Sequence[ForwardBackwardOutput]) -> ForwardBackwardOutput:
    """Join the results of portions: outputs one after the other, metrics by the reduction in their names.

    A metric without exactly one reduction, with one that is not known, or that not every portion has, is left out.
    """
    if len(results) == 1:
        return results[0]
    outputs = tuple(output for result in results for output in result.loss_fn_outputs)
    kind = results[0].loss_fn_output_type if results else ""
    return ForwardBackwardOutput(kind, outputs, MappingProxyType(_metrics(results)))


def _metrics(results: Sequence[ForwardBackwardOutput]) -> dict[str, float]:
    sizes = [len(result.loss_fn_outputs) for result in results]
    metrics: dict[str, float] = {}
    for name in results[0].metrics if results else ():
        values = [result.metrics[name] for result in results if name in result.metrics]
        if len(values) == len(results):
            metrics |= _reduced(name, values, sizes)
    return metrics


def _reduced(name: str, values: Sequence[float], sizes: Sequence[int]) -> Mapping[str, float]:
    parts = name.split(":")
    reduction = parts[1] if len(parts) == _PARTS_OF_A_NAME else ""
    if reduction == "unique":
        return {f"{name}_{place}" if place else name: value for place, value in enumerate(values)}
    reduce = _REDUCTIONS.get(reduction)
    return {} if reduce is None else {name: reduce(values, sizes)}


def _mean(values: Sequence[float], sizes: Sequence[int]) -> float:
    total = sum(sizes)
    if total == 0:
        return _sum(values, sizes) / len(values)
    return _sum([value * size for value, size in zip(values, sizes, strict=True)], sizes) / total


def _sum(values: Sequence[float], _sizes: Sequence[int]) -> float:
    """Add up without rounding in between; what is not finite is added as it comes, for `fsum` refuses it."""
    return fsum(values) if all(map(isfinite, values)) else sum(values)


def _least(values: Sequence[float], _sizes: Sequence[int]) -> float:
    return nan if any(value != value for value in values) else min(values)  # noqa: PLR0124 (only NaN is not itself)


def _greatest(values: Sequence[float], _sizes: Sequence[int]) -> float:
    return -_least([-value for value in values], _sizes)


def _slack(values: Sequence[float], sizes: Sequence[int]) -> float:
    return _greatest(values, sizes) - _mean(values, sizes)


def _hash(values: Sequence[float], _sizes: Sequence[int]) -> float:
    if not all(map(isfinite, values)):
        return nan
    return sum(int(value) & _SIXTY_FOUR_BITS for value in values) & _SIXTY_FOUR_BITS


_REDUCTIONS: Final[Mapping[str, Callable[[Sequence[float], Sequence[int]], float]]] = MappingProxyType(
    {"mean": _mean, "sum": _sum, "min": _least, "max": _greatest, "slack": _slack, "hash2": _hash}
)
