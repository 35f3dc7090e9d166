"""What saturates, overflows or is missing is found out by multiplying, whatever the processor says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vidsift.interactions.product_checks import error_bound, multiplies_exactly, rounds_within_bound

pytestmark = pytest.mark.processor


def exact(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    return text_PD.long() @ video_ND.long().t()


def saturating(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    """As x86 multiplies bytes without VNNI: unsigned by signed, sums of two kept to 16 bits."""
    shifted = text_PD.long() + 128
    pairs = torch.stack([shifted[:, None, at::2] * video_ND.long()[:, at::2] for at in (0, 1)]).sum(0)
    offset = 128 * video_ND.long().sum(dim=1)
    return pairs.clamp(-(2**15), 2**15 - 1).sum(dim=-1) - offset


def one_sign_only(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    """Wrong only where both sides are at their least."""
    return (text_PD.long().clamp_min(-127)) @ video_ND.long().t()


def one_row_only(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    return exact(text_PD, video_ND) if len(text_PD) == 1 else saturating(text_PD, video_ND)


def narrow_sums(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    """Right until sums leave fp32's whole numbers, as they do from 8 channels on if kept in fp16."""
    return exact(text_PD, video_ND).half().float()


def missing(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    raise RuntimeError("could not create a primitive")


def test_a_saturating_product_gives_what_such_processors_give() -> None:
    token = torch.full((1, 8), 127, dtype=torch.int8)
    assert int(exact(token, token)) == 129_032
    assert int(saturating(token, token)) == 1_020


@pytest.mark.parametrize("wrong", [saturating, one_sign_only, one_row_only, narrow_sums, missing])
def test_a_wrong_product_is_found_out(wrong: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert multiplies_exactly(exact)
    assert not multiplies_exactly(wrong)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_products_of_this_processor_stay_within_their_bound(dtype: torch.dtype) -> None:
    assert rounds_within_bound(dtype)
    assert error_bound(dtype) == {torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]


@pytest.mark.parametrize("wrong", ["saturates", "overflows", "is missing"])
def test_a_format_that_rounds_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    plain = Tensor.__matmul__

    def broken(left: Tensor, right: Tensor) -> Tensor:
        if left.dtype == torch.float64:
            return plain(left, right)
        if wrong == "is missing":
            raise RuntimeError("no kernel")
        sums = plain(left, right)
        return sums.clamp(-0.5, 0.5) if wrong == "saturates" else sums / 0

    monkeypatch.setattr(Tensor, "__matmul__", broken)
    assert not rounds_within_bound.__wrapped__(torch.bfloat16, "cpu")


def test_a_device_that_is_not_there_multiplies_nothing() -> None:
    assert not rounds_within_bound.__wrapped__(torch.bfloat16, "meta")
