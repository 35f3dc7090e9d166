"""Products in int8: exact whole sums for every shape, one scale a row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.methods import tiny

from vidsift.interactions import quantised
from vidsift.interactions.quantised import pack, product, quantise
from vidsift.search import gallery as gallery_module

pytestmark = pytest.mark.processor


@pytest.mark.parametrize(
    ("rows", "columns", "channels"),
    [
        (1, 1, 1),
        (2, 3, 1),
        (0, 3, 8),
        (3, 0, 8),
        (1, 12, 512),
        (3, 7, 64),
        (5, 9, 33),
        (17, 1, 512),
        (2, 3, 7),
        (33, 65, 127),
    ],
)
def test_whole_products_are_exact_for_every_shape(rows: int, columns: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    text = torch.randint(-127, 128, (rows, channels), generator=generator, dtype=torch.int8)
    video = torch.randint(-127, 128, (columns, channels), generator=generator, dtype=torch.int8)
    assert torch.equal(product(text, video).long(), text.long() @ video.long().t())


@pytest.mark.parametrize(
    ("rows", "columns", "channels"),
    [(1, 1, 1), (1, 12, 512), (3, 7, 64), (5, 9, 33), (17, 1, 512), (2, 3, 7), (33, 65, 127)],
)
def test_packed_products_are_the_same_sums(rows: int, columns: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    text = torch.randint(-128, 128, (rows, channels), generator=generator, dtype=torch.int8)
    video = torch.randint(-128, 128, (columns, channels), generator=generator, dtype=torch.int8)
    packed = pack(video)
    if packed is None:
        pytest.skip("packed products are missing or wrong here")
    sums = product(text, video.to("meta"), packed)
    assert torch.equal(sums.long(), text.long() @ video.long().t())


@pytest.mark.parametrize("channels", [8, 512, 1024, 1025, 2500])
def test_the_largest_sums_are_exact_at_every_width(channels: int) -> None:
    text = torch.full((3, channels), 127, dtype=torch.int8)
    text[1, ::2] = -128
    text[2] = -128
    expected = text.long() @ text.long().t()
    assert torch.equal(product(text, text).long(), expected)
    packed = pack(text)
    if packed is not None:
        assert channels <= 1024
        assert torch.equal(product(text, text.to("meta"), packed).long(), expected)


@pytest.fixture
def _checked_anew() -> Iterator[None]:
    for check in (quantised.packs, quantised._int_mm_is_right):
        check.cache_clear()
    yield
    for check in (quantised.packs, quantised._int_mm_is_right):
        check.cache_clear()


def saturating(text: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
    """As x86 multiplies without VNNI: right while no sum of two neighbours leaves 16 bits."""
    pairs = sum((text.long()[:, None, at::2] + 128) * video.long()[:, at::2] for at in (0, 1))
    assert isinstance(pairs, torch.Tensor)
    return (pairs.clamp(-(2**15), 2**15 - 1).sum(-1) - 128 * video.long().sum(1)).int()


@pytest.mark.usefixtures("_checked_anew")
def test_where_integer_products_saturate_the_sums_are_still_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    def pointwise(text: torch.Tensor, *_: object) -> torch.Tensor:
        return saturating((text.long() - 128).to(torch.int8), packed_from[0]).float()

    def prepack(video: torch.Tensor, _: object) -> torch.Tensor:
        packed_from[:] = [video]
        return video

    packed_from: list[torch.Tensor] = []
    fake = type("Ops", (), {"qlinear_prepack": prepack, "qlinear_pointwise": pointwise})
    monkeypatch.setattr(torch.ops, "onednn", fake)
    monkeypatch.setattr(torch, "_int_mm", lambda text, video: saturating(text, video.t()))
    monkeypatch.setattr(quantised, "_TOKENS_AT_ONCE", 5)
    assert gallery_module.best_scan_format("cpu") == "fp32"
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(-128, 128, (4, 96), generator=generator, dtype=torch.int8)
    video = torch.randint(-128, 128, (12, 96), generator=generator, dtype=torch.int8)
    assert pack(video) is None
    assert not torch.equal(saturating(text, video).long(), text.long() @ video.long().t())
    assert torch.equal(product(text, video).long(), text.long() @ video.long().t())


@pytest.mark.usefixtures("_checked_anew")
def test_a_torch_that_packs_nothing_or_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> torch.Tensor:
        return torch.zeros(2, 4)

    for broken in (wrong, None):
        fake = type("Ops", (), {"qlinear_prepack": wrong, "qlinear_pointwise": broken})
        monkeypatch.setattr(torch.ops, "onednn", fake if broken else object())
        quantised.packs.cache_clear()
        assert pack(torch.ones(3, 5, dtype=torch.int8)) is None


def test_floats_keep_their_type() -> None:
    tokens = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(product(tokens, tokens), tokens @ tokens.t())
    assert product(tokens.bfloat16(), tokens.bfloat16()).dtype == torch.bfloat16


def test_quantised_tokens_are_half_a_step_from_the_real_ones() -> None:
    tokens = tiny.token_set([3, 1], 3)
    stored = quantise(tokens)
    assert stored.tokens.dtype == torch.int8
    assert stored.scale is not None
    restored = stored.tokens * stored.scale[:, None, None]
    largest = tokens.tokens.abs().amax(dim=(1, 2))
    torch.testing.assert_close(stored.scale, largest / 127)
    assert bool(((restored - tokens.tokens).abs() <= stored.scale[:, None, None] / 2 + 1e-7).all())


def test_a_row_of_zeros_stays_zero() -> None:
    tokens = tiny.token_set([1], 1)
    stored = quantise(tokens.replace(tokens=torch.zeros_like(tokens.tokens)))
    assert stored.scale is not None
    assert bool(stored.scale.isfinite().all())
    assert not stored.tokens.any()
