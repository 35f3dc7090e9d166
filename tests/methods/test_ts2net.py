"""What TS2-Net adds to a method: shifted and selected tokens, their mask, and what index and search see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format
from torch import Tensor

from vidsift.methods.model import Model
from vidsift.methods.ts2net import TokenSelector, Ts2Net
from vidsift.types import TokenSet

ARGUMENTS: dict[str, Any] = {"temporal_layers": 1, "max_frames": 6}
COUNTS = [5, 1, 3, 5, 4, 5, 2]
QUERY = "a red circle moves left"


def network(**arguments: Any) -> Ts2Net:
    method = tiny.model("ts2net", ARGUMENTS | arguments).method
    assert isinstance(method, Ts2Net)
    return method


def pictures(counts: list[int], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised random frames, mask and times, padded to a width; what is padded is random too."""
    generator = torch.Generator().manual_seed(5)
    size = tiny.SIZE_PX
    pixels = torch.randn(len(counts), width, 3, size, size, generator=generator)
    mask = torch.arange(width) < torch.tensor(counts)[:, None]
    return pixels, mask, torch.arange(width, dtype=torch.float64).expand(len(counts), -1) + 0.5


@torch.inference_mode()
def frames_of(method: Ts2Net, counts: list[int], width: int) -> TokenSet:
    return method.video_features(*pictures(counts, width))["frame"]


def test_positions_are_for_the_selected_tokens_of_all_frames() -> None:
    method = network(selected=2, max_frames=7)
    assert len(method.temporal.positions) == 21  # type: ignore[arg-type]
    wide = Ts2Net(tiny.towers(text_heads=1), max_frames=19)
    there = wide.towers.clip.text_model.embeddings.position_embedding.weight
    assert torch.equal(wide.temporal.positions[: len(there)], there)  # type: ignore[index]


def test_inference_is_deterministic_and_training_is_not() -> None:
    method = network()
    first, second = frames_of(method, [3, 2], 3), frames_of(method, [3, 2], 3)
    assert torch.equal(first.tokens, second.tokens)
    method.train()
    torch.manual_seed(0)
    first, second = frames_of(method, [3, 2], 3), frames_of(method, [3, 2], 3)
    assert not torch.equal(first.tokens, second.tokens)
    torch.manual_seed(0)
    assert torch.equal(frames_of(method, [3, 2], 3).tokens, first.tokens)


def test_padded_frames_change_nothing_unless_the_mask_is_tiled() -> None:
    counts = [2, 1]
    for frame_mask, same in (("frames", True), ("tiled", False)):
        method = network(frame_mask=frame_mask)
        narrow, wide = frames_of(method, counts, 2), frames_of(method, counts, 5)
        close = torch.allclose(wide.tokens[0, :2], narrow.tokens[0], atol=1e-5)
        assert close is same


def test_the_tiled_mask_shows_padding_and_hides_real_frames() -> None:
    """Six frames of four tokens: position 4 f of the mask repeated four times."""
    method = network(frame_mask="tiled", max_frames=6)
    whole, half = torch.ones(1, 6, dtype=torch.bool), torch.tensor([[True] * 3 + [False] * 3])
    for mask, expected in ((whole, [True] * 6), (half, [True, False, True, True, False, True])):
        with torch.inference_mode():
            selected = method.frame_set(torch.randn(1, 6, 4, 16), mask, torch.zeros(1, 6))
        assert selected.mask.tolist() == [expected]
    proper = network(max_frames=6)
    with torch.inference_mode():
        assert proper.frame_set(torch.randn(1, 6, 4, 16), half, torch.zeros(1, 6)).mask.equal(half)


def test_a_padded_frame_that_counts_has_the_last_frame_s_time() -> None:
    model = tiny.model("ts2net", ARGUMENTS | {"frame_mask": "tiled"})
    video = model.encode_frames(*tiny.videos([2]))["frame"]
    assert video.times_seconds is not None
    assert video.times_seconds.tolist() == [[0.5, 1.5, 1.5, 1.5, 1.5]]


def test_shift_and_selection_let_frames_see_each_other() -> None:
    """Without a transformer across frames only the shift carries anything from frame to frame."""
    pixels, mask, times = pictures([3], 3)
    other = pixels.clone()
    other[0, 2] = torch.randn(other[0, 2].shape, generator=torch.Generator().manual_seed(9))
    for blocks, reaches in (([], False), ([0, 1], True)):
        method = network(shift_blocks=blocks)
        with torch.inference_mode():
            of_pixels, of_other = (
                method.towers.encode_frames(some, mask, method.shift_blocks)[0, 1, 0]
                for some in (pixels, other)
            )
        assert torch.equal(of_pixels, of_other) is not reaches
    method = network(shift_blocks=[])
    with torch.inference_mode():
        of_pixels, of_other = (
            method.video_features(some, mask, times)["frame"].tokens[0, 1] for some in (pixels, other)
        )
    assert not torch.allclose(of_pixels, of_other, atol=1e-4)


def test_selected_patches_are_those_of_the_highest_scores() -> None:
    torch.manual_seed(2)
    selector = TokenSelector(8, 2, samples=10, sigma=0.05, gradient="full").eval()
    for value in selector.parameters():
        torch.nn.init.normal_(value)
    tokens = torch.randn(3, 6, 8)
    with torch.inference_mode():
        chosen, scores = selector(tokens), selector.scores(tokens)
    assert torch.equal(chosen[:, 0], tokens[:, 0])
    assert bool((scores.abs() <= 1).all())
    for row in range(3):
        best = sorted(scores[row, 1:].topk(2).indices.tolist())
        torch.testing.assert_close(chosen[row, 1:], tokens[row, 1:][best])


def test_training_reaches_the_selector_through_the_noise() -> None:
    method = network().train()
    torch.manual_seed(0)
    video = method.video_features(*pictures([3, 2], 3))
    torch.autograd.backward(video["frame"].tokens.square().sum())
    for name, value in method.selector.named_parameters():
        assert value.grad is not None, name
        assert bool(value.grad.isfinite().all()), name
        assert bool((value.grad != 0).any()), name


def test_more_frames_than_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="a video has 7 frames, this ts2net takes at most 6"):
        frames_of(network(), [7], 7)


def test_features_encoded_under_bf16_autocast_are_fp32() -> None:
    method = network()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        video = method.video_features(*pictures([3, 2], 3))["frame"]
    assert video.tokens.dtype == torch.float32
    assert bool(video.tokens[video.mask].isfinite().all())
    assert bool((video.tokens[~video.mask] == 0).all())


@pytest.mark.parametrize("frame_mask", ["frames", "tiled"])
def test_a_search_scores_explains_and_finds_moments(frame_mask: str, tmp_path: Path) -> None:
    model: Model = tiny.model("ts2net", ARGUMENTS | {"frame_mask": frame_mask})
    store = filled(tmp_path / "index", model, COUNTS)
    for account in search_in_every_format(model, store, QUERY, k=4).accounts:
        (term,) = account.terms
        assert term.words == [QUERY]
        assert term.video_weights.sum() == pytest.approx(1, abs=1e-5)
