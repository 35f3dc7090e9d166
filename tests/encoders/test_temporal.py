"""Heads across frames: who may influence whom, and where they start from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from transformers import CLIPTextConfig

from vidsift.encoders import temporal
from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.temporal import (
    TemporalBlock,
    TemporalLSTM,
    TemporalMean,
    TemporalTransformer,
    start_as_identity,
    temporal_weights_from_release,
)
from vidsift.interactions.cross import CrossTransformer

if TYPE_CHECKING:
    from tests.encoders.conftest import MakeConfig

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


def frames() -> torch.Tensor:
    return torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(3))


@pytest.fixture(
    params=[
        TemporalMean,
        lambda: TemporalLSTM(32),
        lambda: TemporalTransformer(32, 2, heads=4),
        lambda: TemporalTransformer(32, 2, heads=4, window=1),
    ]
)
def head(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = request.param()
    return module


@torch.no_grad()
def test_padded_frames_influence_nothing(head: nn.Module) -> None:
    out = head(frames(), MASK)
    assert out.shape == (3, 4, 32)
    assert not out[~MASK].any()
    noisy = torch.where(MASK[..., None], frames(), 1e3)
    torch.testing.assert_close(head(noisy, MASK), out, rtol=0, atol=0)
    alone = head(frames()[1:2, :2], MASK[1:2, :2])
    torch.testing.assert_close(alone[0], out[1, :2], rtol=0, atol=1e-6)


def test_a_video_without_frames_is_refused(head: nn.Module) -> None:
    mask = MASK.clone()
    mask[2] = False
    with pytest.raises(ValueError, match="video 2 of the batch has no real frame"):
        head(frames(), mask)


@torch.no_grad()
def test_mean_leaves_frames_alone() -> None:
    assert torch.equal(TemporalMean()(frames(), MASK)[MASK], frames()[MASK])


@pytest.mark.parametrize(("layers", "window", "reach"), [(1, 0, 0), (1, 2, 2), (2, 1, 2), (2, None, 8)])
def test_a_window_says_how_far_a_frame_sees(layers: int, window: int | None, reach: int) -> None:
    torch.manual_seed(0)
    head = TemporalTransformer(32, layers, window=window)
    states = torch.randn(1, 9, 32, requires_grad=True)
    mask = torch.ones(1, 9).bool()
    mask[0, 8] = False
    out = head(states, mask)
    out[0, 3].sum().backward()
    assert states.grad is not None
    seen = states.grad[0].abs().amax(dim=-1) > 0
    assert torch.equal(seen, ((torch.arange(9) - 3).abs() <= reach) & mask[0])
    # A padded frame that no real one is near has a gradient too, and it is a number.
    head.zero_grad()
    head(states, torch.arange(9)[None] < 2).sum().backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in head.parameters())


def test_a_negative_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window across frames is -1, expected 0 or more"):
        TemporalTransformer(32, 1, window=-1)


@torch.no_grad()
def test_lstm_looks_back_and_transformer_both_ways() -> None:
    changed = frames()
    changed[0, 2] *= -1
    lstm, transformer = TemporalLSTM(32), TemporalTransformer(32, 1)
    by_lstm = (lstm(changed, MASK) - lstm(frames(), MASK)).abs().amax(-1)
    assert not by_lstm[0, :2].any()
    assert (by_lstm[0, 2:] > 0).all()
    by_transformer = (transformer(changed, MASK) - transformer(frames(), MASK)).abs().amax(-1)
    assert (by_transformer[0] > 0).all()
    assert not by_transformer[1:].any()


@pytest.mark.processor
@pytest.mark.parametrize("kernel", [None, False])
def test_an_lstm_learns_under_autocast_on_every_processor(
    monkeypatch: pytest.MonkeyPatch, kernel: bool | None
) -> None:
    if kernel is not None:
        monkeypatch.setattr(temporal, "autocast_runs_lstm", lambda *_: kernel)
    torch.manual_seed(0)
    lstm = TemporalLSTM(32)
    given = frames().requires_grad_()
    (expected,) = torch.autograd.grad(lstm(given, MASK).square().sum(), given)
    with torch.autocast("cpu", torch.bfloat16):
        out = lstm(given.bfloat16(), MASK)
    (actual,) = torch.autograd.grad(out.float().square().sum(), given)
    torch.testing.assert_close(out.float(), lstm(frames(), MASK), rtol=0, atol=0.02)
    torch.testing.assert_close(actual, expected, rtol=0.02, atol=0.1)


@torch.no_grad()
def test_transformer_knows_the_order_of_frames() -> None:
    transformer = TemporalTransformer(32, 1)
    everything = torch.ones(3, 4).bool()
    backwards = transformer(frames().flip(1), everything).flip(1)
    assert not torch.allclose(backwards, transformer(frames(), everything), atol=1e-4)


@torch.no_grad()
def test_starts_as_the_text_tower(tiny_config: MakeConfig) -> None:
    torch.manual_seed(0)
    config = tiny_config()
    text_config = config.text_config
    assert isinstance(text_config, CLIPTextConfig)
    text_config.intermediate_size = 128
    towers = ClipTowers(config)
    head = TemporalTransformer(32, layers=3, heads=2, max_frames=20)
    fresh = copy.deepcopy(head)
    head.init_from_text(towers)
    positions = towers.clip.text_model.embeddings.position_embedding.weight
    assert torch.equal(head.positions[:12], positions)
    assert torch.equal(head.positions[12:], fresh.positions[12:])
    # The text tower's block without its causal mask is the head's block, but for the epsilon of the norms.
    state = frames()
    reference = towers.clip.text_model.encoder.layers[1](state, None)
    ours = head.blocks[1](state, torch.zeros(3, 1, 1, 4).bool())
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-4)
    for name, weight in head.blocks[2].named_parameters():
        assert torch.equal(weight, dict(fresh.blocks[2].named_parameters())[name])


@pytest.mark.parametrize("make", [TemporalTransformer, CrossTransformer])
@pytest.mark.parametrize(
    ("dim", "heads", "message"),
    [
        (64, 2, "the text tower has 32 channels, this transformer 64"),
        (32, 4, "the text tower has 2 heads, this transformer 4"),
        (32, 2, "the text tower has 48 hidden channels, this transformer 128"),
    ],
)
def test_a_text_tower_of_other_sizes_is_refused_and_leaves_the_weights(
    make: Callable[..., TemporalTransformer | CrossTransformer],
    dim: int,
    heads: int,
    message: str,
    towers: ClipTowers,
) -> None:
    part = make(dim, 1, heads)
    before = copy.deepcopy(part.state_dict())
    with pytest.raises(ValueError, match=message):
        part.init_from_text(towers)
    assert all(torch.equal(value, before[name]) for name, value in part.state_dict().items())


def test_limits() -> None:
    assert TemporalTransformer(192).blocks[0].heads == 3
    assert TemporalTransformer(32).blocks[0].heads == 1
    assert TemporalTransformer(32).max_frames == 77
    with pytest.raises(ValueError, match="a video has 4 frames, the temporal head takes at most 3"):
        TemporalTransformer(32, max_frames=3)(frames(), MASK)
    with pytest.raises(ValueError, match="32 channels cannot be divided among 5 heads"):
        TemporalTransformer(32, heads=5)
    with pytest.raises(ValueError, match="padding before a real frame"):
        TemporalLSTM(32)(frames(), MASK.flip(1))


def test_released_names() -> None:
    weight = torch.zeros(1)
    renamed = temporal_weights_from_release(
        {
            "frame_position_embeddings.weight": weight,
            "transformerClip.resblocks.3.attn.in_proj_bias": weight,
            "lstm_visual.weight_ih_l0": weight,
        }
    )
    assert set(renamed) == {"positions", "blocks.3.attention_in.bias", "lstm.weight_ih_l0"}
    with pytest.raises(
        ValueError, match=r"temporal head: transformerClip.resblocks.0.extra, video_weight_fc.0"
    ):
        temporal_weights_from_release(
            {"video_weight_fc.0": weight, "transformerClip.resblocks.0.extra": weight}
        )


def test_a_head_that_starts_as_the_identity_turns_no_frame_and_learns() -> None:
    torch.manual_seed(0)
    both = nn.ModuleList([TemporalTransformer(32, 2, heads=4), TemporalLSTM(32)])
    assert start_as_identity(both) == 1
    head, frames_BFD = both[0], frames()
    passed = head(frames_BFD, MASK)
    cosine = torch.nn.functional.cosine_similarity(passed[MASK], frames_BFD[MASK], dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        head(frames_BFD, MASK).square().sum().backward()
        optimiser.step()
    for name, value in head.named_parameters():
        # The keys' bias adds the same to all scores of a query.
        assert value.grad is not None, name
        assert value.grad.abs().max() > 0, name


def test_one_token_of_a_block_is_what_it_is_among_all() -> None:
    torch.manual_seed(3)
    block = TemporalBlock(8, 2)
    state, only = torch.randn(4, 5, 8), torch.tensor([0, 2, 1, 4])
    unseen = (torch.arange(5) > only[:, None])[:, None, None]
    whole = block(state, unseen)
    alone = block(state, unseen, only)
    torch.testing.assert_close(alone[:, 0], whole[torch.arange(4), only])
    gradients = [
        torch.autograd.grad(result.square().sum(), [*block.parameters()])
        for result in (alone, whole[torch.arange(4), only])
    ]
    for got, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
