"""Channel decorrelation against its definition; every form against a slow restatement."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions.token_wise import TokenWise
from vidsift.losses.decorrelation import Decorrelation, channel_correlation, decorrelation, draw_tokens
from vidsift.types import Alignment, TokenSet

DIM = 6


@pytest.fixture
def sides() -> tuple[TokenSet, TokenSet, Alignment]:
    meet = TokenWise()
    text = meet.prepare_text(tiny.token_set([3, 1, 2, 4], 4, DIM))
    video = meet.prepare_video(tiny.token_set([2, 5, 1, 3], 5, DIM, seed=1))
    return text, video, meet.align(text, video)


def matched(text: TokenSet, video: TokenSet) -> tuple[list[Tensor], list[Tensor]]:
    """Every real word with its best frame, found one by one."""
    words, frames = [], []
    for row in range(len(text)):
        real_frames = video.tokens[row][video.mask[row]]
        for word in text.tokens[row][text.mask[row]]:
            words.append(word)
            frames.append(real_frames[(real_frames @ word).argmax()])
    return words, frames


def test_equal_sides_have_a_diagonal_of_ones() -> None:
    tokens = torch.randn(50, DIM, generator=torch.Generator().manual_seed(0))
    correlation = channel_correlation(tokens, tokens)
    # Unbiased deviation over the mean of products: (n - 1) / n.
    torch.testing.assert_close(correlation.diagonal(), torch.full((DIM,), 49 / 50))
    centred = tokens - tokens.mean(dim=0)
    expected = torch.corrcoef(centred.t()) * 49 / 50
    torch.testing.assert_close(correlation, expected, atol=1e-5, rtol=1e-4)


def test_the_uncentred_form_is_the_cosine_of_channels() -> None:
    left, right = torch.randn(2, 9, DIM, generator=torch.Generator().manual_seed(0)).unbind()
    actual = channel_correlation(left, right, centred=False)
    expected = torch.nn.functional.cosine_similarity(left.t()[:, None], right.t()[None], dim=-1)
    torch.testing.assert_close(actual, expected)


def test_both_directions_of_best_matches_are_averaged(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, account = sides
    words, frames = (torch.stack(side) for side in matched(text, video))
    other_frames, other_words = (torch.stack(side) for side in matched(video, text))
    correlation = (channel_correlation(words, frames) + channel_correlation(other_frames, other_words)) / 2
    parts = decorrelation(text, video, "best_match", account)
    eye = torch.eye(DIM, dtype=torch.bool)
    torch.testing.assert_close(parts.on_diagonal, (correlation[eye] - 1).square().sum())
    torch.testing.assert_close(parts.off_diagonal, correlation[~eye].square().sum(), atol=1e-4, rtol=1e-4)


def test_uniform_weights_weigh_each_pair_alike(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, account = sides
    words, frames = (torch.stack(side) for side in matched(text, video))
    other_frames, other_words = (torch.stack(side) for side in matched(video, text))
    to_video = channel_correlation(words, frames, account.text_weights[text.mask] / len(text))
    to_text = channel_correlation(other_frames, other_words, account.video_weights[video.mask] / len(text))
    parts = decorrelation(text, video, "weighted", account)
    diagonal = ((to_video + to_text) / 2).diagonal()
    torch.testing.assert_close(parts.on_diagonal, (diagonal - 1).square().sum())


def test_the_summed_form_counts_matches_per_pair(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, account = sides
    words, frames = (torch.stack(side) for side in matched(text, video))
    other_frames, other_words = (torch.stack(side) for side in matched(video, text))
    correlation = (
        channel_correlation(words, frames) * len(words)
        + channel_correlation(other_frames, other_words) * len(other_frames)
    ) / (2 * len(text))
    parts = decorrelation(text, video, "best_match_summed", account)
    torch.testing.assert_close(parts.on_diagonal, (correlation.diagonal() - 1).square().sum())


def test_random_tokens_are_the_drawn_ones(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, _ = sides
    draws = torch.tensor([2, 0, 1, 3]), torch.tensor([0, 4, 0, 1])
    rows = torch.arange(4)
    expected = channel_correlation(text.tokens[rows, draws[0]], video.tokens[rows, draws[1]])
    parts = decorrelation(text, video, "random", draws=draws)
    torch.testing.assert_close(parts.on_diagonal, (expected.diagonal() - 1).square().sum())


def test_drawn_tokens_are_real_and_all_are_drawn() -> None:
    tokens = tiny.token_set([1, 4], 6)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_tokens(tokens, generator) for _ in range(200)])
    assert set(drawn[:, 0].tolist()) == {0}
    assert set(drawn[:, 1].tolist()) == {0, 1, 2, 3}


def test_parts_are_weighed_by_alpha() -> None:
    parts = Decorrelation(torch.tensor(3.0), torch.tensor(50.0))
    assert parts.total().item() == pytest.approx(3 + 0.06 * 50)
    assert parts.total(0.0, 0.11).item() == pytest.approx(0.33)


def test_a_channel_that_never_varies_gives_no_nan() -> None:
    text, video = (tiny.token_set([2, 2, 2], 2, DIM, seed=seed) for seed in (0, 1))
    flat = text.tokens.clone()
    flat[..., 0] = 0.5
    flat.requires_grad_()
    loss = decorrelation(text.replace(tokens=flat), video, "single").total()
    torch.autograd.backward(loss)
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())
    assert bool(loss.isfinite())


def test_what_cannot_be_standardised_is_refused(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, _ = sides
    with pytest.raises(ValueError, match=r"1 match\(es\).*larger batch"):
        decorrelation(text[:1], video[:1], "single")
    with pytest.raises(ValueError, match="pass the alignment"):
        decorrelation(text, video, "weighted")
    with pytest.raises(ValueError, match="expected one of single, random"):
        decorrelation(text, video, "twice", sides[2])  # type: ignore[arg-type]
