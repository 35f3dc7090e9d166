"""Scores pooled from best matches: values and gradients of the plain formula, whatever the blocks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidsift.interactions import pooled_match
from vidsift.interactions.best_match import best_matches
from vidsift.interactions.masked import masked_softmax
from vidsift.interactions.matches import Padding
from vidsift.interactions.pooled_match import pooled_matches
from vidsift.types import TokenSet


def _sides(texts: list[int], videos: list[int], dim: int = 6, seed: int = 0) -> tuple[TokenSet, TokenSet]:
    generator = torch.Generator().manual_seed(seed)

    def side(lengths: list[int]) -> TokenSet:
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        tokens = torch.randn(len(lengths), max(lengths), dim, generator=generator, dtype=torch.float64)
        weights = masked_softmax(torch.randn(mask.shape, generator=generator, dtype=torch.float64), mask)
        return TokenSet((tokens * mask[..., None]).requires_grad_(), mask, weights.requires_grad_())

    return side(texts), side(videos)


def _learned(text: TokenSet, video: TokenSet) -> list[Tensor]:
    return [part for side in (text, video) for part in (side.tokens, side.weights) if part is not None]


def _pool(text: TokenSet, video: TokenSet, text_best_PV: Tensor, video_best_QVF: Tensor) -> Tensor:
    """A rule in which every match has a slope of its own."""
    assert text.weights is not None
    assert video.weights is not None
    words = torch.split(text_best_PV.square() * text.weights[text.mask][:, None], text.mask.sum(1).tolist())
    by_words = torch.stack([word_values.sum(dim=0) for word_values in words])
    return by_words + (video_best_QVF.exp() * video.weights).sum(dim=2) / 3


def _plain(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> Tensor:
    """All products at once, as the papers' formulas read."""
    assert text.weights is not None
    assert video.weights is not None
    products = torch.einsum("qtd,vfd->qvtf", text.tokens, video.tokens)
    hidden = -torch.inf if padding == "excluded" else 0.0
    over_frames = products.masked_fill(~video.mask[None, :, None, :], hidden).max(dim=3).values
    over_words = products.masked_fill(~text.mask[:, None, :, None], hidden).max(dim=2).values
    by_words = (over_frames.square() * text.weights[:, None]).sum(dim=2)
    return by_words + (over_words.exp() * video.weights).sum(dim=2) / 3


