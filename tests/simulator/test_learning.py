"""The small model is a real one: its gradients are those of its losses, its optimizer is AdamW."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinker_simulator.learning.adapter import AdapterConfig, AdapterState, Array, initial_factors
from tinker_simulator.learning.losses import LOSSES, LossInputError
from tinker_simulator.learning.sampling import SamplingSettings, prompt_logprobs, sample
from tinker_simulator.learning.training import AdamW, Example, adamw, forward_backward

pytestmark = pytest.mark.pure

BASE = "Qwen/Qwen3-8B"
CONFIG = AdapterConfig(BASE, rank=3, seed=1)
MARKED = slice(2, None)


def warm(config: AdapterConfig = CONFIG) -> AdapterState:
    """A state away from its start, where every factor has a gradient."""
    generator = np.random.default_rng(0)
    factors = {
        name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in config.factor_shapes().items()
    }
    return AdapterState.from_factors(factors)


def example(loss_fn: str, length: int = 6) -> Example:
    """A datum with whatever the loss reads."""
    generator = np.random.default_rng(length)
    inputs: dict[str, Array] = {
        "weights": generator.random(length).astype(np.float32),
        "logprobs": -3 - generator.random(length).astype(np.float32),
        "advantages": generator.normal(0, 1, length).astype(np.float32),
        "sequence_ratio_mask": (np.arange(length) >= MARKED.start).astype(np.float32),
    }
    chosen = inputs if loss_fn != "cross_entropy" else {"weights": inputs["weights"]}
    return Example(tuple(range(length)), np.arange(1, length + 1), chosen)


def held_by_cispo(distance: Array, advantages: Array) -> Array:
    """Only the upper side is clipped."""
    return np.minimum(np.exp(distance), 4.0) * advantages


def held_by_gspo(distance: Array, advantages: Array) -> Array:
    """One ratio for all tokens, over those that are marked; a gain beyond the clip range has no slope."""
    ratio = np.exp(distance[MARKED].mean())
    kept = ratio * advantages <= np.clip(ratio, 0.8, 1.2) * advantages
    return np.where(kept, ratio * advantages, 0.0)


HELD: dict[str, Callable[[Array, Array], Array]] = {"cispo": held_by_cispo, "gspo": held_by_gspo}


@pytest.mark.parametrize("loss_fn", sorted(LOSSES))
def test_gradients_are_those_of_the_loss(loss_fn: str) -> None:
    """Checked by differences, for one number of every factor.

    cispo holds its clipped ratio constant, gspo that of the sequence: the difference is taken of what is left, the
    likelihood under that weight.
    """
    datum, state = example(loss_fn), warm()
    result = forward_backward(BASE, state, [datum], loss_fn, {})
    if loss_fn in HELD:
        distance = result.logprobs[0] - datum.inputs["logprobs"]
        weights = HELD[loss_fn](distance, datum.inputs["advantages"]).astype(np.float32)
        datum, loss_fn = replace(datum, inputs={"weights": weights}), "cross_entropy"

    def loss_at(name: str, offset: float) -> float:
        factors: dict[str, Any] = dict(state.factors)  # finer than float32, or the difference is noise
        moved = factors[name].astype(np.float64)
        moved[1, 1] += offset
        factors[name] = moved
        return forward_backward(BASE, replace(state, factors=factors), [datum], loss_fn, {}).loss

    for name, gradient in result.state.gradients.items():
        difference = (loss_at(name, 1e-4) - loss_at(name, -1e-4)) / 2e-4
        assert float(gradient[1, 1]) == pytest.approx(difference, rel=1e-2, abs=1e-3), name


def test_a_fresh_adapter_changes_nothing_whatever_its_rank() -> None:
    """As LoRA begins: one factor of each pair is zero."""
    losses = {
        forward_backward(
            BASE, AdapterState.fresh(replace(CONFIG, rank=rank)), [example("cross_entropy")], "cross_entropy", {}
        ).loss
        for rank in (1, 4, 32)
    }

    assert len(losses) == 1


def test_only_the_parts_asked_for_are_trained() -> None:
    """The factors of the others do not exist."""
    config = replace(CONFIG, train_mlp=False, train_unembed=False)

    assert set(initial_factors(config)) == {"attn_a", "attn_b"}


def test_gradients_add_up_until_they_are_spent() -> None:
    """Two passes and a step are one pass over both and a step; the step leaves no gradient behind."""
    one, other = example("cross_entropy", 4), example("cross_entropy", 7)
    state = warm()
    apart = forward_backward(
        BASE, forward_backward(BASE, state, [one], "cross_entropy", {}).state, [other], "cross_entropy", {}
    )
    together = forward_backward(BASE, state, [one, other], "cross_entropy", {})

    for name, gradient in together.state.gradients.items():
        np.testing.assert_allclose(apart.state.gradients[name], gradient, rtol=1e-5)
    stepped, norm = adamw(together.state, AdamW())
    assert norm > 0
    assert stepped.step == 1
    assert all(not gradient.any() for gradient in stepped.gradients.values())


def test_the_first_step_of_adamw_moves_each_weight_by_the_learning_rate() -> None:
    """Its memory is empty, so the direction is the sign of the gradient; decay is on top and decoupled."""
    state = warm()
    gradients = forward_backward(BASE, state, [example("cross_entropy")], "cross_entropy", {}).state
    stepped, _ = adamw(gradients, AdamW(learning_rate=0.01, weight_decay=0.5))

    for name, weight in state.factors.items():
        expected = weight - 0.01 * (np.sign(gradients.gradients[name]) + 0.5 * weight)
        np.testing.assert_allclose(stepped.factors[name], expected, rtol=1e-4, atol=1e-6)


def test_clipping_scales_the_gradient_to_the_norm() -> None:
    """What AdamW remembers is the clipped gradient."""
    gradients = forward_backward(BASE, warm(), [example("cross_entropy")], "cross_entropy", {}).state
    _, norm = adamw(gradients, AdamW())
    clipped, _ = adamw(gradients, AdamW(grad_clip_norm=norm / 4))
    free, _ = adamw(gradients, AdamW(grad_clip_norm=norm * 4))

    for name, moment in free.first_moment.items():
        np.testing.assert_allclose(clipped.first_moment[name], moment / 4, rtol=1e-4)


@pytest.mark.parametrize("loss_fn", ["importance_sampling", "ppo", "cispo", "dro"])
def test_a_loss_names_the_input_it_lacks(loss_fn: str) -> None:
    """And the remedy."""
    with pytest.raises(LossInputError, match=r"lacks 'logprobs'.*one value per target"):
        forward_backward(BASE, warm(), [example("cross_entropy")], loss_fn, {})


@given(
    prompt=st.lists(st.integers(0, 200_000), min_size=1, max_size=8),
    seed=st.integers(0, 2**32),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.sampled_from([-1, 1, 5, 1000]),
    top_p=st.sampled_from([0.01, 0.5, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_a_draw_depends_on_nothing_but_what_is_asked(
    prompt: list[int], seed: int, temperature: float, top_k: int, top_p: float
) -> None:
    """Equal questions, equal answers, of the asked length, each token scored as the prompt scorer scores it."""
    factors, asked = warm().factors, SamplingSettings(4, temperature, top_k, top_p)
    drawn, again = (sample(BASE, factors, prompt, asked, seed) for _ in range(2))

    assert drawn.tokens == again.tokens
    assert len(drawn.tokens) == 4
    scored = prompt_logprobs(BASE, factors, [*prompt, *drawn.tokens])
    assert np.isnan(scored[0])
    np.testing.assert_allclose(scored[-4:], drawn.logprobs, rtol=1e-4, atol=1e-5)


def test_a_stop_token_ends_the_draw() -> None:
    """And is its last token."""
    factors = warm().factors
    free = sample(BASE, factors, [1], SamplingSettings(8), seed=1)
    stopped = sample(BASE, factors, [1], SamplingSettings(8, stop_tokens=frozenset({free.tokens[2]})), seed=1)

    assert (free.stopped, stopped.stopped) == (False, True)
    assert stopped.tokens == free.tokens[: free.tokens.index(free.tokens[2]) + 1]
