"""The towers: all tokens, cut texts, skipped padding, shifted frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPModel

from vidsift.encoders.clip import ATTENTION_KINDS, AttentionKind, ClipTowers, end_of_text

if TYPE_CHECKING:
    from tests.encoders.conftest import MakeConfig

pytestmark = pytest.mark.processor

IDS = torch.tensor([[558, 5, 6, 559, 0, 0, 0, 0], [558, 7, 8, 9, 10, 559, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0, 0]]).bool()
FRAMES = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


def pixels(*shape: int) -> Tensor:
    return torch.randn(*shape, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_sizes_come_from_the_config(towers: ClipTowers, tiny_config: MakeConfig) -> None:
    assert (towers.dim, towers.text_width, towers.vision_width) == (24, 32, 40)
    assert (towers.image_size_px, towers.max_tokens, towers.patches, towers.vision_blocks) == (32, 12, 16, 3)
    assert ClipTowers(tiny_config(image_size=48, patch_size=16)).patches == 9


def test_towers_are_built_from_what_config_json_holds(tiny_config: MakeConfig) -> None:
    towers = ClipTowers(json.loads(json.dumps(tiny_config(patch_size=16).to_dict())))
    assert (towers.dim, towers.vision_width, towers.patches, towers.max_tokens) == (24, 40, 4, 12)


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
def test_new_vision_blocks_are_of_another_width_and_start_afresh(
    attention: AttentionKind, tiny_config: MakeConfig
) -> None:
    towers = ClipTowers(tiny_config(), attention=attention)
    assert towers.vision_head_width == 10
    blocks = towers.new_vision_blocks(2, 20)
    states = torch.randn(3, 5, 20)
    block: Any
    for block in blocks:
        states = block(states, None)
        assert block.mlp.fc1.weight.shape == (28, 20)  # as the tower's: 56 of 40
        assert (block.self_attn.num_heads, block.self_attn.config._attn_implementation) == (2, attention)
        assert 0.015 < block.mlp.fc1.weight.std() < 0.025
    assert states.shape == (3, 5, 20)
    assert (towers.vision_width, towers.clip.vision_model.config.hidden_size) == (40, 40)


@torch.no_grad()
def test_text_is_cut_at_the_longest_and_padding_does_not_matter(towers: ClipTowers) -> None:
    tokens, states = towers.encode_text(IDS, MASK, hidden=True)
    assert tokens.shape == (2, 8, 24)
    assert [state.shape for state in states] == [(2, 6, 32)] * 3
    assert not tokens[~MASK].any()
    other = torch.where(MASK, IDS, torch.randint(0, 560, IDS.shape))
    torch.testing.assert_close(towers.encode_text(other, MASK), tokens, rtol=0, atol=0)
    alone = towers.encode_text(IDS[:1, :4], MASK[:1, :4])
    torch.testing.assert_close(alone[0], tokens[0, :4], rtol=0, atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
@torch.no_grad()
def test_packed_texts_give_the_same_tokens(attention: AttentionKind, tiny_config: MakeConfig) -> None:
    torch.manual_seed(0)
    towers = ClipTowers(tiny_config(), attention=attention).eval()
    lengths = torch.tensor([3, 9, 4, 3, 12, 4])
    mask = torch.arange(12) < lengths[:, None]
    ids = torch.randint(0, 558, mask.shape)
    expected = towers.encode_text(ids, mask)
    for most_tokens in (1, 12, 16, 500):
        packed = towers.encode_text_packed(ids, mask, most_tokens=most_tokens)
        torch.testing.assert_close(packed, expected, rtol=1e-5, atol=3e-6)
    with pytest.raises(ValueError, match="padding before a real token"):
        towers.encode_text_packed(ids, mask.flip(1))


@torch.no_grad()
def test_sentence_is_the_last_real_token_as_clip_pools_it(towers: ClipTowers) -> None:
    tokens = towers.encode_text(IDS, MASK)
    sentence = end_of_text(tokens, MASK)
    assert sentence.shape == (2, 1, 24)
    reference = towers.clip.get_text_features(input_ids=IDS).pooler_output
    torch.testing.assert_close(sentence[:, 0], reference, rtol=0, atol=1e-6)
    # With the wrong eos_token_id of old configs transformers takes the largest id; here the mask decides.
    towers.clip.text_model.eos_token_id = 2
    torch.testing.assert_close(towers.encode_text(IDS, MASK), tokens, rtol=0, atol=0)


@torch.no_grad()
def test_attention_kinds_agree(tiny_config: MakeConfig) -> None:
    torch.manual_seed(0)
    sdpa = ClipTowers(tiny_config()).eval()
    eager = ClipTowers(tiny_config(), attention="eager").eval()
    eager.load_state_dict(sdpa.state_dict())
    torch.testing.assert_close(eager.encode_text(IDS, MASK), sdpa.encode_text(IDS, MASK), rtol=0, atol=1e-6)
    frames = pixels(3, 4)
    # Tokens reach 3: a few of the last bits, which differ from processor to processor.
    torch.testing.assert_close(
        eager.encode_frames(frames, FRAMES, (0,)), sdpa.encode_frames(frames, FRAMES, (0,)), rtol=0, atol=2e-6
    )
    with pytest.raises(ValueError, match="attention is 'fast', expected one of sdpa, eager"):
        ClipTowers(tiny_config(), attention="fast")  # type: ignore[arg-type]


@torch.no_grad()
def test_images_give_class_and_patch_tokens(towers: ClipTowers) -> None:
    pictures = pixels(2)
    tokens, states = towers.encode_images(pictures, hidden=True)
    assert tokens.shape == (2, 17, 24)
    assert [state.shape for state in states] == [(2, 17, 40)] * 4
    reference = towers.clip.vision_model(pixel_values=pictures)
    torch.testing.assert_close(states[-1], reference.last_hidden_state, rtol=0, atol=1e-6)
    normed = towers.clip.vision_model.post_layernorm(reference.last_hidden_state)
    projected = towers.clip.visual_projection(normed)
    torch.testing.assert_close(tokens, projected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shift_blocks", [(), (1, -1)])
@torch.no_grad()
def test_padded_frames_change_nothing(towers: ClipTowers, shift_blocks: tuple[int, ...]) -> None:
    frames = pixels(3, 4)
    tokens = towers.encode_frames(frames, FRAMES, shift_blocks)
    assert tokens.shape == (3, 4, 17, 24)
    assert not tokens[~FRAMES].any()
    noisy = torch.where(FRAMES[:, :, None, None, None], frames, 1e3)
    torch.testing.assert_close(towers.encode_frames(noisy, FRAMES, shift_blocks), tokens, rtol=0, atol=0)
    constant_shape = towers.encode_frames(noisy, FRAMES, shift_blocks, skip_padded=False)
    torch.testing.assert_close(constant_shape, tokens, rtol=0, atol=1e-6)
    alone = towers.encode_frames(frames[1:2, :2], FRAMES[1:2, :2], shift_blocks)
    torch.testing.assert_close(alone[0], tokens[1, :2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("shift_blocks", [(), (0, 1)])
def test_class_tokens_alone_are_the_same(towers: ClipTowers, shift_blocks: tuple[int, ...]) -> None:
    frames_BF3SS = pixels(2, 3)
    mask_BF = torch.tensor([[True, True, True], [True, True, False]])
    for chosen in (mask_BF, torch.ones_like(mask_BF)):
        all_tokens = towers.encode_frames(frames_BF3SS, chosen, shift_blocks)
        classes_BFD = towers.encode_frame_classes(frames_BF3SS, chosen, shift_blocks)
        torch.testing.assert_close(classes_BFD, all_tokens[:, :, 0], atol=1e-6, rtol=1e-5)
        assert not classes_BFD[~chosen].any()
    weight = towers.clip.vision_model.encoder.layers[0].mlp.fc1.weight
    gradients = [
        torch.autograd.grad(tokens_BFD.square().sum(), weight)[0]
        for tokens_BFD in (all_tokens[:, :, 0], classes_BFD)
    ]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_shift_lets_frames_see_their_neighbours_only(towers: ClipTowers) -> None:
    frames = pixels(3, 4)
    changed = frames.clone()
    changed[0, 3] += 1
    plain = towers.encode_frames(frames, FRAMES)
    assert torch.equal(towers.encode_frames(changed, FRAMES)[0, :3], plain[0, :3])
    shifted = towers.encode_frames(frames, FRAMES, (-1,))
    difference = (towers.encode_frames(changed, FRAMES, (2,)) - shifted).abs().amax((2, 3))
    assert (difference[0, 2:] > 1e-4).all()
    assert not difference[0, :2].any()
    assert not difference[1:].any()
    # A video of one frame has nobody to shift with.
    torch.testing.assert_close(shifted[2], plain[2], rtol=0, atol=1e-6)


@torch.no_grad()
def test_hidden_states_of_frames_stand_in_their_places(towers: ClipTowers) -> None:
    frames = pixels(3, 4)
    tokens, states = towers.encode_frames(frames, FRAMES, hidden=True)
    assert [state.shape for state in states] == [(3, 4, 17, 40)] * 4
    assert not states[1][~FRAMES].any()
    _, alone = towers.encode_images(frames[1, :2], hidden=True)
    torch.testing.assert_close(states[2][1, :2], alone[2], rtol=0, atol=1e-6)
    projected = towers.clip.visual_projection(towers.clip.vision_model.post_layernorm(states[-1]))
    torch.testing.assert_close(projected[FRAMES], tokens[FRAMES], rtol=0, atol=1e-6)


def test_gradients_reach_every_weight(towers: ClipTowers) -> None:
    towers.train()
    loss = towers.encode_text(IDS, MASK).square().sum()
    loss = loss + towers.encode_frames(pixels(3, 4), FRAMES, (1,)).square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    without = [name for name, weight in towers.clip.named_parameters() if weight.grad is None]
    assert without == ["logit_scale"]
    assert towers.logit_scale is towers.clip.logit_scale


@torch.no_grad()
def test_saves_as_a_clip_that_transformers_loads(towers: ClipTowers, tmp_path: Path) -> None:
    towers.clip.save_pretrained(tmp_path)
    reference = CLIPModel.from_pretrained(tmp_path)
    assert sorted(reference.state_dict()) == sorted(towers.clip.state_dict())
    pictures = pixels(2)
    features = reference.get_image_features(pictures).pooler_output
    torch.testing.assert_close(towers.encode_images(pictures)[:, 0], features, rtol=0, atol=1e-6)


def test_refusals(towers: ClipTowers) -> None:
    empty = MASK.clone()
    empty[1] = False
    with pytest.raises(ValueError, match="text 1 of the batch has no real token"):
        towers.encode_text(IDS, empty)
    with pytest.raises(ValueError, match="padding before a real token"):
        towers.encode_text(IDS, MASK.flip(1))
    with pytest.raises(ValueError, match="a text has 13 tokens, the text tower takes at most 12"):
        towers.encode_text(torch.ones(1, 13, dtype=torch.int64), torch.ones(1, 13).bool())
    with pytest.raises(ValueError, match=r"pictures have shape \(2, 3, 16, 16\)"):
        towers.encode_images(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="video 0 of the batch has no real frame"):
        towers.encode_frames(pixels(1, 2), torch.zeros(1, 2).bool())
    with pytest.raises(ValueError, match="block 3, but the vision tower has blocks 0 to 2"):
        towers.encode_frames(pixels(1, 2), torch.ones(1, 2).bool(), (3,))
