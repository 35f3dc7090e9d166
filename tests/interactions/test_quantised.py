"""Products in int8: exact whole sums for every shape, one scale a row."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny

from vidsift.interactions import quantised
from vidsift.interactions.quantised import pack, product, quantise


@pytest.mark.parametrize(
    ("rows", "columns", "channels"),
    [(1, 1, 1), (1, 12, 512), (3, 7, 64), (5, 9, 33), (17, 1, 512), (2, 3, 7), (33, 65, 127)],
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
        pytest.skip("this build of torch packs no tokens")
    found = product(text, video.to("meta"), packed)
    assert torch.equal(found.long(), text.long() @ video.long().t())


def test_packed_sums_are_exact_up_to_a_thousand_channels() -> None:
    text = torch.full((2, 1040), 127, dtype=torch.int8)
    packed = pack(-text)
    if packed is None:
        pytest.skip("this build of torch packs no tokens")
    assert set(product(text, text, packed).flatten().tolist()) == {-127 * 127 * 1040}


def test_a_torch_that_packs_nothing_or_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> torch.Tensor:
        return torch.zeros(2, 4)

    for broken in (wrong, None):
        fake = type("Ops", (), {"qlinear_prepack": wrong, "qlinear_pointwise": broken})
        monkeypatch.setattr(torch.ops, "onednn", fake if broken else object())
        quantised._packs.cache_clear()
        assert pack(torch.ones(3, 5, dtype=torch.int8)) is None
    monkeypatch.undo()
    quantised._packs.cache_clear()


def test_the_largest_sums_do_not_overflow() -> None:
    text = torch.full((2, 1024), 127, dtype=torch.int8)
    assert set(product(text, -text).flatten().tolist()) == {-127 * 127 * 1024}


def test_floats_keep_their_type() -> None:
    tokens = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(product(tokens, tokens), tokens @ tokens.t())
    assert product(tokens.bfloat16(), tokens.bfloat16()).dtype == torch.bfloat16


def test_quantised_tokens_are_half_a_step_from_the_real_ones() -> None:
    tokens = tiny.token_set([3, 1], 3)
    kept = quantise(tokens)
    assert kept.tokens.dtype == torch.int8
    assert kept.scale is not None
    restored = kept.tokens * kept.scale[:, None, None]
    largest = tokens.tokens.abs().amax(dim=(1, 2))
    torch.testing.assert_close(kept.scale, largest / 127)
    assert bool(((restored - tokens.tokens).abs() <= kept.scale[:, None, None] / 2 + 1e-7).all())


def test_a_row_of_zeros_stays_zero() -> None:
    tokens = tiny.token_set([1], 1)
    kept = quantise(tokens.replace(tokens=torch.zeros_like(tokens.tokens)))
    assert kept.scale is not None
    assert bool(kept.scale.isfinite().all())
    assert not kept.tokens.any()
