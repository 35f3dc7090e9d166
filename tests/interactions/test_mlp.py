"""The perceptron over pairs: one pair at a time as the paper writes it, and what every interaction owes."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny
from torch import Tensor, nn

from vidsift.errors import NoAlignmentError
from vidsift.interactions.batches import pad_tokens
from vidsift.interactions.mlp import PairPerceptron
from vidsift.types import TokenSet

DIM = 8


@pytest.fixture
def meet() -> PairPerceptron:
    torch.manual_seed(3)
    perceptron = PairPerceptron(DIM)
    with torch.no_grad():
        for value in perceptron.parameters():
            value.normal_(std=0.5)
    return perceptron


def score(meet: PairPerceptron, text: TokenSet, video: TokenSet) -> Tensor:
    return meet.score(meet.prepare_text(text), meet.prepare_video(video))


def test_a_pair_is_judged_by_the_layers_over_both_put_end_to_end(meet: PairPerceptron) -> None:
    text, video = tiny.token_set([1, 1, 1], 1, DIM), tiny.token_set([4, 1, 2, 3], 4, DIM, seed=1)
    linears = [part for part in (meet.join, *meet.judge) if isinstance(part, nn.Linear)]
    actual = score(meet, text, video)
    assert actual.shape == (3, 4)
    for row in range(3):
        for column in range(4):
            frames = video.tokens[column][video.mask[column]]
            state = torch.cat([text.tokens[row, 0], frames.mean(dim=0)])
            for layer in linears[:-1]:
                state = torch.relu(layer.weight @ state + layer.bias)
            torch.testing.assert_close(actual[row, column], (linears[-1](state))[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layers", [2, 4])
def test_it_has_as_many_layers_as_the_paper_counts_multiplications(layers: int) -> None:
    linears = [part for part in PairPerceptron(DIM, layers).modules() if isinstance(part, nn.Linear)]
    assert len(linears) == layers
    assert sum(part.weight.numel() for part in linears) == layers * DIM**2 + DIM


def test_blocks_change_nothing_but_rounding(meet: PairPerceptron, monkeypatch: pytest.MonkeyPatch) -> None:
    text, video = tiny.token_set([1] * 5, 1, DIM), tiny.token_set([4, 1, 2, 3, 4], 4, DIM, seed=1)
    whole = score(meet, text, video)
    for numbers in (1, 3 * DIM, 11 * DIM):
        monkeypatch.setattr("vidsift.interactions.mlp._NUMBERS_AT_ONCE", numbers)
        torch.testing.assert_close(score(meet, text, video), whole, atol=1e-6, rtol=1e-5)


def test_padding_and_company_never_change_a_score(meet: PairPerceptron) -> None:
    text, video = tiny.token_set([1, 1], 1, DIM), tiny.token_set([4, 1, 2], 4, DIM, seed=1)
    whole = score(meet, text, video)
    wider = pad_tokens(video, 6)
    wider.tokens[~wider.mask] = 100.0
    torch.testing.assert_close(score(meet, text, wider), whole, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(score(meet, text[1:], video[2:])[0, 0], whole[1, 2], atol=1e-6, rtol=1e-5)


def test_a_video_is_kept_as_its_mean_frame(meet: PairPerceptron) -> None:
    video = tiny.token_set([4, 1], 4, DIM)
    compact = meet.compact_video(meet.prepare_video(video))
    assert compact.tokens.shape == (2, 1, DIM)
    torch.testing.assert_close(compact.tokens[0, 0], video.tokens[0].mean(dim=0))
    torch.testing.assert_close(compact.tokens[1, 0], video.tokens[1, 0])


def test_gradients_reach_both_sides_and_every_layer(meet: PairPerceptron) -> None:
    text, video = tiny.token_set([1, 1], 1, DIM), tiny.token_set([4, 1], 4, DIM, seed=1)
    sides = [side.replace(tokens=side.tokens.requires_grad_()) for side in (text, video)]
    torch.autograd.backward(score(meet, *sides).square().sum())
    for leaf in (*meet.parameters(), *(side.tokens for side in sides)):
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
        assert bool(leaf.grad.any())


def test_bf16_sets_score_nearly_the_same(meet: PairPerceptron) -> None:
    text = meet.prepare_text(tiny.token_set([1, 1], 1, DIM))
    video = meet.prepare_video(tiny.token_set([4, 1], 4, DIM, seed=1))
    halved = [side.to(dtype=torch.bfloat16) for side in (text, video)]
    torch.testing.assert_close(meet.score(*halved), meet.score(text, video), atol=0.1, rtol=0.05)


def test_it_is_a_black_box(meet: PairPerceptron) -> None:
    assert not meet.explains
    assert not meet.scans
    with pytest.raises(NoAlignmentError, match="PairPerceptron is a black box"):
        meet.align(tiny.token_set([1], 1, DIM), tiny.token_set([1], 1, DIM))


def test_what_it_cannot_take_is_refused(meet: PairPerceptron) -> None:
    with pytest.raises(ValueError, match=r"1 layer\(s\): expected at least 2"):
        PairPerceptron(DIM, 1)
    with pytest.raises(ValueError, match="video 1 of the batch has no real token"):
        meet.prepare_video(tiny.token_set([1, 0], 2, DIM))
