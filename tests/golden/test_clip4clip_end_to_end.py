"""CLIP4Clip from pixels and ids to logits, and the similarity matrices of its own evaluation loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vidsift.encoders.weights import towers_from_openai
from vidsift.methods.clip4clip import Clip4Clip
from vidsift.types import Features

FILE = "clip4clip_e2e_eval"


def encode(file: Any) -> tuple[Clip4Clip, Features, Features]:
    method = Clip4Clip(towers_from_openai(file.under("clip."), FILE), head="meanP").eval()
    mask_QT, mask_VF = file["in.attention_mask"].bool(), file["in.video_mask"].bool()
    times_VF = torch.zeros(mask_VF.shape, dtype=torch.float64)
    with torch.inference_mode():
        text = method.text_features(file["in.ids"], mask_QT)
        video = method.video_features(file["in.video"], mask_VF, times_VF)
    return method, text, video


def logits(file: Any) -> Tensor:
    method, text, video = encode(file)
    with torch.inference_mode():
        return method.similarity(method.prepare_text(text), method.prepare_video(video)) * method.scale


def test_features(golden: Any) -> None:
    file = golden(FILE)
    _, text, video = encode(file)
    torch.testing.assert_close(text["sentence"].tokens, file["out.sequence_output"], atol=1e-4, rtol=1e-4)
    real_VF = file["in.video_mask"].bool()
    assert torch.equal(video["frame"].mask, real_VF)
    # Padded frames are encoded there and left out here.
    torch.testing.assert_close(
        video["frame"].tokens[real_VF], file["out.visual_output"][real_VF], atol=1e-4, rtol=1e-4
    )


def test_logits_of_all_captions_and_videos(golden: Any) -> None:
    file = golden(FILE)
    torch.testing.assert_close(logits(file), file["out.meanP_logits"], atol=1e-3, rtol=1e-4)


def test_similarities_of_the_evaluation_with_several_captions_a_video(golden: Any) -> None:
    """The matrix is (video, caption, video), padded with -inf; the metrics are for evaluation's tests."""
    file = golden(FILE)
    logits_QV = logits(file).double()
    padded = file["multi.sim_padded"]
    by_video = torch.full_like(padded, -torch.inf)
    for video in range(len(padded)):
        rows = logits_QV[file["in.caption_owner"] == video]
        by_video[video, : len(rows)] = rows
    torch.testing.assert_close(by_video, padded, atol=1e-3, rtol=1e-4)
    best_VV = by_video.amax(dim=1).t()
    torch.testing.assert_close(best_VV, file["multi.v2t_sim"], atol=1e-3, rtol=1e-4)


def test_similarities_of_the_evaluation_with_one_caption_a_video(golden: Any) -> None:
    file = golden(FILE)
    owners = file["in.caption_owner"].tolist()
    # The recorded run kept the last caption of each video.
    last = [len(owners) - 1 - owners[::-1].index(video) for video in range(len(file["single.sim"]))]
    torch.testing.assert_close(logits(file)[last], file["single.sim"], atol=1e-3, rtol=1e-4)


def test_every_recorded_value_is_used(golden: Any, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
