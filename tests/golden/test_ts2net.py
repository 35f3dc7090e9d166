"""TS2-Net's token selection, similarity and whole path against the released code."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from tests.methods import tiny
from torch import Tensor, nn

from vidsift.encoders.selection import perturbed_top_k
from vidsift.encoders.temporal import TemporalTransformer, temporal_weights_from_release
from vidsift.encoders.weights import towers_from_openai
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.frame_softmax import FrameSoftmax
from vidsift.methods.ts2net import TokenSelector, Ts2Net, selector_weights_from_release
from vidsift.types import TokenSet

MODULES = "ts2net_modules"
SIMILARITY = "ts2net_similarity_e2e"


def released_selector(weights: dict[str, Tensor]) -> TokenSelector:
    """Build the selector with recorded weights (``score_predictor.*``)."""
    selector = TokenSelector(64, 3, samples=500, sigma=0.05, gradient="diagonal").eval()
    selector.load_state_dict(selector_weights_from_release(weights))
    return selector


def test_perturbed_top_k_and_the_released_gradient(golden: Any) -> None:
    file = golden(MODULES)
    scores = file["topk.scores"].clone().requires_grad_()
    chosen = perturbed_top_k(scores, 3, gradient="diagonal", noise_BSN=file["topk.noise"])
    torch.testing.assert_close(chosen, file["topk.indicators"], atol=1e-7, rtol=0)
    torch.autograd.backward(chosen, file["topk.cotangent"])
    torch.testing.assert_close(scores.grad, file["topk.grad_scores"], atol=1e-5, rtol=1e-5)


def test_the_text_selection_that_no_released_model_uses(golden: Any) -> None:
    """It is saved in checkpoints and never called; the shared top-k reproduces it all the same."""
    file = golden(MODULES)
    tokens, mask = file["tsel.in"], file["tsel.mask"]
    width = tokens.shape[-1]
    parts = {
        "in_conv": nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width // 2), nn.GELU()),
        "out_conv": nn.Sequential(
            nn.Linear(width, width // 2, bias=False), nn.GELU(), nn.Linear(width // 2, 1, bias=False)
        ),
    }
    for name, part in parts.items():
        part.load_state_dict(file.under(f"tsel.w.score_predictor.{name}."))
    end = file["tsel.ids"].argmax(dim=1)
    rows = torch.arange(len(tokens))
    seen = parts["in_conv"](tokens)
    whole = seen[rows, end].unsqueeze(1).expand_as(seen)
    scores = parts["out_conv"](torch.cat([seen, whole], dim=2)).squeeze(2).sigmoid()
    before_the_end = torch.nn.functional.pad(mask[:, 1:], (0, 1))
    chosen = perturbed_top_k(scores * before_the_end, 1, noise_BSN=file["tsel.noise"])
    selected = torch.cat([tokens[rows, end].unsqueeze(1), chosen @ tokens], dim=1)
    torch.testing.assert_close(selected, file["tsel.out"], atol=1e-5, rtol=1e-5)


def test_selected_patches_of_each_frame(golden: Any) -> None:
    file = golden(MODULES)
    selector = released_selector(file.under("vsel.w."))
    tokens_NLD = file["vsel.in"].unflatten(1, (3, 10)).flatten(0, 1)
    torch.testing.assert_close(selector.scores(tokens_NLD), file["vsel.scores_tanh"], atol=1e-6, rtol=1e-5)
    chosen_NKD = selector(tokens_NLD, file["vsel.noise"])
    expected_NKD = file["vsel.out"].unflatten(1, (3, 4)).flatten(0, 1)
    torch.testing.assert_close(chosen_NKD, expected_NKD, atol=1e-5, rtol=1e-5)
    hard_NKD = selector(tokens_NLD)
    assert torch.equal(hard_NKD, selector(tokens_NLD))
    best_NP = selector.scores(tokens_NLD)[:, 1:].topk(3, dim=1).indices.sort(dim=1).values
    own_NKD = tokens_NLD[:, 1:].gather(1, best_NP[..., None].expand(-1, -1, 64))
    torch.testing.assert_close(hard_NKD[:, 1:], own_NKD, atol=1e-6, rtol=0)


@cache
def built(frame_mask: Any) -> Ts2Net:
    """Build the method around towers that these tests never run."""
    return Ts2Net(tiny.towers(dim=64), temporal_layers=2, max_frames=8, frame_mask=frame_mask)


def scores(file: Any, mask_VF: Tensor, frame_mask: Any) -> Tensor:
    method = built(frame_mask)
    assert isinstance(method.temporal, TemporalTransformer)
    weights = {
        key: value
        for key, value in file.under("w.").items()
        if key.startswith(("frame_position", "transformerClip"))
    }
    method.temporal.load_state_dict(temporal_weights_from_release(weights))
    sentence = TokenSet(file["in.sequence_output"], torch.ones(5, 1, dtype=torch.bool))
    tokens_VFKD = file["in.visual_tokens"].unflatten(1, (6, 4))
    video = method.frame_set(tokens_VFKD, mask_VF.bool(), torch.zeros(mask_VF.shape))
    text_sets, video_sets = (
        method.prepare_text({"sentence": sentence}),
        method.prepare_video({"frame": video}),
    )
    scale: Tensor = file["in.logit_scale"].exp()
    return method.similarity(text_sets, video_sets) * scale


@pytest.mark.parametrize("frame_mask", ["frames", "tiled"])
def test_logits_of_whole_videos_under_either_mask(golden: Any, frame_mask: str) -> None:
    """The released "global" branch has weight 0 and, for one text token, the same values."""
    file = golden(SIMILARITY)
    logits_QV = scores(file, file["full.video_mask"], frame_mask)
    for branch in ("final", "semantic", "global"):
        torch.testing.assert_close(logits_QV, file[f"full.{branch}"], atol=1e-5, rtol=1e-4)


def test_logits_of_ragged_videos_under_the_released_mask(golden: Any) -> None:
    file = golden(SIMILARITY)
    mask_VF = file["ragged.video_mask"]
    logits_QV = scores(file, mask_VF, "tiled")
    for branch in ("final", "semantic", "global"):
        torch.testing.assert_close(logits_QV, file[f"ragged.{branch}"], atol=1e-5, rtol=1e-4)
    whole = mask_VF.bool().all(dim=1)
    corrected_QV = scores(file, mask_VF, "frames")
    torch.testing.assert_close(corrected_QV[:, whole], logits_QV[:, whole], atol=1e-5, rtol=1e-4)
    assert (corrected_QV - logits_QV)[:, ~whole].abs().max() > 0.1


def test_heads_alone_under_the_right_mask(golden: Any) -> None:
    file = golden(SIMILARITY)
    sentence = TokenSet(file["in.sequence_output"], torch.ones(5, 1, dtype=torch.bool))
    frames = TokenSet(file["head.frames_in"], file["head.mask"].bool())
    scale = file["in.logit_scale"].exp()
    for meet, names in (
        (FrameSoftmax(), ("head.frame_sim", "head.frame_selectedcls")),
        (MeanDot(), ("head.global_sim",)),
    ):
        sim_QV = meet.score(meet.prepare_text(sentence), meet.prepare_video(frames))
        for name in names:
            torch.testing.assert_close(sim_QV * scale, file[name], atol=1e-5, rtol=1e-4)


def test_from_pixels_and_ids_to_logits(golden: Any) -> None:
    file = golden(SIMILARITY)
    weights = file.under("e2e.clip.")
    for block in range(1, 10):  # recorded once for all of them
        for key in [key for key in weights if key.startswith("visual.transformer.resblocks.0.")]:
            weights[key.replace("resblocks.0.", f"resblocks.{block}.")] = weights[key]
    towers = towers_from_openai(weights, SIMILARITY)
    method = Ts2Net(towers, temporal_layers=2, max_frames=19, frame_mask="tiled").eval()
    assert isinstance(method.temporal, TemporalTransformer)
    torch.testing.assert_close(method.temporal.positions[:76], weights["positional_embedding"][:76])
    method.selector = released_selector(file.under("e2e.w.visual_token_selector."))

    mask_BF, mask_QT = file["e2e.video_mask"].bool(), file["e2e.attention_mask"].bool()
    pixels = file["e2e.video"].unflatten(0, mask_BF.shape)
    everything_BF = torch.ones_like(mask_BF)
    hidden = towers.encode_frames(pixels, everything_BF, method.shift_blocks).flatten(0, 1)
    torch.testing.assert_close(hidden, file["e2e.visual_hidden"], atol=1e-4, rtol=1e-4)
    chosen = method.selector(hidden, file["e2e.noise"]).unflatten(0, mask_BF.shape).flatten(1, 2)
    torch.testing.assert_close(chosen, file["e2e.visual_tokens"], atol=1e-4, rtol=1e-4)

    method.selector.register_forward_pre_hook(lambda _, tokens: (*tokens, file["e2e.noise"]))
    text = method.text_features(file["e2e.ids"], mask_QT)
    torch.testing.assert_close(text["sentence"].tokens, file["e2e.sequence_output"], atol=1e-4, rtol=1e-4)
    video = method.video_features(pixels, mask_BF, torch.zeros(mask_BF.shape))
    sim_QV = method.similarity(method.prepare_text(text), method.prepare_video(video))
    torch.testing.assert_close(sim_QV * method.scale, file["e2e.final_logits"], atol=1e-4, rtol=1e-4)


def test_every_recorded_value_is_used(golden: Any, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, MODULES, "topk.", "vsel.", "tsel.")
    golden.assert_all_used(request, SIMILARITY)
