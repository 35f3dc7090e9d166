"""Channel decorrelation against its definition; every form against a slow restatement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions.hierarchical import Hierarchical
from vidsift.interactions.token_wise import TokenWise
from vidsift.losses import decorrelation as losses
from vidsift.losses.decorrelation import Decorrelation, MatchForm, decorrelation, draw_tokens
from vidsift.types import Alignment, TokenSet

DIM = 6
ROTATION = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
"""Text channel 0 says video channel 1, text channel 1 the opposite of video channel 0."""
FORMS_OF_4: tuple[MatchForm, MatchForm] = ("best_match", "best_match_summed")


def channel_correlation(left: Tensor, right: Tensor, shares: Tensor | None = None, **how: Any) -> Tensor:
    """The values of channels that all vary."""
    correlation = losses.channel_correlation(left, right, shares, **how)
    assert bool(correlation.counted.all())
    return correlation.values


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
    correlation = (channel_correlation(words, frames) + channel_correlation(other_words, other_frames)) / 2
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
    for tokens, partners in (matched(text, video), matched(video, text)):
        left, right = torch.stack(tokens), torch.stack(partners)
        left, right = ((side - side.mean(0)) / side.std(0) for side in (left, right))
        covariances.append(left.t() @ right / (len(left) if counted else len(text)))
    # Text channel i with video channel j, also where the frames are on the left.
    covariances[1] = covariances[1].t()
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
        "best_match_summed": (None, None),
        "weighted": (account.text_weights[text.mask] / 4, account.video_weights[video.mask] / 4),
    }[form]
    for paths, left, right, share in (
        ("t2v", words, frames, shares[0]),
        ("v2t", other_words, other_frames, shares[1]),
    ):
        expected = channel_correlation(left, right, share)
        if form == "best_match_summed":
            expected = expected * len(left) / len(text)
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
        means = torch.stack(
            [torch.nn.functional.normalize(frame_tokens.mean(dim=0), dim=0) for frame_tokens in frames]
        )
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
            level_frames = video.tokens[row][video.mask[row]][level::2]
            words.append(text.tokens[row, level])
            frames.append(level_frames[(level_frames @ words[-1]).argmax()])
            back_frames += list(level_frames)
            back_words += [words[-1]] * len(level_frames)
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


def test_what_cannot_be_standardised_is_refused(sides: tuple[TokenSet, TokenSet, Alignment]) -> None:
    text, video, _ = sides
    with pytest.raises(ValueError, match=r"1 match\(es\).*larger batch"):
        decorrelation(text[:1], video[:1], "single")
    with pytest.raises(ValueError, match="pass the alignment"):
        decorrelation(text, video, "weighted")
    with pytest.raises(ValueError, match="expected one of single, random"):
        decorrelation(text, video, "twice", sides[2])  # type: ignore[arg-type]


def pairs_of_one(batch: int = 8) -> tuple[TokenSet, TokenSet, Alignment]:
    """One word and one frame for each pair, whose redundancy is antisymmetric between the first channels."""
    generator = torch.Generator().manual_seed(0)
    text_BD, video_BD = torch.randn(2, batch, DIM, generator=generator).unbind()
    video_BD[:, 0], video_BD[:, 1] = text_BD[:, 1], -text_BD[:, 0]
    meet = TokenWise()
    mask = torch.ones(batch, 1, dtype=torch.bool)
    text = meet.prepare_text(TokenSet(text_BD[:, None], mask))
    video = meet.prepare_video(TokenSet(video_BD[:, None], mask))
    return text, video, meet.align(text, video)


def test_with_one_word_and_one_frame_the_forms_are_one() -> None:
    text, video, account = pairs_of_one()
    single = decorrelation(text, video, "single")
    assert single.off_diagonal > 1.5
    for form in ("best_match", "best_match_summed", "weighted"):
        parts = decorrelation(text, video, form, account)
        torch.testing.assert_close(parts, single, atol=1e-5, rtol=1e-5)
    released = decorrelation(text, video, "best_match", account, orientation="released")
    torch.testing.assert_close(released.on_diagonal, single.on_diagonal)
    assert released.off_diagonal < single.off_diagonal - 1


def test_redundancy_of_opposite_signs_costs_nothing_as_released() -> None:
    """The defect: (C + C^T) / 2 is 0 off the diagonal."""
    halves = torch.tensor([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0]]).t()
    mask = torch.ones(4, 1, dtype=torch.bool)
    meet = TokenWise()
    text = meet.prepare_text(TokenSet(halves[:, None], mask))
    video = meet.prepare_video(TokenSet((halves @ ROTATION)[:, None], mask))
    account = meet.align(text, video)
    single = decorrelation(text, video, "single").off_diagonal
    assert single.item() == pytest.approx(2 * (3 / 4) ** 2)
    assert decorrelation(text, video, "best_match", account).off_diagonal.item() == pytest.approx(
        single.item()
    )
    released = decorrelation(text, video, "best_match", account, orientation="released")
    assert released.off_diagonal.item() == pytest.approx(0, abs=1e-6)


def test_released_deviations_let_weighted_correlations_leave_their_bounds() -> None:
    left = torch.tensor([10.0, 0.0, 0.1, -0.1])[:, None]
    shares = torch.tensor([0.97, 0.01, 0.01, 0.01])
    plain = channel_correlation(left, left, shares, deviation="plain")
    assert plain.item() > 2
    assert channel_correlation(left, left, shares).item() == pytest.approx(1 - 0.97**2 - 3 * 0.01**2)


KINDS = ("varies", "constant", "zero", "copies", "two values")
SIZES = st.sampled_from([1e-44, 1e-37, 1e-20, 1e-4, 1.0, 1e4, 1e20, 1e37])


@st.composite
def channels(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Matches of both sides, how much they count, and which channels of both are constant."""
    matches = draw(st.integers(2, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    sides, constant = [], []
    for _ in range(2):
        columns = []
        for _ in range(3):
            kind, offset = draw(st.sampled_from(KINDS)), draw(st.sampled_from([0.0, 1.0, 30.0]))
            values = torch.randn(matches, generator=generator) + offset
            if kind in ("constant", "zero"):
                values = values[:1].expand(matches) * (kind == "constant")
            elif kind == "copies":
                values = values[torch.arange(matches) % 2]
            elif kind == "two values":
                values = offset + (torch.arange(matches) == 0).float()
            columns.append(values * draw(SIZES))
            constant.append(kind in ("constant", "zero"))
        sides.append(torch.stack(columns, dim=1))
    shares = None
    if draw(st.booleans()):
        shares = (torch.randn(matches, generator=generator) * draw(st.sampled_from([1.0, 20.0]))).softmax(0)
    return sides[0], sides[1], shares, torch.tensor(constant).view(2, 3)


@settings(max_examples=60, deadline=None)
@given(
    channels(),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
)
def test_correlations_never_leave_their_bounds_by_more_than_rounding(
    drawn: tuple[Tensor, Tensor, Tensor | None, Tensor], centred: bool, kind: torch.dtype
) -> None:
    left, right, shares, constant = drawn
    sides = [side.to(kind).nan_to_num(posinf=6e4, neginf=-6e4).requires_grad_() for side in (left, right)]
    correlation = losses.channel_correlation(sides[0], sides[1], shares, centred=centred)
    assert bool((correlation.values.abs() <= 1 + 1e-5).all())
    if centred:
        assert not bool(correlation.counted[constant[0]].any())
        assert not bool(correlation.counted[:, constant[1]].any())
    assert bool((correlation.values[~correlation.counted] == 0).all())
    torch.autograd.backward(correlation.values.square().sum())
    for side, apart in zip(sides, constant, strict=True):
        assert side.grad is not None
        assert bool(side.grad[:, apart].isfinite().all())
        if centred:
            assert bool((side.grad[:, apart] == 0).all())


def test_rounding_is_no_variance() -> None:
    """Equal pictures come out of a tower within rounding of each other, not equal."""
    generator = torch.Generator().manual_seed(0)
    same = torch.randn(1, DIM, generator=generator) * (1 + 1e-6 * torch.randn(64, DIM, generator=generator))
    correlation = losses.channel_correlation(torch.randn(64, DIM, generator=generator), same)
    assert not bool(correlation.counted.any())
    assert bool((correlation.values == 0).all())


@pytest.mark.parametrize("form", get_args(MatchForm))
def test_channels_that_never_vary_take_no_part(form: MatchForm) -> None:
    """Black videos: all their frames are one, and nothing is left but to say so."""
    meet = TokenWise()
    text = meet.prepare_text(tiny.token_set([3, 1, 2, 4], 4, DIM))
    frame = torch.randn(DIM, generator=torch.Generator().manual_seed(5))
    black = frame.expand(4, 3, DIM).clone().requires_grad_()
    video = meet.prepare_video(TokenSet(black, torch.ones(4, 3, dtype=torch.bool)))
    account = meet.align(text, video)
    parts = decorrelation(text, video, form, account)
    assert parts.total().item() == 0
    torch.autograd.backward(parts.total())
    assert black.grad is not None
    assert bool((black.grad == 0).all())


def test_a_channel_that_does_not_vary_leaves_the_others_as_they_are(
    sides: tuple[TokenSet, TokenSet, Alignment],
) -> None:
    text, video, account = sides
    wider = [
        side.replace(tokens=torch.cat([side.tokens, torch.full_like(side.tokens[..., :1], 0.3)], dim=-1))
        for side in (text, video)
    ]
    expected = decorrelation(text, video, "weighted", account)
    actual = decorrelation(wider[0], wider[1], "weighted", account)
    torch.testing.assert_close(actual, expected)


def test_an_entry_that_one_direction_lacks_is_the_other_direction_s() -> None:
    """All words meet one frame, but the frames meet different words: only the latter can be correlated."""
    meet = TokenWise()
    text = meet.prepare_text(tiny.token_set([1, 1, 1], 1, DIM))
    video = meet.prepare_video(tiny.token_set([2, 2, 2], 2, DIM, seed=1))
    account = meet.align(text, video)
    together = video.tokens.clone()
    together[:, 0] = together[0, 0]
    video = video.replace(tokens=together)
    account = replace(account, best_video_token=torch.zeros_like(account.best_video_token))
    expected = decorrelation(text, video, "best_match", account, paths="v2t")
    assert decorrelation(text, video, "best_match", account, paths="t2v").total() == 0
    torch.testing.assert_close(decorrelation(text, video, "best_match", account), expected)


def test_what_is_no_number_is_not_hidden() -> None:
    left = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    for value in (torch.nan, torch.inf):
        broken = left.clone()
        broken[1, 0] = value
        assert bool(losses.channel_correlation(broken, left).values[0].isnan().all())
