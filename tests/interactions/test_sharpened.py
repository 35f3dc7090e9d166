"""PIDRo's Eq. 4, held to numbers worked out by hand and to a loop that follows it symbol by symbol."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods import tiny

from vidsift.interactions.quantised import quantise
from vidsift.interactions.sharpened import SharpenedTokenWise, sharpened_mean, sharpened_weights
from vidsift.types import TokenSet

counts = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def equation_4(text_TD: torch.Tensor, video_ND: torch.Tensor, eta: float) -> float:
    """One pair by plain loops over plain floats, in the order of the paper."""
    text = [[x / math.hypot(*row) for x in row] for row in text_TD.tolist()]
    video = [[x / math.hypot(*row) for x in row] for row in video_ND.tolist()]
    s = [[sum(a * b for a, b in zip(t, f, strict=True)) for f in video] for t in text]
    best_of_word = [max(row) for row in s]
    best_of_frame = [max(s[i][j] for i in range(len(text))) for j in range(len(video))]
    total = 0.0
    for best in (best_of_word, best_of_frame):
        bottom = sum(math.exp(eta * value) for value in best)
        total += sum(math.exp(eta * value) / bottom * value for value in best)
    return total / 2


def prepared(interaction: SharpenedTokenWise, text: TokenSet, video: TokenSet) -> tuple[TokenSet, TokenSet]:
    return interaction.prepare_text(text), interaction.prepare_video(video)


def test_a_pair_worked_out_by_hand() -> None:
    # Cosines: the first word meets the frames with 0.6 and 0.8, the second with 0.8 and -0.6.
    text = TokenSet(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), torch.ones(1, 2, dtype=torch.bool))
    video = TokenSet(torch.tensor([[[3.0, 4.0], [0.4, -0.3]]]), torch.ones(1, 2, dtype=torch.bool))
    # Best of both words is 0.8, of the frames 0.8 and 0.8: whatever eta, the score is 0.8.
    flat = SharpenedTokenWise(100.0)
    assert flat.score(*prepared(flat, text, video)).item() == pytest.approx(0.8, abs=1e-6)
    # One frame only: words 0.6 and 0.8, frame 0.8. With eta ln(2) / 0.2 the better word counts double.
    interaction = SharpenedTokenWise(math.log(2) / 0.2)
    text_set, video_set = prepared(interaction, text, TokenSet(video.tokens[:, :1], video.mask[:, :1]))
    expected = ((1 / 3 * 0.6 + 2 / 3 * 0.8) + 0.8) / 2
    assert interaction.score(text_set, video_set).item() == pytest.approx(expected, abs=1e-6)
    account = interaction.align(text_set, video_set)
    torch.testing.assert_close(account.text_weights, torch.tensor([[1 / 3, 2 / 3]]))
    torch.testing.assert_close(account.video_weights, torch.tensor([[1.0]]))
    torch.testing.assert_close(account.contributions[0], torch.tensor([[0.1], [0.8 / 3 + 0.4]]))
    assert account.best_text_token.tolist() == [[1]]
    assert account.best_video_token.tolist() == [[0, 0]]


@settings(max_examples=25, deadline=None)
@given(words=counts, tokens=counts, eta=st.sampled_from([0.0, 1.0, 20.0, 100.0]), seed=st.integers(0, 2**16))
def test_scores_are_equation_4(words: list[int], tokens: list[int], eta: float, seed: int) -> None:
    interaction = SharpenedTokenWise(eta)
    text, video = tiny.token_set(words, 6, seed=seed), tiny.token_set(tokens, 7, seed=seed + 1)
    sim = interaction.score(*prepared(interaction, text, video))
    expected = [
        [equation_4(text.tokens[q, :n], video.tokens[v, :m], eta) for v, m in enumerate(tokens)]
        for q, n in enumerate(words)
    ]
    torch.testing.assert_close(sim, torch.tensor(expected), atol=2e-6, rtol=1e-5)


def test_eta_leads_from_the_mean_of_the_matches_to_the_best_of_them() -> None:
    best, mask = torch.tensor([0.1, 0.3, 0.9]), torch.tensor([True, True, False])
    assert sharpened_weights(best, mask, 0.0).tolist() == [0.5, 0.5, 0.0]
    assert sharpened_mean(best, mask, 0.0).item() == pytest.approx(0.2)
    assert sharpened_mean(best, mask, 1e4).item() == pytest.approx(0.3)


def test_gradients_flow_through_matches_and_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    text_22D = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    video_23D = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    words = torch.tensor([[True, True], [True, False]])
    frames = torch.tensor([[True, True, True], [True, True, False]])
    interaction = SharpenedTokenWise(5.0)

    def score(text: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
        return interaction.score(*prepared(interaction, TokenSet(text, words), TokenSet(video, frames)))

    assert torch.autograd.gradcheck(score, (text_22D, video_23D))


@pytest.mark.parametrize("outermost", [False, True])
def test_int8_and_bf16_scores_are_near_in_the_layout_of_a_scan(outermost: bool) -> None:
    interaction = SharpenedTokenWise()
    text, video = prepared(
        interaction, tiny.token_set([3, 6, 1], 6, 64), tiny.token_set([4, 7, 2, 7], 7, 64, seed=1)
    )
    exact = interaction.score(text, video)
    rounded = quantise(video)
    half = video.to(dtype=torch.bfloat16)
    if outermost:
        rounded = rounded.replace(tokens=rounded.tokens.transpose(0, 1).contiguous().transpose(0, 1))
        half = half.replace(tokens=half.tokens.transpose(0, 1).contiguous().transpose(0, 1))
    torch.testing.assert_close(interaction.score(text, rounded), exact, atol=0.01, rtol=0.01)
    near = interaction.score(text.to(dtype=torch.bfloat16), half)
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, atol=0.02, rtol=0.02)
    assert not torch.equal(near, exact)


@pytest.mark.parametrize("eta", [-1.0, math.inf, math.nan])
def test_an_eta_that_weighs_nothing_is_refused(eta: float) -> None:
    with pytest.raises(ValueError, match=r"eta is .*expected a finite number of at least 0"):
        SharpenedTokenWise(eta)
