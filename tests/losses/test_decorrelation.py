"""Channel decorrelation against its definition; every form against a slow restatement."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions.hierarchical import Hierarchical
from vidsift.interactions.token_wise import TokenWise
from vidsift.losses.decorrelation import (
    Decorrelation,
    MatchForm,
    channel_correlation,
    decorrelation,
    draw_tokens,
)
from vidsift.types import Alignment, TokenSet

DIM = 6
FORMS_OF_4: tuple[MatchForm, MatchForm] = ("best_match", "best_match_summed")


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


def algorithm_4(text: TokenSet, video: TokenSet, *, counted: bool) -> Tensor:
    """The paper's listing with its second half repaired: covariance of both directions, averaged.

    ``counted`` divides by the matches that it counts (X), otherwise by B, as printed.
    """
    covariances = []
    for own, met in (matched(text, video), matched(video, text)):
        left, right = torch.stack(own), torch.stack(met)
        left, right = ((side - side.mean(0)) / side.std(0) for side in (left, right))
        covariances.append(left.t() @ right / (len(left) if counted else len(text)))
    return (covariances[0] + covariances[1]) / 2


@pytest.mark.parametrize("counted", [True, False])
def test_best_matches_are_the_paper_s_algorithm_4(
    sides: tuple[TokenSet, TokenSet, Alignment], *, counted: bool
) -> None:
    text, video, account = sides
    covariance = algorithm_4(text, video, counted=counted)
    # The listing's own way to take the two parts.
    on_diagonal = (covariance.diagonal() - 1).square().sum()
    off_diagonal = covariance.flatten()[1:].view(DIM - 1, DIM + 1)[:, :-1].square().sum()
    parts = decorrelation(text, video, "best_match" if counted else "best_match_summed", account)
    torch.testing.assert_close(parts.total(), on_diagonal + 0.06 * off_diagonal, atol=1e-4, rtol=1e-4)


def test_the_printed_divisor_asks_perfect_agreement_to_grow_with_the_tokens() -> None:
    """Why Algorithm 4 is read as dividing by X: equal sides would be punished otherwise."""
    meet = TokenWise()
    tokens = tiny.token_set([4] * 8, 4, DIM)
    text, video = meet.prepare_text(tokens), meet.prepare_video(tokens)
    account = meet.align(text, video)
    counted, printed = (decorrelation(text, video, form, account) for form in FORMS_OF_4)
    assert counted.on_diagonal < 0.01
    assert printed.on_diagonal == pytest.approx(DIM * (31 / 32 * 4 - 1) ** 2, rel=1e-3)


@pytest.mark.parametrize("form", ["best_match", "best_match_summed", "weighted"])
def test_a_single_path_takes_its_own_matches(
    form: MatchForm, sides: tuple[TokenSet, TokenSet, Alignment]
) -> None:
    text, video, account = sides
    words, frames = (torch.stack(side) for side in matched(text, video))
    other_frames, other_words = (torch.stack(side) for side in matched(video, text))
    shares = {
        "best_match": (None, None),
        "best_match_summed": (torch.full((1,), 0.25), torch.full((1,), 0.25)),
        "weighted": (account.text_weights[text.mask] / 4, account.video_weights[video.mask] / 4),
    }[form]
    for paths, expected in (
        ("t2v", channel_correlation(words, frames, shares[0])),
        ("v2t", channel_correlation(other_frames, other_words, shares[1])),
    ):
        parts = decorrelation(text, video, form, account, paths=paths)  # type: ignore[arg-type]
        torch.testing.assert_close(parts.on_diagonal, (expected.diagonal() - 1).square().sum())


def test_weights_count_by_their_share_of_the_row(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    """Weights of the mean frame sum to more than 1; the diagonal of perfect agreement must not."""
    text, video, account = sides
    longer = replace(account, video_weights=account.video_weights * 3.0)
    expected = decorrelation(text, video, "weighted", account)
    actual = decorrelation(text, video, "weighted", longer)
    torch.testing.assert_close(actual.on_diagonal, expected.on_diagonal)


@pytest.fixture
def levels() -> tuple[TokenSet, TokenSet, Alignment]:
    """Texts and videos at two levels; videos of 2, 1, 3, 2 frames."""
    meet = Hierarchical(DIM, 2)
    text = tiny.token_set([2] * 4, 2, DIM)
    video = tiny.token_set([4, 2, 6, 4], 6, DIM, seed=1)
    text = meet.prepare_text(text.replace(group=torch.arange(2).repeat(4, 1)))
    video = meet.prepare_video(video.replace(group=torch.arange(2).repeat(4, 3)))
    return text, video, meet.align(text, video)


def test_levels_are_decorrelated_each_by_itself(levels: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, _ = levels
    each = []
    for level in range(2):
        frames = [tokens[mask][level::2] for tokens, mask in zip(video.tokens, video.mask, strict=True)]
        means = torch.stack([torch.nn.functional.normalize(one.mean(dim=0), dim=0) for one in frames])
        correlation = channel_correlation(text.tokens[:, level], means)
        each.append((correlation.diagonal() - 1).square().sum())
    parts = decorrelation(text, video, "single", levels=2)
    torch.testing.assert_close(parts.on_diagonal, (each[0] + each[1]) / 2)


def test_best_matches_of_levels_stay_within_their_level(
    levels: tuple[TokenSet, TokenSet, Alignment],
) -> None:
    text, video, account = levels
    words, frames, back_frames, back_words = [], [], [], []
    for row in range(4):
        for level in range(2):
            own = video.tokens[row][video.mask[row]][level::2]
            words.append(text.tokens[row, level])
            frames.append(own[(own @ words[-1]).argmax()])
            back_frames += list(own)
            back_words += [words[-1]] * len(own)
    correlation = (
        channel_correlation(torch.stack(words), torch.stack(frames))
        + channel_correlation(torch.stack(back_frames), torch.stack(back_words))
    ) / 2
    parts = decorrelation(text, video, "best_match", account, levels=2)
    torch.testing.assert_close(parts.on_diagonal, (correlation.diagonal() - 1).square().sum())
    with pytest.raises(ValueError, match="would pair tokens of different levels"):
        decorrelation(text, video, "random", levels=2)


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
