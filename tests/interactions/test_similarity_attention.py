"""X-CLIP's attention over the similarity matrix."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions import similarity_attention
from vidsift.interactions.batches import pad_tokens
from vidsift.interactions.similarity_attention import SimilarityAttention, attend
from vidsift.types import TokenSet

DIM = 8


def seeded(**arguments: int) -> SimilarityAttention:
    """Build one whose matrices are far from the identity."""
    interaction = SimilarityAttention(**arguments)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in interaction.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.3)
    return interaction


GRAINS: dict[str, tuple[SimilarityAttention, int, int]] = {
    "sentence-video": (seeded(dim=DIM), 1, 1),
    "word-video": (seeded(max_text=8), 5, 1),
    "sentence-frame": (seeded(max_video=8), 1, 5),
    "word-frame": (seeded(dim=DIM, max_text=8, max_video=8), 5, 5),
}
every = pytest.mark.parametrize("name", GRAINS)
counts = st.lists(st.integers(1, 5), min_size=1, max_size=4)
seeds = st.integers(0, 2**16)
few = settings(max_examples=20, deadline=None)


def sets(name: str, words: list[int], frames: list[int], seed: int = 0) -> tuple[TokenSet, TokenSet]:
    """Random sets as wide as the granularity takes."""
    _, most_words, most_frames = GRAINS[name]
    text = tiny.token_set([min(count, most_words) for count in words], most_words, DIM, seed)
    return text, tiny.token_set([min(count, most_frames) for count in frames], most_frames, DIM, seed + 1)


@torch.inference_mode()
def score(interaction: SimilarityAttention, text: TokenSet, video: TokenSet) -> Tensor:
    return interaction.score(interaction.prepare_text(text), interaction.prepare_video(video))


def by_hand(interaction: SimilarityAttention, text_TD: Tensor, video_ND: Tensor) -> float:
    """One pair in plain loops, as the released code's comments describe it; unit tokens, all real."""

    def pool(values: list[float], matrix: Tensor | None) -> float:
        if matrix is None:
            return values[0]
        heated = [math.exp(value / 0.01 - max(values) / 0.01) for value in values]
        attention = [value / sum(heated) for value in heated]
        count = len(values)
        mixed = [sum(attention[i] * float(matrix[i, j]) for i in range(count)) for j in range(count)]
        return sum(weight * value for weight, value in zip(mixed, values, strict=True))

    first = text_TD if interaction.channels is None else text_TD @ interaction.channels
    values = (first @ video_ND.t()).tolist()
    columns = list(zip(*values, strict=True))
    by_frame = [pool(list(column), interaction.words_first) for column in columns]
    by_word = [pool(list(row), interaction.frames_first) for row in values]
    frames_last = interaction.frames_first if interaction.frames_last is None else interaction.frames_last
    words_last = interaction.words_first if interaction.words_last is None else interaction.words_last
    return (pool(by_frame, frames_last) + pool(by_word, words_last)) / 2


@every
@torch.inference_mode()
def test_scores_are_those_of_plain_loops(name: str) -> None:
    interaction = GRAINS[name][0]
    text, video = sets(name, [5, 3], [4, 5, 1])
    text, video = interaction.prepare_text(text), interaction.prepare_video(video)
    sim_QV = interaction.score(text, video)
    for row in range(2):
        for column in range(3):
            words_TD, frames_ND = text.tokens[row][text.mask[row]], video.tokens[column][video.mask[column]]
            assert sim_QV[row, column].item() == pytest.approx(
                by_hand(interaction, words_TD, frames_ND), abs=1e-5
            )


@every
@few
@given(words=counts, frames=counts, more=st.integers(1, 3), seed=seeds)
def test_padding_never_changes_a_score(
    name: str, words: list[int], frames: list[int], more: int, seed: int
) -> None:
    interaction, most_words, most_frames = GRAINS[name]
    text, video = sets(name, words, frames, seed)
    wider_text = pad_tokens(text, most_words + (more if most_words > 1 else 0))
    wider_video = pad_tokens(video, most_frames + (more if most_frames > 1 else 0))
    for wider in (wider_text, wider_video):
        wider.tokens[~wider.mask] = 100.0
    torch.testing.assert_close(
        score(interaction, wider_text, wider_video), score(interaction, text, video), atol=2e-6, rtol=1e-5
    )


@every
@few
@given(words=counts, frames=counts, seed=seeds)
def test_an_entry_depends_on_its_own_text_and_video_only(
    name: str, words: list[int], frames: list[int], seed: int
) -> None:
    interaction = GRAINS[name][0]
    text, video = sets(name, words, frames, seed)
    together = score(interaction, text, video)
    assert together.shape == (len(words), len(frames))
    for row in range(len(words)):
        for column in range(len(frames)):
            alone = score(interaction, text[row : row + 1], video[column : column + 1])
            torch.testing.assert_close(alone[0, 0], together[row, column], atol=5e-6, rtol=1e-5)


