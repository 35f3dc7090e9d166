"""Cached texts: the same tokens as the tower's, computed once, whoever asks and beside what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.feature_cache import CachedTowers
from vidsift.encoders.text_cache import CachedTexts

LENGTHS = torch.tensor([5, 3, 8, 3, 5])


def texts() -> tuple[Tensor, Tensor]:
    ids = torch.randint(1, 40, (5, 8), generator=torch.Generator().manual_seed(1))
    ids[4] = ids[0]  # said twice
    return ids, torch.arange(8) < LENGTHS[:, None]


def cached(towers: ClipTowers, folder: Path) -> tuple[CachedTowers, CachedTexts]:
    towers.requires_grad_(False)
    ids, mask = texts()
    known = CachedTexts(folder, ids, mask)
    return CachedTowers(towers, folder, 1, lambda _rows: torch.zeros(1, 1, 3, 32, 32), {}, texts=known), known


def test_they_give_what_the_tower_gives_as_wide_as_what_came_in(towers: ClipTowers, tmp_path: Path) -> None:
    cache, known = cached(towers, tmp_path)
    ids, mask = texts()
    assert known.count == 4
    rows = torch.tensor([1, 4, 3])
    # What stands behind the end of a text is no part of it.
    other = torch.where(mask[rows], ids[rows], 39)
    tokens = cache.encode_text(other, mask[rows])
    torch.testing.assert_close(tokens, towers.encode_text(ids[rows], mask[rows]), rtol=0, atol=2e-6)
    assert tokens.shape[1] == 8
    assert not tokens[~mask[rows]].any()
    files = list(tmp_path.glob("texts-*/tokens.npy"))
    assert [np.load(file).nbytes for file in files] == [known.bytes(towers.dim)]


def test_they_are_read_once_and_the_same_bits_beside_any_other(
    towers: ClipTowers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, _ = cached(towers, tmp_path)
    ids, mask = texts()
    first = cache.encode_text(ids, mask)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a text is encoded again")

    monkeypatch.setattr(ClipTowers, "_walk_text", refuse)
    second, _ = cached(towers, tmp_path)
    for row in range(len(ids)):
        alone = slice(row, row + 1)
        assert torch.equal(second.encode_text(ids[alone], mask[alone]), first[alone])


def test_other_texts_other_weights_and_every_layer_are_computed(towers: ClipTowers, tmp_path: Path) -> None:
    cache, known = cached(towers, tmp_path)
    ids, mask = texts()
    before = cache.encode_text(ids, mask)
    assert torch.equal(cache.encode_text(ids + 1, mask), towers.encode_text(ids + 1, mask))
    _, states = cache.encode_text(ids, mask, hidden=True)
    assert len(states) == len(towers.encode_text(ids, mask, hidden=True)[1])
    with torch.no_grad():
        towers.clip.text_projection.weight *= 2
    known.close()
    torch.testing.assert_close(cache.encode_text(ids, mask), 2 * before)
    cache.use(None)
    assert torch.equal(cache.encode_text(ids, mask), towers.encode_text(ids, mask))


def test_what_is_computed_while_nothing_learns_can_be_learned_from(
    towers: ClipTowers, tmp_path: Path
) -> None:
    cache, _ = cached(towers, tmp_path)
    ids, mask = texts()
    with torch.inference_mode():
        cache.encode_text(ids, mask)
    weight = torch.ones(towers.dim, requires_grad=True)
    loss = (cache.encode_text(ids, mask) * weight).sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.abs().sum() > 0
