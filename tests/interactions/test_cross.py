"""The cross transformer over all words: each pair by itself, without padding, as the paper's Eq. 4 reads."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions import cross as module
from vidsift.interactions.cross import CrossTransformer
from vidsift.types import TokenSet

DIM = 8


def cross(layers: int = 2) -> CrossTransformer:
    torch.manual_seed(7)
    interaction = CrossTransformer(DIM, layers, heads=2, max_positions=24, dropout=0.0).eval()
    with torch.no_grad():
        for value in interaction.parameters():
            value.normal_(std=0.4)
    return interaction


def alone(meet: CrossTransformer, words_TD: Tensor, frames_FD: Tensor) -> Tensor:
    """One pair without padding, read at its end-of-text token."""
    state = torch.cat([words_TD, frames_FD])[None]
    state = state + meet.positions[: state.shape[1]]
    nothing_hidden = torch.zeros(1, 1, 1, state.shape[1], dtype=torch.bool)
    for block in meet.blocks:
        state = block(state, nothing_hidden)
    raised = meet.pool(meet.pool_norm(state[0, len(words_TD) - 1]))
    judged: Tensor = meet.out(raised * torch.sigmoid(1.702 * raised))
    return judged[0]


@pytest.mark.parametrize("layers", [1, 2])
@torch.inference_mode()
def test_all_words_are_read_and_the_score_stands_at_the_end_of_text(
    layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet = cross(layers)
    monkeypatch.setattr(module, "_VIDEOS_AT_ONCE", 1)
    text, video = tiny.token_set([3, 1, 5], 5, DIM), tiny.token_set([2, 4], 4, DIM, seed=1)
    sim = meet.score(text, video)
    for row in range(3):
        for column in range(2):
            expected = alone(meet, text.tokens[row][text.mask[row]], video.tokens[column][video.mask[column]])
            torch.testing.assert_close(sim[row, column], expected, atol=1e-5, rtol=1e-5)


def test_one_block_scores_all_pairs_as_pair_by_pair_which_training_does() -> None:
    meet = cross(layers=1)
    text, video = tiny.token_set([3, 1, 5, 3], 5, DIM), tiny.token_set([2, 4, 1], 4, DIM, seed=1)
    weights = [*meet.parameters()]
    by_sides = meet.score(text, video)
    pairwise = meet.train().score(text, video)
    torch.testing.assert_close(by_sides, pairwise, atol=1e-5, rtol=1e-5)
    expected = torch.autograd.grad(pairwise.square().sum(), weights)
    for got, wanted in zip(torch.autograd.grad(by_sides.square().sum(), weights), expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_it_has_a_block() -> None:
    with pytest.raises(ValueError, match="layers is 0, expected at least 1"):
        CrossTransformer(DIM, layers=0)


@torch.inference_mode()
def test_the_words_before_the_last_matter() -> None:
    meet = cross()
    text, video = tiny.token_set([4], 4, DIM), tiny.token_set([3], 3, DIM, seed=1)
    last = TokenSet(text.tokens[:, -1:], text.mask[:, -1:])
    assert not torch.allclose(meet.score(text, video), meet.score(last, video), atol=1e-3)