@every
@few
@given(pairs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4), seed=seeds)
def test_contributions_sum_to_the_score(name: str, pairs: list[tuple[int, int]], seed: int) -> None:
    interaction = GRAINS[name][0]
    text, video = sets(name, [count for count, _ in pairs], [count for _, count in pairs], seed)
    text, video = interaction.prepare_text(text), interaction.prepare_video(video)
    account = interaction.align(text, video)
    diagonal = interaction.score(text, video).diagonal()
    torch.testing.assert_close(account.contributions.sum(dim=(1, 2)), diagonal, atol=5e-6, rtol=1e-5)
    both = text.mask[:, :, None] & video.mask[:, None, :]
    assert bool((account.contributions[~both] == 0).all())
    assert bool((account.values[~both] == 0).all())
    assert bool((account.text_weights[~text.mask] == 0).all())
    assert bool((account.video_weights[~video.mask] == 0).all())
    ceiling = account.values.masked_fill(~both, -torch.inf)
    assert torch.equal(account.best_video_token[text.mask], ceiling.argmax(dim=2)[text.mask])
    assert torch.equal(account.best_text_token[video.mask], ceiling.argmax(dim=1)[video.mask])


def test_attention_starts_as_nearly_the_best_match_with_weights_that_sum_to_one() -> None:
    interaction = SimilarityAttention(max_text=3, max_video=3)
    text, video = TokenSet(torch.eye(3)[None], torch.ones(1, 3, dtype=torch.bool)), tiny.token_set([3], 3, 3)
    text, video = interaction.prepare_text(text), interaction.prepare_video(video)
    account = interaction.align(text, video)
    torch.testing.assert_close(account.text_weights.sum(dim=1), torch.ones(1))
    torch.testing.assert_close(account.video_weights.sum(dim=1), torch.ones(1))
    assert account.contributions.sum().item() == pytest.approx(account.values.max().item(), abs=0.02)


@every
def test_gradients_reach_both_sides_and_every_matrix(name: str) -> None:
    interaction = GRAINS[name][0]
    text, video = sets(name, [3, 2], [4, 1])
    sides = [side.replace(tokens=side.tokens.requires_grad_()) for side in (text, video)]
    sim = interaction.score(interaction.prepare_text(sides[0]), interaction.prepare_video(sides[1]))
    gradients = torch.autograd.grad(
        sim.square().sum(), [*(side.tokens for side in sides), *interaction.parameters()]
    )
    for side, gradient in zip(sides, gradients, strict=False):
        assert bool((gradient[~side.mask] == 0).all())
    assert all(bool(gradient.isfinite().all()) and bool((gradient != 0).any()) for gradient in gradients)


@every
def test_blocks_of_videos_score_what_all_at_once_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interaction = GRAINS[name][0]
    text, video = sets(name, [3, 5], [1, 4, 2, 5, 3])
    whole = score(interaction, text, video)
    monkeypatch.setattr(similarity_attention, "_VALUES_AT_ONCE", 60)
    torch.testing.assert_close(score(interaction, text, video), whole, atol=2e-6, rtol=1e-5)


@every
@torch.inference_mode()
def test_bf16_sets_score_nearly_the_same(name: str) -> None:
    interaction = SimilarityAttention(
        max_text=8 if GRAINS[name][1] > 1 else 1, max_video=8 if GRAINS[name][2] > 1 else 1
    )
    text, video = sets(name, [3, 1], [4, 1, 2])
    text, video = interaction.prepare_text(text), interaction.prepare_video(video)
    near = interaction.score(text, video.to(dtype=torch.bfloat16)).float()
    torch.testing.assert_close(near, interaction.score(text, video), atol=0.03, rtol=0.03)


def test_more_tokens_than_it_knows_are_refused() -> None:
    text, video = tiny.token_set([4], 4, DIM), tiny.token_set([3], 3, DIM)
    for interaction, message in (
        (SimilarityAttention(max_text=3, max_video=3), "a set has 4 tokens, this attention knows 3"),
        (SimilarityAttention(max_video=3), "a set has 4 tokens, this attention knows 1"),
        (SimilarityAttention(max_text=4, max_video=2), "a set has 3 tokens, this attention knows 2"),
    ):
        with pytest.raises(ValueError, match=message):
            score(interaction, text, video)


def test_attention_goes_where_the_matrix_sends_it() -> None:
    turned = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    values, everything = torch.tensor([[1.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(attend(values, everything, turned), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(attend(values, torch.tensor([[True, False]]), turned), torch.zeros(1, 2))
