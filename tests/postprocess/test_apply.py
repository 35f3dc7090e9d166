"""Every kind of post-processing by its name, in both directions."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from vidsift.errors import NonFiniteScoresError
from vidsift.postprocess.apply import KINDS, PostProcessing, post_process
from vidsift.postprocess.dual_softmax import dual_softmax
from vidsift.postprocess.query_bank import query_bank_norm


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


NAMES: tuple[PostProcessing, ...] = get_args(PostProcessing)


def bank_of(name: PostProcessing, *shape: int) -> Tensor | None:
    return random(*shape, seed=9) if name == "qbnorm" else None


def test_every_kind_is_described() -> None:
    assert set(KINDS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_directions_mirror_each_other(name: PostProcessing) -> None:
    sim = random(7, 5)
    bank = bank_of(name, 7, 11)
    back = post_process(name, sim, "video_to_text", bank=bank)
    there = post_process(name, sim.T, "text_to_video", bank=None if bank is None else bank.T)
    assert torch.equal(back.argsort(dim=0), there.T.argsort(dim=0))
    assert back.shape == sim.shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(name: PostProcessing, bad: float) -> None:
    sim = random(4, 3)
    sim[2, 1] = bad
    with pytest.raises(NonFiniteScoresError, match=r"in row 2, column 1 is (nan|inf)"):
        post_process(name, sim, bank=bank_of(name, 6, 3))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_texts_and_videos_plays_no_part(name: PostProcessing) -> None:
    sim, bank = random(8, 5), bank_of(name, 6, 5)
    texts, videos = torch.randperm(8, generator=torch.Generator().manual_seed(1)), torch.randperm(5)
    shuffled = post_process(name, sim[texts][:, videos], bank=None if bank is None else bank[:, videos])
    plain = post_process(name, sim, bank=bank)[texts][:, videos]
    assert torch.equal(plain.argsort(dim=1), shuffled.argsort(dim=1))


def test_dual_softmax_in_logarithms_has_the_order_of_the_product() -> None:
    sim = random(20, 30) - 0.4
    sim[3, 4] = 0.0
    for direction in ("text_to_video", "video_to_text"):
        product = dual_softmax(sim.double(), 20.0, direction=direction)
        logarithm = dual_softmax(sim.double(), 20.0, direction=direction, log=True)
        assert torch.equal(product.argsort(dim=1), logarithm.argsort(dim=1))
        assert torch.equal(product.argsort(dim=0), logarithm.argsort(dim=0))
        assert logarithm[3, 4] == 0.0


def test_what_underflows_in_the_product_is_told_apart() -> None:
    sim = random(50, 50) * 20
    product = dual_softmax(sim)
    assert (product == 0).float().mean() > 0.5
    logarithm = dual_softmax(sim, log=True)
    assert all(len(row.unique()) == 50 for row in logarithm)


def test_a_bank_in_logarithms_has_the_order_of_the_quotient_and_does_not_overflow() -> None:
    sim, bank = random(9, 6), random(30, 6, seed=4)
    plain, logarithm = query_bank_norm(sim, bank), query_bank_norm(sim, bank, log=True)
    assert len(plain.normalised) > 0
    assert torch.equal(plain.similarities.argsort(dim=1), logarithm.similarities.argsort(dim=1))
    assert torch.equal(
        logarithm.similarities[plain.normalised].exp().float(), plain.similarities[plain.normalised]
    )
    assert torch.isfinite(query_bank_norm(sim * 900, bank, log=True).similarities).all()


def test_mistakes_are_answered() -> None:
    with pytest.raises(ValueError, match="expected one of dsl, inverted-softmax, qbnorm, sinkhorn, tvh"):
        post_process("dls", random(2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="qbnorm needs a bank"):
        post_process("qbnorm", random(2, 2))
