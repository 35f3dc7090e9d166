"""DRL from pixels and ids to logits, loss and gradients; its heads across frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidsift.encoders.openai_weights import clip_weights_from_openai
from vidsift.encoders.temporal import (
    TemporalLSTM,
    TemporalMean,
    TemporalTransformer,
    temporal_weights_from_release,
)
from vidsift.encoders.weights import towers_from_openai
from vidsift.interactions.matches import Padding
from vidsift.interactions.token_wise import WeightedTokenWise
from vidsift.methods.drl import Drl
from vidsift.types import Features

FILE = "drl_agg_e2e"
HEADS = {"None": "none", "seqLSTM": "lstm", "seqTransf": "transformer"}


def released_drl(file: Any, padding: Padding = "zero") -> Drl:
    """Build the released WTI: two layers a head, a transformer across frames, CDCR variant 3."""
    towers = towers_from_openai(file.under("clip."), FILE)
    weights = temporal_weights_from_release(file.under("seqTransf.w."))
    # The released defaults (alpha1 1, alpha2 0.06, lambda 0.001) are ours too; the defects of CDCR are not.
    method = Drl(
        towers,
        interaction="wti",
        weight_layers=2,
        max_frames=len(weights["positions"]),
        padding=padding,
        cdcr_orientation="released",
        cdcr_deviation="plain",
    )
    method.temporal.load_state_dict(weights)
    (interaction,) = method.interactions
    assert isinstance(interaction, WeightedTokenWise)
    assert interaction.text_weight is not None
    assert interaction.video_weight is not None
    interaction.text_weight.load_state_dict(file.under("e2e.w.text_weight_fc."))
    interaction.video_weight.load_state_dict(file.under("e2e.w.video_weight_fc."))
    return method


def encode(method: Drl, file: Any) -> tuple[Features, Features]:
    mask_BT, mask_BF = file["e2e.text_mask"].bool(), file["e2e.video_mask"].bool()
    times_BF = torch.zeros(mask_BF.shape, dtype=torch.float64)
    text = method.text_features(file["e2e.text_ids"], mask_BT)
    return text, method.video_features(file["e2e.video"], mask_BF, times_BF)


def prepare(method: Drl, file: Any) -> tuple[Features, Features]:
    text, video = encode(method, file)
    return method.prepare_text(text), method.prepare_video(video)


@pytest.mark.parametrize("name", HEADS)
def test_heads_across_frames(golden: Any, name: str) -> None:
    file = golden(FILE)
    frames_BFD, mask_BF = file["in.video_feat"], file["in.video_mask"].bool()
    head: nn.Module = TemporalMean()
    if name != "None":
        weights = temporal_weights_from_release(file.under(f"{name}.w."))
        channels = frames_BFD.shape[-1]
        if name == "seqLSTM":
            head = TemporalLSTM(channels)
        else:
            layers = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
            head = TemporalTransformer(channels, layers=layers, max_frames=len(weights["positions"]))
        head.load_state_dict(weights)
    with torch.inference_mode():
        out_BFD = head(frames_BFD, mask_BF)
    torch.testing.assert_close(out_BFD[mask_BF], file[f"{name}.agg_out"][mask_BF], atol=1e-4, rtol=1e-4)


def test_features_of_real_tokens(golden: Any) -> None:
    file = golden(FILE)
    with torch.inference_mode():
        text, video = encode(released_drl(file), file)
    for tokens, expected in ((text["word"], file["e2e.text_feat"]), (video["frame"], file["e2e.video_feat"])):
        real = tokens.mask
        torch.testing.assert_close(tokens.tokens[real], expected[real], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("padding", ["zero", "excluded"])
def test_evaluation_logits(golden: Any, padding: Padding) -> None:
    file = golden(FILE)
    method = released_drl(file, padding).eval()
    with torch.inference_mode():
        text, video = prepare(method, file)
        sim_QV = method.similarity(text, video)
    expected_QV = file["e2e.eval_logits"]
    if padding == "zero":
        torch.testing.assert_close(sim_QV, expected_QV, atol=1e-4, rtol=1e-4)
    else:
        # Where no padding can win, the rules agree; padding at 0 can only lift a score.
        assert bool((sim_QV <= expected_QV + 1e-4).all())


def trained(file: Any) -> tuple[Drl, dict[str, Tensor]]:
    method = released_drl(file).train()
    losses = method.loss(*prepare(method, file))
    torch.autograd.backward(losses["loss"])
    return method, losses


def test_training_loss(golden: Any) -> None:
    file = golden(FILE)
    _, losses = trained(file)
    torch.testing.assert_close(losses["loss"], file["e2e.train_loss"], atol=1e-4, rtol=1e-4)


def test_gradients_reach_towers_and_weight_heads(golden: Any) -> None:
    file = golden(FILE)
    method, _ = trained(file)
    (interaction,) = method.interactions
    assert isinstance(interaction, WeightedTokenWise)
    gradients = {name: value.grad for name, value in method.towers.clip.named_parameters()}
    recorded, unknown = clip_weights_from_openai(file.under("e2e.grad.clip."))
    assert not unknown
    assert recorded
    for name, expected in recorded.items():
        actual = gradients[name]
        assert actual is not None
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-3)
    for side, head in (("text", interaction.text_weight), ("video", interaction.video_weight)):
        assert head is not None
        heads = {name: value.grad for name, value in head.named_parameters()}
        for name, expected in file.under(f"e2e.grad.{side}_weight_fc.").items():
            actual = heads[name]
            assert actual is not None
            torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-3)


def test_length_of_the_whole_gradient(golden: Any) -> None:
    file = golden(FILE)
    method, _ = trained(file)
    squares = [value.grad.square().sum() for value in method.parameters() if value.grad is not None]
    torch.testing.assert_close(
        torch.stack(squares).sum().sqrt(), file["e2e.grad_norm_total"], atol=1e-4, rtol=1e-3
    )


def test_every_recorded_value_is_used(golden: Any, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
