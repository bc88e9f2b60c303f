"""One training step in two halves: gradients are summed by `forward_backward` and spent by `adamw`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinker_simulator.learning.adapter import AdapterState, Array, zeros_like
from tinker_simulator.learning.losses import LOSSES, LossConfig, LossInputError, LossInputs
from tinker_simulator.learning.network import backward, folded, forward


@dataclass(frozen=True, slots=True)
class Example:
    """One datum: `targets` has one row per token (and a column per alternative when it is a matrix)."""

    tokens: tuple[int, ...]
    targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    inputs: LossInputs


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a pass over a batch yields: the summed loss, each example's target log-probabilities, the new state."""

    loss: float
    logprobs: tuple[Array, ...]
    state: AdapterState


@dataclass(frozen=True, slots=True)
class AdamW:
    """Settings of one optimizer step; `grad_clip_norm` 0 means no clipping."""

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0


def forward_backward(
    base_model: str,
    state: AdapterState,
    batch: Sequence[Example],
    loss_fn: str,
    config: LossConfig,
    *,
    forward_only: bool = False,
) -> Gradients:
    """Add the gradient of the loss over `batch` to the state's sum; with `forward_only` the state stays as it is.

    Raises:
        LossInputError: an example and its loss inputs do not fit together, or the loss is not finite.
    """
    total, logprobs = 0.0, []
    gradients = {name: value.copy() for name, value in state.gradients.items()}
    for example in batch:
        _check(example)
        seen = forward(base_model, state.factors, example.tokens)
        targets = folded(example.targets.ravel().tolist()).reshape(len(example.tokens), -1)
        chosen = np.take_along_axis(seen.logprobs, targets, axis=1).reshape(example.targets.shape)
        with np.errstate(all="ignore"):
            loss = LOSSES[loss_fn].compute(chosen, example.inputs, config)
        if not np.isfinite(loss.value):
            raise LossInputError("The loss is not finite. Check the inputs, 'logprobs' above all.")
        total += loss.value
        logprobs.append(chosen)
        if not forward_only:
            by_logits = _logit_gradient(seen.logprobs, targets, loss.slope.reshape(targets.shape))
            for name, gradient in backward(state.factors, seen, by_logits).items():
                gradients[name] += gradient
    return Gradients(total, tuple(logprobs), replace(state, gradients=gradients))


def adamw(state: AdapterState, settings: AdamW) -> tuple[AdapterState, float]:
    """Take one AdamW step with the summed gradient, which is then spent; returns the gradient's norm as well.

    Raises:
        OverflowError: the weights would not be finite after it.
    """
    with np.errstate(all="ignore"):
        stepped, norm = _stepped(state, settings)
    if not all(np.isfinite(value).all() for value in (*stepped.factors.values(), *stepped.second_moment.values())):
        raise OverflowError("The weights would not be finite after this step. Lower the learning rate.")
    return stepped, norm


def _stepped(state: AdapterState, settings: AdamW) -> tuple[AdapterState, float]:
    norm = float(np.sqrt(sum(float((value.astype(np.float64) ** 2).sum()) for value in state.gradients.values())))
    scale = settings.grad_clip_norm / norm if 0 < settings.grad_clip_norm < norm else 1.0
    step = state.step + 1
    factors, first, second = {}, {}, {}
    for name, weight in state.factors.items():
        gradient = state.gradients[name] * np.float32(scale)
        first[name] = _blend(state.first_moment[name], gradient, settings.beta1)
        second[name] = _blend(state.second_moment[name], gradient**2, settings.beta2)
        direction = (first[name] / (1 - settings.beta1**step)) / (
            np.sqrt(second[name] / (1 - settings.beta2**step)) + settings.eps
        )
        change = settings.learning_rate * (direction + settings.weight_decay * weight)
        factors[name] = (weight - change).astype(weight.dtype)
    return AdapterState(factors, zeros_like(factors), first, second, step), norm


def _blend(old: Array, new: Array, keep: float) -> Array:
    return (keep * old + (1 - keep) * new).astype(old.dtype)


def _logit_gradient(logprobs: Array, targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]], slope: Array) -> Array:
    gradient: Array = -np.exp(logprobs) * slope.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(len(targets))[:, None], targets.shape)
    np.add.at(gradient, (rows, targets), slope)
    return gradient


def _check(example: Example) -> None:
    if example.targets.shape[0] != len(example.tokens):
        raise LossInputError(
            f"A datum has {len(example.tokens)} input tokens and {example.targets.shape[0]} rows of target_tokens. "
            "Send one target row per input token."
        )
