"""CLIP4Clip's four similarity heads on stored features: logits, losses, gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidsift.encoders.temporal import (
    TemporalLSTM,
    TemporalMean,
    TemporalTransformer,
    temporal_weights_from_release,
)
from vidsift.interactions.cross import CrossTransformer, cross_weights_from_release
from vidsift.interactions.dot import MeanDot
from vidsift.losses.contrastive import info_nce
from vidsift.types import TokenSet

FILE = "clip4clip_similarity"
LOOSE = ["meanP", "seqLSTM", "seqTransf"]


def temporal(file: Any, head: str) -> nn.Module:
    """Build the head across frames with the released weights."""
    if head == "meanP":
        return TemporalMean()
    weights = temporal_weights_from_release(file.under(f"{head}.w."))
    channels = file["in.visual_output5"].shape[-1]
    built: nn.Module
    if head == "seqLSTM":
        built = TemporalLSTM(channels)
    else:
        layers = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
        built = TemporalTransformer(channels, layers=layers, max_frames=len(weights["positions"]))
    built.load_state_dict(weights)
    return built


def similarity(head: nn.Module, sentence_B1D: Tensor, frames_VFD: Tensor, mask_VF: Tensor) -> Tensor:
    meet = MeanDot()
    text = TokenSet(sentence_B1D, torch.ones(sentence_B1D.shape[:2], dtype=torch.bool))
    video = TokenSet(head(frames_VFD, mask_VF.bool()), mask_VF.bool())
    return meet.score(meet.prepare_text(text), meet.prepare_video(video))


@pytest.mark.parametrize("head", LOOSE)
def test_evaluation_logits_carry_the_scale(golden: Any, head: str) -> None:
    file = golden(FILE)
    sim_QV = similarity(
        temporal(file, head), file["in.sequence_output"], file["in.visual_output7"], file["in.video_mask7"]
    )
    logits_QV = sim_QV * file["in.logit_scale"].exp()
    torch.testing.assert_close(logits_QV, file[f"{head}.eval_logits_5x7"], atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("head", LOOSE)
def test_training_logits_loss_and_gradients(golden: Any, head: str) -> None:
    file = golden(FILE)
    text = file["in.sequence_output"].clone().requires_grad_()
    video = file["in.visual_output5"].clone().requires_grad_()
    scale = file["in.logit_scale"].exp()
    sim_BB = similarity(temporal(file, head), text, video, file["in.video_mask5"])
    torch.testing.assert_close(sim_BB * scale, file[f"{head}.train_logits_5x5"], atol=1e-3, rtol=1e-5)
    loss = info_nce(sim_BB, scale)
    torch.testing.assert_close(loss, file[f"{head}.train_loss"], atol=1e-4, rtol=1e-4)
    torch.autograd.backward(loss)
    assert text.grad is not None
    assert video.grad is not None
    torch.testing.assert_close(text.grad, file[f"{head}.grad_text"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(video.grad, file[f"{head}.grad_visual"], atol=1e-5, rtol=1e-4)


def test_the_tight_head_s_logits(golden: Any) -> None:
    file = golden(FILE)
    weights = cross_weights_from_release(file.under("tightTransf.w."))
    meet = cross_transformer(weights)
    sentence = file["in.sequence_output"]
    text = TokenSet(sentence, torch.ones(sentence.shape[:2], dtype=torch.bool))
    video = TokenSet(file["in.visual_output7"], file["in.video_mask7"].bool())
    logits_QV = meet.score(meet.prepare_text(text), meet.prepare_video(video))
    torch.testing.assert_close(logits_QV, file["tightTransf.eval_logits_5x7"], atol=1e-5, rtol=1e-4)


def cross_transformer(weights: Mapping[str, Tensor]) -> CrossTransformer:
    layers = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    positions, channels = weights["positions"].shape
    meet = CrossTransformer(channels, layers=layers, heads=8, max_positions=positions).eval()
    meet.load_state_dict(weights)
    return meet


def test_the_recorded_sentence_mask_is_not_needed_by_a_set_of_one(golden: Any) -> None:
    """The released heads take the words' mask and use none of it but one leading 1 (tightTransf)."""
    file = golden(FILE)
    assert bool((file["in.attention_mask"][:, 0] == 1).all())
    assert len(file["in.attention_mask"]) == len(file["in.sequence_output"])


def test_every_recorded_value_is_used(golden: Any, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
