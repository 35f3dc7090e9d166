"""The towers against OpenAI's released CLIP code on a tiny random model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from vidsift.encoders.clip import ATTENTION_KINDS, AttentionKind, ClipTowers, end_of_text
from vidsift.encoders.weights import towers_from_openai

if TYPE_CHECKING:
    from tests.golden.conftest import Golden, GoldenFile

FILE = "openai_clip_tiny"


def close(actual: Tensor, expected: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def same_start(actual_QTW: Tensor, recorded_QTW: Tensor) -> None:
    """Compare the positions that both have: the recorded states are cut, ours end with the longest text."""
    length = min(actual_QTW.shape[1], recorded_QTW.shape[1])
    close(actual_QTW[:, :length], recorded_QTW[:, :length])


def towers(file: GoldenFile, attention: AttentionKind = "sdpa") -> ClipTowers:
    return towers_from_openai(file.under("w."), FILE, attention=attention)


def texts(file: GoldenFile) -> tuple[Tensor, Tensor]:
    ids_QT = file["in.text"]
    end_Q = ids_QT.argmax(1)
    return ids_QT, torch.arange(ids_QT.shape[1]) <= end_Q[:, None]


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
@torch.inference_mode()
def test_image_features_and_every_hidden_state(golden: Golden, attention: AttentionKind) -> None:
    file = golden(FILE)
    tokens_NLD, states = towers(file, attention).encode_images(file["in.image"], hidden=True)
    close(tokens_NLD[:, 0], file["out.image_features"])
    close(states[0], file["hidden.visual.ln_pre"])
    blocks = [key for key in file if key.startswith("hidden.visual.block")]
    assert len(states) == len(blocks) + 1
    for key in blocks:
        close(states[int(key.removeprefix("hidden.visual.block")) + 1], file[key])


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
@torch.inference_mode()
def test_text_features_and_every_hidden_state(golden: Golden, attention: AttentionKind) -> None:
    file = golden(FILE)
    model = towers(file, attention)
    ids_QT, mask_QT = texts(file)
    tokens_QTD, states = model.encode_text(ids_QT, mask_QT, hidden=True)
    close(end_of_text(tokens_QTD, mask_QT)[:, 0], file["out.text_features"])
    blocks = [key for key in file if key.startswith("hidden.text.block")]
    assert len(states) == len(blocks) + 1
    for key in blocks:
        same_start(states[int(key.removeprefix("hidden.text.block")) + 1], file[key])
    same_start(model.clip.text_model.final_layer_norm(states[-1]), file["hidden.text.ln_final"])


@torch.inference_mode()
def test_logits(golden: Golden) -> None:
    file = golden(FILE)
    model = towers(file)
    ids_QT, mask_QT = texts(file)
    text_QD = end_of_text(model.encode_text(ids_QT, mask_QT), mask_QT)[:, 0]
    image_ND = model.encode_images(file["in.image"])[:, 0]
    unit_QD, unit_ND = (torch.nn.functional.normalize(x, dim=-1) for x in (text_QD, image_ND))
    logits_QN = model.logit_scale.exp() * unit_QD @ unit_ND.T
    close(logits_QN, file["out.logits_per_text"], atol=1e-4)
    close(logits_QN.T, file["out.logits_per_image"], atol=1e-4)


@torch.inference_mode()
def test_the_same_as_clip_model(golden: Golden) -> None:
    file = golden(FILE)
    model = towers(file)
    ids_QT, mask_QT = texts(file)
    reference = model.clip(input_ids=ids_QT, pixel_values=file["in.image"])
    text_QD = end_of_text(model.encode_text(ids_QT, mask_QT), mask_QT)[:, 0]
    unit_QD = torch.nn.functional.normalize(text_QD, dim=-1)
    close(unit_QD, reference.text_embeds)
    image_ND = model.encode_images(file["in.image"])[:, 0]
    close(torch.nn.functional.normalize(image_ND, dim=-1), reference.image_embeds)


def test_every_key_was_used(golden: Golden, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
