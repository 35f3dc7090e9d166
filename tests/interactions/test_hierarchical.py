"""The hierarchical interaction: a gated mean of cosines, level by level, and what every interaction owes."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from vidsift.interactions.batches import pad_tokens
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.hierarchical import Hierarchical, level_vectors
from vidsift.interactions.quantised import quantise
from vidsift.types import TokenSet

DIM, LEVELS = 8, 3


@pytest.fixture
def meet() -> Hierarchical:
    torch.manual_seed(5)
    interaction = Hierarchical(DIM, LEVELS)
    with torch.no_grad():
        for value in interaction.parameters():
            value.normal_(std=0.4)
    return interaction


def texts(rows: int, levels: int = LEVELS, seed: int = 0) -> TokenSet:
    tokens = tiny.token_set([levels] * rows, levels, DIM, seed)
    return tokens.replace(group=torch.arange(levels).repeat(rows, 1))


def videos(frames: list[int], levels: int = LEVELS, seed: int = 1) -> TokenSet:
    """So many frames, each with a token of every level; frame by frame."""
    width = max(frames)
    tokens = tiny.token_set([count * levels for count in frames], width * levels, DIM, seed)
    group = torch.arange(levels).repeat(len(frames), width)
    return tokens.replace(group=group.masked_fill(~tokens.mask, 0))


def score(meet: Hierarchical, text: TokenSet, video: TokenSet) -> Tensor:
    return meet.score(meet.prepare_text(text), meet.prepare_video(video))


def restated(meet: Hierarchical, text: TokenSet, video: TokenSet, row: int, column: int) -> Tensor:
    """Eq. 2 for one pair, from loops."""
    gate = torch.softmax(meet.gate.weight @ text.tokens[row, -1] + meet.gate.bias, dim=0)
    total = torch.zeros(())
    assert video.group is not None
    for level in range(meet.levels):
        frames = video.tokens[column][video.mask[column] & (video.group[column] == level)]
        mean = normalize(frames, dim=1).mean(dim=0)
        total = total + gate[level] * cosine_similarity(text.tokens[row, level], mean, dim=0)
    return total


def test_the_score_is_the_gated_mean_of_the_levels_cosines(meet: Hierarchical) -> None:
    text, video = texts(3), videos([4, 1, 2, 3])
    actual = score(meet, text, video)
    assert actual.shape == (3, 4)
    for row in range(3):
        for column in range(4):
            expected = restated(meet, text, video, row, column)
            torch.testing.assert_close(actual[row, column], expected, atol=1e-6, rtol=1e-5)


def test_one_level_is_the_cosine_with_the_mean_frame() -> None:
    meet, dot = Hierarchical(DIM, 1), MeanDot()
    text, video = texts(3, 1), videos([4, 1, 2], 1)
    expected = dot.score(dot.prepare_text(text), dot.prepare_video(video))
    torch.testing.assert_close(score(meet, text, video), expected)


def test_padding_and_company_never_change_a_score(meet: Hierarchical) -> None:
    text, video = texts(3), videos([4, 1, 2])
    whole = score(meet, text, video)
    wider = pad_tokens(video, 18)
    wider.tokens[~wider.mask] = 100.0
    torch.testing.assert_close(score(meet, text, wider), whole, atol=1e-6, rtol=1e-5)
    alone = score(meet, text[1:2], video[2:3])
    torch.testing.assert_close(alone[0, 0], whole[1, 2], atol=1e-6, rtol=1e-5)


def test_contributions_sum_to_the_score_and_levels_do_not_mix(meet: Hierarchical) -> None:
    text, video = meet.prepare_text(texts(3)), meet.prepare_video(videos([4, 1, 2]))
    account = meet.align(text, video)
    diagonal = meet.score(text, video).diagonal()
    torch.testing.assert_close(account.contributions.sum(dim=(1, 2)), diagonal, atol=1e-6, rtol=1e-5)
    assert text.group is not None
    assert video.group is not None
    apart = (text.group[:, :, None] != video.group[:, None, :]) | ~video.mask[:, None, :]
    assert bool((account.contributions[apart] == 0).all())
    assert torch.equal(account.best_text_token[video.mask], video.group[video.mask])
    assert torch.equal(video.group.gather(1, account.best_video_token), text.group)
    torch.testing.assert_close(account.text_weights.sum(dim=1), torch.ones(3))
    assert bool((account.video_weights[~video.mask] == 0).all())


def test_a_scan_reads_one_token_of_all_levels(meet: Hierarchical) -> None:
    text, video = meet.prepare_text(texts(3)), meet.prepare_video(videos([4, 1, 2]))
    exact, compact = meet.score(text, video), meet.compact_video(video)
    assert compact.tokens.shape == (3, 1, LEVELS * DIM)
    torch.testing.assert_close(meet.score(text, compact), exact)
    for gallery in (compact, video):
        scanned = meet.score(text, quantise(gallery))
        assert not torch.equal(scanned, exact)
        torch.testing.assert_close(scanned, exact, atol=0.02, rtol=0.0)
    halved = [side.to(dtype=torch.bfloat16) for side in (text, compact)]
    torch.testing.assert_close(meet.score(*halved).float(), exact, atol=0.03, rtol=0.03)


def test_gradients_reach_both_sides_and_the_gate(meet: Hierarchical) -> None:
    text, video = texts(2), videos([4, 1])
    sides = [side.replace(tokens=side.tokens.requires_grad_()) for side in (text, video)]
    torch.autograd.backward(score(meet, *sides).square().sum())
    for leaf in (meet.gate.weight, *(side.tokens for side in sides)):
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
        assert bool(leaf.grad.any())
    assert sides[1].tokens.grad is not None
    assert bool((sides[1].tokens.grad[~video.mask] == 0).all())


def test_level_vectors_are_unit_means_whatever_the_gate(meet: Hierarchical) -> None:
    text, video = meet.prepare_text(texts(2)), meet.prepare_video(videos([4, 1]))
    torch.testing.assert_close(level_vectors(text, LEVELS), text.tokens)
    vectors = level_vectors(video, LEVELS)
    torch.testing.assert_close(vectors[1], video.tokens[1, :LEVELS])
    torch.testing.assert_close(vectors[0, 1], normalize(video.tokens[0, 1::LEVELS].mean(dim=0), dim=0))


def test_what_does_not_fit_is_refused(meet: Hierarchical) -> None:
    with pytest.raises(ValueError, match="a text has 2 tokens, expected one for each of 3 levels"):
        meet.prepare_text(texts(1, 2))
    with pytest.raises(ValueError, match="lacks tokens at some of the 3 levels"):
        meet.prepare_video(videos([2], 2))
    with pytest.raises(ValueError, match="need a group, the level"):
        meet.prepare_video(tiny.token_set([3], 3, DIM))
    with pytest.raises(ValueError, match="without weights; pass it through prepare_text"):
        meet.score(texts(1), meet.prepare_video(videos([1])))
    with pytest.raises(ValueError, match="video 1 of the batch has no real token"):
        meet.prepare_video(videos([2, 0]))
