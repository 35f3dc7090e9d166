"""DRL's released interactions, losses and gradients on stored features: every recorded value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from vidsift.encoders.clip import end_of_text
from vidsift.interactions.base import Interaction
from vidsift.interactions.cross import CrossTransformer, cross_weights_from_release
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.masked import masked_mean
from vidsift.interactions.matches import Padding
from vidsift.interactions.mlp import PairPerceptron
from vidsift.interactions.token_wise import TokenWise, WeightedTokenWise
from vidsift.losses.contrastive import info_nce
from vidsift.losses.decorrelation import Decorrelation, MatchForm, decorrelation
from vidsift.types import TokenSet

FILE = "drl_interactions"
LAMBDA, ALPHA = 0.001, 0.06
WEIGHTED = ["wti1", "wti2", "wti3"]
NAMES = ["dp", "ti", *WEIGHTED]
# Released variant (of one interaction) -> form.
FORMS: dict[tuple[str, int], MatchForm | None] = {
    **{(name, 0): None for name in NAMES},
    ("dp", 1): "single",
    ("ti", 1): "random",
    ("ti", 2): "best_match",
    ("wti1", 3): "weighted",
    ("wti2", 1): "random",
    ("wti2", 2): "best_match",
    ("wti2", 3): "weighted",
    ("wti3", 3): "weighted",
}


def interaction(file: Mapping[str, Any], name: str, padding: Padding = "zero") -> Interaction:
    """Build an interaction with the released weights."""
    if name == "dp":
        return MeanDot()
    if name == "ti":
        return TokenWise(padding)
    layers = int(name[-1])
    channels = file["in.text_feat"].shape[-1]
    weighted = WeightedTokenWise(channels, layers, padding)
    for side in ("text", "video"):
        head = weighted.text_weight if side == "text" else weighted.video_weight
        assert head is not None
        prefix = f"{name}.w.{side}_weight_fc."
        stored = {key.removeprefix(prefix): file[key] for key in file if key.startswith(prefix)}
        head.load_state_dict({f"0.{key}": value for key, value in stored.items()} if layers == 1 else stored)
    return weighted


def text_set(features_BTD: Tensor, mask_BT: Tensor, name: str) -> TokenSet:
    mask_BT = mask_BT.bool()
    if name in ("dp", "xti"):
        return TokenSet(end_of_text(features_BTD, mask_BT), mask_BT.new_ones(len(mask_BT), 1))
    return TokenSet(features_BTD, mask_BT)


def video_set(features_BFD: Tensor, mask_BF: Tensor) -> TokenSet:
    return TokenSet(features_BFD, mask_BF.bool())


def prepared(
    file: Mapping[str, Any], name: str, meet: Interaction, which: str = "5"
) -> tuple[TokenSet, TokenSet]:
    """Prepare the stored features; ``which`` is "5" for the matched pairs or "7" for the gallery."""
    text = text_set(file["in.text_feat"], file["in.text_mask"], name)
    suffix = "7" if which == "7" else ""
    video = video_set(file[f"in.video_feat{suffix}"], file[f"in.video_mask{suffix}"])
    return meet.prepare_text(text), meet.prepare_video(video)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_logits_are_the_unscaled_similarities(golden: Any, name: str) -> None:
    file = golden(FILE)
    meet = interaction(file, name)
    sim_QV = meet.score(*prepared(file, name, meet, "7"))
    torch.testing.assert_close(sim_QV, file[f"{name}.eval_logits_5x7"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_training_logits_are_the_similarities_times_the_learned_scale(golden: Any, name: str) -> None:
    file = golden(FILE)
    meet = interaction(file, name)
    logits_BB = meet.score(*prepared(file, name, meet)) * file["in.logit_scale"].exp()
    torch.testing.assert_close(logits_BB, file[f"{name}.train_logits_5x5"], atol=1e-3, rtol=1e-5)


def loss_parts(
    file: Mapping[str, Any], name: str, variant: int, *, require_grad: bool = True
) -> tuple[Tensor, Decorrelation | None, dict[str, Tensor], Interaction]:
    """Compute InfoNCE and CDCR of the matched pairs from leaves that collect gradients."""
    meet = interaction(file, name)
    leaves = {
        side: file[f"in.{side}_feat"].clone().requires_grad_(require_grad) for side in ("text", "video")
    }
    text = meet.prepare_text(text_set(leaves["text"], file["in.text_mask"], name))
    video = meet.prepare_video(video_set(leaves["video"], file["in.video_mask"]))
    contrast = info_nce(meet.score(text, video), file["in.logit_scale"].exp())
    form = FORMS[name, variant]
    if form is None:
        return contrast, None, leaves, meet
    draws = None
    if form == "random":
        drawn = [file[f"{name}.cdcr{variant}.randint{number}"] for number in (0, 1)]
        draws = drawn[0] % text.mask.sum(1), drawn[1] % video.mask.sum(1)
    alignment = meet.align(text, video) if form in ("best_match", "weighted") else None
    released = decorrelation(
        text, video, form, alignment, draws=draws, orientation="released", deviation="plain"
    )
    return contrast, released, leaves, meet


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_losses(golden: Any, name: str, variant: int) -> None:
    file = golden(FILE)
    key = f"{name}.cdcr{variant}"
    contrast, parts, _, _ = loss_parts(file, name, variant, require_grad=False)
    torch.testing.assert_close(contrast, file[f"{key}.infonce"], atol=1e-4, rtol=1e-4)
    if parts is None:
        assert file[f"{key}.cdcr_loss"] == 0
        torch.testing.assert_close(contrast, file[f"{key}.total"], atol=1e-4, rtol=1e-4)
        return
    torch.testing.assert_close(parts.on_diagonal, file[f"{key}.on_diag"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(parts.off_diagonal, file[f"{key}.off_diag"], atol=1e-4, rtol=1e-4)
    redundancy = parts.total(ALPHA)
    torch.testing.assert_close(redundancy, file[f"{key}.cdcr_loss"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(contrast + LAMBDA * redundancy, file[f"{key}.total"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_gradients_of_features_and_weight_heads(golden: Any, name: str, variant: int) -> None:
    file = golden(FILE)
    key = f"{name}.cdcr{variant}"
    contrast, parts, leaves, meet = loss_parts(file, name, variant)
    total = contrast if parts is None else contrast + LAMBDA * parts.total(ALPHA)
    torch.autograd.backward(total)
    for side, leaf in leaves.items():
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad, file[f"{key}.grad_{side}"], atol=1e-5, rtol=1e-4)
    if name not in WEIGHTED or variant not in (0, 3):
        return
    assert isinstance(meet, WeightedTokenWise)
    for side, head in (("text", meet.text_weight), ("video", meet.video_weight)):
        assert head is not None
        for parameter, value in head.named_parameters():
            released = parameter.removeprefix("0.") if name == "wti1" else parameter
            expected = file[f"{key}.grad.{side}_weight_fc.{released}"]
            assert value.grad is not None
            torch.testing.assert_close(value.grad, expected, atol=1e-5, rtol=1e-4)


def test_the_readme_s_weights_of_the_two_parts(golden: Any) -> None:
    file = golden(FILE)
    _, parts, _, _ = loss_parts(file, "wti2", 3, require_grad=False)
    assert parts is not None
    redundancy = parts.total(alpha=0.0, on_diagonal_weight=0.11)
    torch.testing.assert_close(redundancy, file["wti2.cdcr3.readme_alpha_0.11_0.0"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["ti", "wti2"])
def test_both_rules_of_padding_where_every_match_is_negative(golden: Any, name: str) -> None:
    file = golden(FILE)
    text, video = file["neg.text"], file["neg.video"]
    rules: dict[tuple[str, Padding], Tensor] = {}
    for width in ("full", "padded"):
        text_mask = torch.ones(text.shape[:2], dtype=torch.bool)
        video_mask = torch.ones(video.shape[:2], dtype=torch.bool)
        if width == "padded":
            text_mask[:, -1] = video_mask[:, -1] = False
        for padding in ("zero", "excluded"):
            meet = interaction(file, name, padding)
            sets = (
                meet.prepare_text(TokenSet(text, text_mask)),
                meet.prepare_video(TokenSet(video, video_mask)),
            )
            rules[width, padding] = meet.score(*sets)
    # The released rule: nothing happens without padding, and any padding lifts everything to zero.
    torch.testing.assert_close(rules["full", "zero"], file[f"neg.{name}.full"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rules["padded", "zero"], file[f"neg.{name}.padded"], atol=1e-5, rtol=1e-5)
    # Ours: the same without padding, and still negative with it.
    torch.testing.assert_close(rules["full", "excluded"], file[f"neg.{name}.full"], atol=1e-5, rtol=1e-5)
    assert bool((rules["padded", "excluded"] < 0).all())


def test_cross_transformer_logits(golden: Any) -> None:
    file = golden(FILE)
    weights = cross_weights_from_release(file.under("xti.w."))
    layers = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    positions, channels = weights["positions"].shape
    meet = CrossTransformer(channels, layers=layers, heads=8, max_positions=positions).eval()
    meet.load_state_dict(weights)
    logits_QV = meet.score(*prepared(file, "xti", meet, "7"))
    torch.testing.assert_close(logits_QV, file["xti.eval_logits_5x7"], atol=1e-5, rtol=1e-4)


def test_the_sentence_and_the_mean_frame(golden: Any) -> None:
    file = golden(FILE)
    mask_BT, mask_VF = file["in.text_mask"].bool(), file["in.video_mask7"].bool()
    assert torch.equal(end_of_text(file["in.text_feat"], mask_BT), file["out.text_sep_feat"])
    mean_VD = masked_mean(file["in.video_feat7"], mask_VF)
    torch.testing.assert_close(mean_VD, file["out.video_avg_feat7"], atol=1e-6, rtol=1e-6)


def test_the_perceptron_over_pairs(golden: Any) -> None:
    """The released code builds these two layers and never runs them; their values were recorded alone."""
    file = golden(FILE)
    weights = file.under("mlp.w.similarity_dense.")
    renamed = {"0": "join", "2": "judge.1"}
    pairs_PE, expected_P1 = file["mlp.module_in"], file["mlp.module_out"]
    channels = pairs_PE.shape[1] // 2
    meet = PairPerceptron(channels, layers=2)
    meet.load_state_dict(
        {f"{renamed[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in weights.items()}
    )
    torch.testing.assert_close(meet(pairs_PE), expected_P1, atol=1e-5, rtol=1e-5)
    one_P1 = torch.ones(len(pairs_PE), 1, dtype=torch.bool)
    sides = [TokenSet(side[:, None], one_P1) for side in pairs_PE.split(channels, dim=1)]
    sim_PP = meet.score(meet.prepare_text(sides[0]), meet.prepare_video(sides[1]))
    torch.testing.assert_close(sim_PP.diagonal(), expected_P1[:, 0], atol=1e-5, rtol=1e-5)


def test_every_recorded_value_is_used(golden: Any, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
