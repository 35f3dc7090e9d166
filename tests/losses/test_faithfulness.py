"""Words that give what they cost lose nothing; those that speak for a neighbour lose by how much they do."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from vidsift.interactions.token_wise import TokenWise, WeightedTokenWise
from vidsift.losses.faithfulness import faithfulness
from vidsift.types import TokenSet

MASK = torch.tensor([[True, True, True, False], [True, True, True, True]])
LEFT = torch.tensor([[True, False, True, False], [False, True, True, True]])


def sets(seed: int = 0) -> tuple[torch.Tensor, TokenSet]:
    torch.manual_seed(seed)
    video = TokenSet(normalize(torch.randn(2, 5, 8), dim=-1), torch.ones(2, 5).bool())
    return torch.randn(2, 4, 8), video


@pytest.mark.parametrize("meet", [TokenWise(paths="t2v"), TokenWise(paths="t2v", pooling="sum")])
def test_words_that_know_nothing_of_each_other_are_faithful(meet: TokenWise) -> None:
    tokens, video = sets()
    text = meet.prepare_text(TokenSet(tokens, MASK))
    shortened = meet.prepare_text(TokenSet(tokens, LEFT))
    assert float(faithfulness(text, shortened, video, torch.tensor(50.0))) == pytest.approx(0, abs=1e-9)
    # So the account is what leaving out costs: of the sum exactly.
    if meet.pooling == "sum":
        video = meet.prepare_video(video)
        lost = meet.score(text, video).diagonal() - meet.score(shortened, video).diagonal()
        gave = meet.align(text, video).contributions.sum(dim=2)
        torch.testing.assert_close(lost, torch.stack([gave[0, 1], gave[1, 0]]))


@torch.no_grad()
def test_weights_count_as_in_the_score() -> None:
    torch.manual_seed(0)
    meet = WeightedTokenWise(8, paths="t2v")
    for value in meet.parameters():
        value.normal_()
    tokens, video = sets()
    text, shortened = (meet.prepare_text(TokenSet(tokens, mask)) for mask in (MASK, LEFT))
    assert float(faithfulness(text, shortened, video, torch.tensor(50.0))) == pytest.approx(0, abs=1e-9)


def test_it_is_the_squared_change_of_what_the_others_give() -> None:
    tokens, video = sets()
    changed = tokens + torch.randn(2, 4, 8)
    meet = TokenWise(paths="t2v")
    text, shortened = meet.prepare_text(TokenSet(tokens, MASK)), meet.prepare_text(TokenSet(changed, LEFT))
    expected = 0.0
    for row in range(2):
        before, after = (
            [
                max(float(normalize(of[row, word], dim=0) @ frame) for frame in video.tokens[row])
                for word in range(4)
                if LEFT[row, word]
            ]
            for of in (tokens, changed)
        )
        expected += (3.0 * (sum(before) - sum(after)) / len(before)) ** 2 / 2
    assert float(faithfulness(text, shortened, video, torch.tensor(3.0))) == pytest.approx(expected, rel=1e-5)


def test_the_scale_learns_nothing_of_it_and_the_words_do() -> None:
    tokens, video = sets()
    tokens.requires_grad_()
    scale = torch.tensor(4.0, requires_grad=True)
    meet = TokenWise(paths="t2v")
    text = meet.prepare_text(TokenSet(tokens, MASK))
    shortened = meet.prepare_text(TokenSet(tokens.flip(-1), LEFT))
    torch.autograd.backward(faithfulness(text, shortened, video, scale))
    assert scale.grad is None
    assert tokens.grad is not None
    assert tokens.grad[LEFT].abs().sum() > 0
