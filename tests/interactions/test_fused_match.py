"""Kernels for a GPU against plain PyTorch: on a GPU where there is one, else by triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vidsift.interactions import best_match, pooled_match
from vidsift.interactions.best_match import best_matches, can_fuse, fused_matches
from vidsift.interactions.matches import Padding
from vidsift.interactions.sharpened import SharpenedTokenWise
from vidsift.interactions.token_wise import token_wise
from vidsift.losses.contrastive import info_nce
from vidsift.types import TokenSet

pytest.importorskip("triton", reason="triton is not installed: it exists for Linux, and is there with CUDA")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RULES: dict[str, Callable[[TokenSet, TokenSet], Tensor]] = {
    "wti": token_wise,
    "padding wins": partial(token_wise, padding="zero"),
    "words alone": partial(token_wise, paths="t2v"),
    "pidro": SharpenedTokenWise(100.0).score,
}
# Texts, words, frames, channels: several tiles of each, and none that a power of two would fit.
SHAPES = {
    "words in two tiles": (3, 40, 12, 48),
    "videos in two tiles": (11, 5, 12, 20),
    "many tokens a video": (4, 7, 61, 24),
    "all that a tile holds": (2, 3, 256, 16),
    "one of each": (1, 1, 1, 3),
    "two tiles of channels": (3, 4, 5, 300),
}


def _sides(shape: tuple[int, int, int, int], dtype: torch.dtype) -> tuple[TokenSet, TokenSet]:
    batch, words, frames, dim = shape
    generator = torch.Generator().manual_seed(0)

    def side(count: int) -> TokenSet:
        lengths = torch.randint(1, count + 1, (batch,), generator=generator)
        lengths[0] = count
        mask = torch.arange(count) < lengths[:, None]
        tokens = normalize(torch.randn(batch, count, dim, generator=generator, dtype=torch.float64), dim=-1)
        weights = torch.rand(batch, count, generator=generator, dtype=torch.float64) * mask
        weights /= weights.sum(dim=1, keepdim=True)
        tokens, weights = (part.to(DEVICE, dtype).requires_grad_() for part in (tokens, weights))
        return TokenSet(tokens, mask.to(DEVICE), weights)

    return side(words), side(frames)


def _step(
    rule: Callable[[TokenSet, TokenSet], Tensor],
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    fused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Tensor]:
    """Similarities, then the gradients of InfoNCE, in float64."""
    monkeypatch.setattr(pooled_match, "can_fuse", lambda _: fused)
    text, video = _sides(shape, dtype)
    sim_QV = rule(text, video)
    torch.autograd.backward(info_nce(sim_QV.double(), torch.tensor(20.0, device=DEVICE)))
    parts = (text.tokens, text.weights, video.tokens, video.weights)
    return [
        sim_QV.detach().double(),
        *(part.grad.double() for part in parts if part is not None and part.grad is not None),
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_double_precision(
    rule: str, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = _step(RULES[rule], SHAPES[shape], torch.float64, False, monkeypatch)
    kernels = _step(RULES[rule], SHAPES[shape], torch.float32, True, monkeypatch)
    assert len(kernels) == len(exact) >= 3
    for left, right in zip(kernels, exact, strict=True):
        assert (left - right).norm() <= 5e-6 * right.norm() + 1e-9


def test_16_bits_round_no_more_than_in_plain_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    # The interpreter computes with numpy, which does not know bf16.
    kind = torch.bfloat16 if DEVICE == "cuda" else torch.float16
    shape = SHAPES["words in two tiles"]
    exact = _step(token_wise, shape, torch.float64, False, monkeypatch)
    plain = _step(token_wise, shape, kind, False, monkeypatch)
    kernels = _step(token_wise, shape, kind, True, monkeypatch)
    for fused_part, plain_part, reference in zip(kernels, plain, exact, strict=True):
        assert (fused_part - reference).norm() <= 1.5 * (plain_part - reference).norm() + 1e-6


def test_a_step_repeats_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (
        _step(token_wise, SHAPES["videos in two tiles"], torch.float32, True, monkeypatch) for _ in range(2)
    )
    assert all(torch.equal(left, right) for left, right in zip(first, second, strict=True))


def test_of_equals_the_first_wins() -> None:
    tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], device=DEVICE)
    mask = torch.ones(1, 3, dtype=torch.bool, device=DEVICE)
    text, video = TokenSet(tokens[None], mask), TokenSet(tokens[None], mask)
    matches, starts = fused_matches(text, video)
    assert matches.frame.tolist() == [[0], [1], [0]]
    assert matches.word.tolist() == [[[0, 1, 0]]]
    assert starts.tolist() == [0, 3]


@pytest.mark.parametrize("padding", ["excluded", "zero"])
def test_a_scan_reads_frames_that_lie_outermost(padding: Padding, monkeypatch: pytest.MonkeyPatch) -> None:
    text, video = (
        side.replace(tokens=side.tokens.detach(), weights=None)
        for side in _sides(SHAPES["videos in two tiles"], torch.float32)
    )
    outermost = video.tokens.transpose(0, 1).contiguous().transpose(0, 1)
    laid_out = video.replace(tokens=outermost, mask=video.mask.t().contiguous().t())
    plain = best_matches(text, video, padding)
    monkeypatch.setattr(best_match, "can_fuse", lambda _: True)
    kernels = best_matches(text, laid_out, padding)
    real = video.mask.expand_as(plain[1])
    torch.testing.assert_close(kernels[0], plain[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(kernels[1][real], plain[1][real], rtol=0, atol=1e-6)


def test_a_gradient_goes_through_plain_best_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    text, video = _sides(SHAPES["one of each"], torch.float32)
    monkeypatch.setattr(best_match, "can_fuse", lambda _: True)
    text_best_PV, _ = best_matches(text, video)
    (by_words,) = torch.autograd.grad(text_best_PV.sum(), [text.tokens])
    torch.testing.assert_close(by_words, video.tokens)


def test_where_there_are_no_kernels_nothing_asks_for_them() -> None:
    _, video = _sides(SHAPES["one of each"], torch.float32)
    assert can_fuse(video) == (DEVICE == "cuda" and torch.cuda.get_device_capability() >= (8, 0))
    assert not can_fuse(video.replace(tokens=video.tokens.double()))
    long = TokenSet(
        torch.zeros(1, 257, 8, device=DEVICE), torch.ones(1, 257, dtype=torch.bool, device=DEVICE)
    )
    assert not can_fuse(long)
