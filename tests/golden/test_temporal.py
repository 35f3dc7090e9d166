"""The heads across frames against CLIP4Clip's and DRL's released code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidsift.encoders.temporal import (
    TemporalLSTM,
    TemporalMean,
    TemporalTransformer,
    temporal_weights_from_release,
)

if TYPE_CHECKING:
    from tests.golden.conftest import Golden, GoldenFile

CLIP4CLIP, DRL = "clip4clip_similarity", "drl_agg_e2e"
HEADS = ["seqLSTM", "seqTransf"]


def head(file: GoldenFile, kind: str, dim: int) -> nn.Module:
    weights = temporal_weights_from_release(file.under(f"{kind}.w."))
    module: nn.Module
    if kind == "seqLSTM":
        module = TemporalLSTM(dim)
    else:
        layers = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
        module = TemporalTransformer(dim, layers, max_frames=len(weights["positions"]))
    module.load_state_dict(weights)
    return module


def logits(text_Q1D: Tensor, frames_VFD: Tensor, mask_VF: Tensor, log_scale: Tensor) -> Tensor:
    """Normalise, masked mean, normalise, dot product, scale: CLIP4Clip's loose similarity."""
    weights_VF1 = mask_VF.unsqueeze(-1).float()
    mean_VD = (normalize(frames_VFD, dim=-1) * weights_VF1).sum(1) / weights_VF1.sum(1)
    return log_scale.exp() * normalize(text_Q1D[:, 0], dim=-1) @ normalize(mean_VD, dim=-1).T


@pytest.mark.parametrize("kind", ["meanP", *HEADS])
def test_clip4clip_logits(golden: Golden, kind: str) -> None:
    file = golden(CLIP4CLIP)
    frames_VFD, mask_VF = file["in.visual_output7"], file["in.video_mask7"].bool()
    module = TemporalMean() if kind == "meanP" else head(file, kind, frames_VFD.shape[-1])
    sim_QV = logits(file["in.sequence_output"], module(frames_VFD, mask_VF), mask_VF, file["in.logit_scale"])
    torch.testing.assert_close(sim_QV, file[f"{kind}.eval_logits_5x7"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["meanP", *HEADS])
def test_clip4clip_training_logits_and_gradients(golden: Golden, kind: str) -> None:
    file = golden(CLIP4CLIP)
    text_Q1D = file["in.sequence_output"].clone().requires_grad_()
    frames_VFD = file["in.visual_output5"].clone().requires_grad_()
    mask_VF = file["in.video_mask5"].bool()
    module = TemporalMean() if kind == "meanP" else head(file, kind, frames_VFD.shape[-1])
    sim_QV = logits(text_Q1D, module(frames_VFD, mask_VF), mask_VF, file["in.logit_scale"])
    torch.testing.assert_close(sim_QV, file[f"{kind}.train_logits_5x5"], rtol=0, atol=1e-4)
    target = torch.arange(len(sim_QV))
    loss = (nn.functional.cross_entropy(sim_QV, target) + nn.functional.cross_entropy(sim_QV.T, target)) / 2
    torch.testing.assert_close(loss, file[f"{kind}.train_loss"], rtol=0, atol=1e-4)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(text_Q1D.grad, file[f"{kind}.grad_text"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(frames_VFD.grad, file[f"{kind}.grad_visual"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["None", *HEADS])
@torch.no_grad()
def test_drl_frames(golden: Golden, kind: str) -> None:
    file = golden(DRL)
    frames_BFD, mask_BF = file["in.video_feat"], file["in.video_mask"].bool()
    module = TemporalMean() if kind == "None" else head(file, kind, frames_BFD.shape[-1])
    out_BFD = module(frames_BFD, mask_BF)
    torch.testing.assert_close(out_BFD[mask_BF], file[f"{kind}.agg_out"][mask_BF], rtol=0, atol=1e-5)
    assert not out_BFD[~mask_BF].any()


def test_every_temporal_key_was_used(golden: Golden, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, CLIP4CLIP, "meanP.", "seqLSTM.", "seqTransf.")
    golden.assert_all_used(request, DRL, "None.", "seqLSTM.", "seqTransf.", "in.")