@pytest.mark.parametrize("padding", ["excluded", "zero"])
@pytest.mark.parametrize("numbers", [1, 100, 1 << 20])
@pytest.mark.parametrize(("texts", "videos"), [([3, 1, 5], [4, 2, 4, 1, 3]), ([2], [3]), ([1, 1], [1, 1, 1])])
def test_blocks_give_values_and_gradients_of_the_plain_formula(
    numbers: int, texts: list[int], videos: list[int], padding: Padding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooled_match, "_BLOCK_NUMBERS", numbers)
    text, video = _sides(texts, videos)
    actual, expected = pooled_matches(text, video, _pool, padding), _plain(text, video, padding)
    torch.testing.assert_close(actual, expected)
    pull = torch.randn(actual.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = [torch.autograd.grad(scores, _learned(text, video), pull) for scores in (actual, expected)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("padding", ["excluded", "zero"])
def test_gradients_agree_with_finite_differences(padding: Padding) -> None:
    text, video = _sides([2, 3], [3, 1])

    def score(*learned: Tensor) -> Tensor:
        changed = text.replace(tokens=learned[0], weights=learned[1])
        return pooled_matches(changed, video.replace(tokens=learned[2], weights=learned[3]), _pool, padding)

    assert torch.autograd.gradcheck(score, _learned(text, video))


def test_weights_of_one_side_alone_learn() -> None:
    text, video = _sides([3, 1], [2, 4])
    for first, other in ((text, video), (video, text)):
        alone = {"text": first, "video": other.replace(weights=None)}
        if first is video:
            alone = {"text": other.replace(weights=None), "video": first}

        def pool(text: TokenSet, video: TokenSet, text_best_PV: Tensor, video_best_QVF: Tensor) -> Tensor:
            if text.weights is None:
                assert video.weights is not None
                return (video_best_QVF * video.weights).sum(dim=2)
            words = torch.split(text_best_PV * text.weights[text.mask][:, None], text.mask.sum(1).tolist())
            return torch.stack([word_values.sum(dim=0) for word_values in words])

        actual = pooled_matches(alone["text"], alone["video"], pool)
        expected = pool(alone["text"], alone["video"], *best_matches(alone["text"], alone["video"]))
        assert first.weights is not None
        for part in (first.weights, first.tokens):
            gradient, reference = (
                torch.autograd.grad(scores.sum(), part, retain_graph=True) for scores in (actual, expected)
            )
            torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("frozen", [[0], [1], [2], [3], [0, 2], [1, 3], [0, 1, 2]])
def test_what_does_not_learn_stays_as_it_is(frozen: list[int]) -> None:
    text, video = _sides([2, 3], [3, 1])
    learned = _learned(text, video)
    expected = torch.autograd.grad(_plain(text, video).sum(), learned)
    for index in frozen:
        learned[index].requires_grad_(False)
    pooled_matches(text, video, _pool).sum().backward()  # type: ignore[no-untyped-call]
    for index, part in enumerate(learned):
        if index in frozen:
            assert part.grad is None
        else:
            torch.testing.assert_close(part.grad, expected[index])


def test_sets_without_weights_are_pooled_too() -> None:
    text, video = (side.replace(weights=None) for side in _sides([3, 1], [2, 4]))

    def pool(_: TokenSet, video: TokenSet, _best: Tensor, video_best_QVF: Tensor) -> Tensor:
        return (video_best_QVF * video.mask).sum(dim=2)

    (actual,) = torch.autograd.grad(pooled_matches(text, video, pool).sum(), video.tokens)
    (expected,) = torch.autograd.grad((best_matches(text, video)[1] * video.mask).sum(), video.tokens)
    torch.testing.assert_close(actual, expected)


def test_training_and_evaluation_give_the_same_scores() -> None:
    text, video = _sides([3, 1, 5], [4, 2, 4, 1, 3])
    trained = pooled_matches(text, video, _pool)
    with torch.no_grad():
        assert torch.equal(trained.detach(), pooled_matches(text, video, _pool))


def test_texts_follow_the_number_format_of_videos() -> None:
    text, video = (side.to(dtype=torch.float32) for side in _sides([2, 3], [3, 1]))
    text = text.replace(tokens=text.tokens.detach().double().requires_grad_())
    (gradient,) = torch.autograd.grad(pooled_matches(text, video, _pool).sum(), text.tokens)
    assert gradient.dtype == torch.float64


@pytest.mark.parametrize("tokens", [256, 257, 300])
def test_places_are_right_for_any_number_of_tokens(tokens: int) -> None:
    text, video = _sides([2, tokens], [tokens, 3], dim=2)
    actual, expected = pooled_matches(text, video, _pool).sum(), _plain(text, video).sum()
    gradients = [torch.autograd.grad(total, _learned(text, video)) for total in (actual, expected)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


def test_what_is_kept_for_the_gradient_is_a_fraction_of_the_products() -> None:
    text, video = _sides([8] * 6, [7] * 9, dim=1)
    saved: list[Tensor] = []

    def save(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        pooled_matches(text, video, _pool)
    products = 6 * 8 * 9 * 7
    assert max(tensor.numel() for tensor in saved) < products / 4
    saved_bytes = sum(tensor.numel() * tensor.element_size() for tensor in saved)
    input_bytes = sum(
        tensor.numel() * tensor.element_size() for tensor in (*_learned(text, video), text.mask, video.mask)
    )
    # Maxima of 8 bytes and places of one byte, of each word in each video and of each frame in each text.
    assert saved_bytes - input_bytes <= (6 * 8 * 9 + 6 * 9 * 7) * 9
