"""Best matches of packed words: values and gradients of the plain formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidsift.interactions.best_match import best_matches
from vidsift.types import TokenSet


def _sides(texts: list[int], videos: list[int], dim: int = 6, seed: int = 0) -> tuple[TokenSet, TokenSet]:
    generator = torch.Generator().manual_seed(seed)

    def side(lengths: list[int]) -> TokenSet:
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        tokens = torch.randn(len(lengths), max(lengths), dim, generator=generator, dtype=torch.float64)
        return TokenSet((tokens * mask[..., None]).requires_grad_(), mask)

    return side(texts), side(videos)


def _plain(text: TokenSet, video: TokenSet) -> tuple[Tensor, Tensor]:
    """All products at once, as the papers' formulas read."""
    products = torch.einsum("qtd,vfd->qvtf", text.tokens, video.tokens)
    over_frames = products.masked_fill(~video.mask[None, :, None, :], -torch.inf).max(dim=3).values
    over_words = products.masked_fill(~text.mask[:, None, :, None], -torch.inf).max(dim=2).values
    return over_frames.transpose(1, 2)[text.mask], over_words


@pytest.mark.parametrize(("texts", "videos"), [([3, 1, 5], [4, 2, 4, 1, 3]), ([2], [3]), ([1, 1], [1, 1, 1])])
def test_values_and_gradients_are_those_of_the_plain_formula(texts: list[int], videos: list[int]) -> None:
    text, video = _sides(texts, videos)
    real = video.mask.expand(len(texts), -1, -1)
    generator = torch.Generator().manual_seed(1)
    actual, expected = best_matches(text, video), _plain(text, video)
    pulls = [torch.randn(best.shape, generator=generator, dtype=torch.float64) for best in expected]
    pulls[1] = pulls[1] * real  # what padded frames match means nothing and weighs nothing
    torch.testing.assert_close(actual[0], expected[0])
    torch.testing.assert_close(actual[1][real], expected[1][real])
    gradients = [torch.autograd.grad(both, (text.tokens, video.tokens), pulls) for both in (actual, expected)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


def test_gradients_agree_with_finite_differences() -> None:
    text, video = _sides([2, 3], [3, 1])

    def outcome(text_tokens: Tensor, video_tokens: Tensor) -> tuple[Tensor, Tensor]:
        words, frames = best_matches(text.replace(tokens=text_tokens), video.replace(tokens=video_tokens))
        return words, frames * video.mask

    assert torch.autograd.gradcheck(outcome, (text.tokens, video.tokens))


@pytest.mark.parametrize("learns", ["text", "video"])
def test_one_side_may_stay_as_it_is(learns: str) -> None:
    text, video = _sides([2, 3], [3, 1])
    frozen = text if learns == "video" else video
    frozen.tokens.requires_grad_(False)
    words, frames = best_matches(text, video)
    (words.sum() + (frames * video.mask).sum()).backward()  # type: ignore[no-untyped-call]
    moved = text if learns == "text" else video
    assert moved.tokens.grad is not None
    assert frozen.tokens.grad is None
    assert bool(moved.tokens.grad[moved.mask].any())
    assert not moved.tokens.grad[~moved.mask].any()


def test_training_and_evaluation_give_the_same_maxima() -> None:
    text, video = _sides([3, 1, 5], [4, 2, 4, 1, 3])
    trained = best_matches(text, video)
    with torch.no_grad():
        evaluated = best_matches(text, video)
    real = video.mask.expand(len(text), -1, -1)
    assert torch.equal(trained[0].detach(), evaluated[0])
    assert torch.equal(trained[1].detach()[real], evaluated[1][real])
