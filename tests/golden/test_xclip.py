"""X-CLIP's multi-grained similarity on stored features: logits, losses, gradients."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from tests.methods import tiny
from torch import Tensor
from torch.nn.functional import normalize

from vidsift.encoders.temporal import TemporalTransformer, temporal_weights_from_release
from vidsift.interactions.similarity_attention import SimilarityAttention
from vidsift.losses.contrastive import info_nce
from vidsift.methods.xclip import XClip, xclip_matrices_from_release
from vidsift.types import TokenSet

FILE = "xclip_similarity"
TOWERS = "drl_agg_e2e"
HEADS = ["meanP", "seqTransf"]
MATRICES = ("_mat_weight", "_logit_weight", "_mat_weight2")


@cache
def fresh(channels: int, head: str, rows: int) -> XClip:
    """Build the method around towers that these tests never run."""
    return XClip(
        tiny.towers(dim=channels),
        temporal="none" if head == "meanP" else "transformer",
        temporal_layers=2,
        max_words=10,
        max_frames=rows,
        padding="included",
    )


def released(file: Any, head: str, *, start: bool = False) -> XClip:
    """Give it the recorded weights; with ``start`` the identities that the released code starts from."""
    weights = file.under(f"{head}.w.")
    matrices = xclip_matrices_from_release(
        {key: weights.pop(key) for key in list(weights) if key.endswith(MATRICES)}
    )
    if start:
        matrices = {key: torch.eye(len(value)) for key, value in matrices.items()}
    frames = len(matrices["interactions.2.frames_first"])
    method = fresh(len(matrices["interactions.0.channels"]), head, frames)
    method.load_state_dict(matrices, strict=False)
    assert {key for key in method.state_dict() if key.startswith("interactions.")} == set(matrices)
    if weights:
        renamed = temporal_weights_from_release(weights)
        method.temporal = TemporalTransformer(64, layers=2, max_frames=len(renamed["positions"]))
        method.temporal.load_state_dict(renamed)
    return method


def start_from_text(method: XClip, clip: dict[str, Tensor]) -> None:
    """Give the transformer across frames what the released one starts from: CLIP's first text blocks."""
    blocks = {
        key.replace("transformer.", "transformerClip.", 1): value
        for key, value in clip.items()
        if key.startswith(("transformer.resblocks.0.", "transformer.resblocks.1."))
    }
    renamed = temporal_weights_from_release(blocks)
    assert isinstance(method.temporal, TemporalTransformer)
    # The recorded positions are the first of CLIP's, never changed.
    torch.testing.assert_close(method.temporal.positions, clip["positional_embedding"][:16], atol=0, rtol=0)
    method.temporal.load_state_dict(renamed | {"positions": method.temporal.positions})


def similarity(method: XClip, sentence: Tensor, words: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    """Score features; padding counts, as released."""
    everything = torch.ones(words.shape[:2], dtype=torch.bool)
    text = {"sentence": TokenSet(sentence, everything[:, :1]), "word": TokenSet(words, everything)}
    counted = torch.ones_like(mask, dtype=torch.bool)
    video = {"video": method.video_set(frames, mask.bool()), "frame": TokenSet(frames, counted)}
    return method.similarity(method.prepare_text(text), method.prepare_video(video))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("start", [False, True])
def test_evaluation_logits(golden: Any, head: str, start: bool) -> None:
    file = golden(FILE)
    method = released(file, head, start=start)
    if start and head == "seqTransf":
        # Recorded before the weights were changed; the CLIP of that run is in another file.
        start_from_text(method, golden(TOWERS).under("clip."))
    sim_QV = similarity(
        method,
        file["in.sequence_output"],
        file["in.seq_features"],
        file["in.visual7"],
        file["in.video_mask7"],
    )
    expected = file[f"{head}.init_logits_5x7" if start else f"{head}.eval_logits_5x7"]
    torch.testing.assert_close(sim_QV * file["in.logit_scale"].exp(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_training_logits_loss_and_gradients(golden: Any, head: str) -> None:
    file = golden(FILE)
    method, scale = released(file, head), file["in.logit_scale"].exp()
    sentence, words, frames = (
        file[f"in.{name}"].clone().requires_grad_() for name in ("sequence_output", "seq_features", "visual5")
    )
    sim_BB = similarity(method, sentence, words, frames, file["in.video_mask5"])
    torch.testing.assert_close(sim_BB * scale, file[f"{head}.train_logits_5x5"], atol=1e-5, rtol=1e-4)
    loss = info_nce(sim_BB, scale)
    torch.testing.assert_close(loss, file[f"{head}.train_loss"], atol=1e-5, rtol=1e-5)
    torch.autograd.backward(loss)
    for leaf, name in ((sentence, "sent"), (words, "words"), (frames, "visual")):
        torch.testing.assert_close(leaf.grad, file[f"{head}.grad_{name}"], atol=1e-6, rtol=1e-4)


def test_attention_over_the_similarity_matrix_alone(golden: Any) -> None:
    file = golden(FILE)
    interaction = released(file, "meanP").terms[3].interaction
    assert isinstance(interaction, SimilarityAttention)
    words, frames = file["aosm.word_features_normed"], file["aosm.frame_features_normed"]
    torch.testing.assert_close(words, normalize(words, dim=-1))
    text = TokenSet(words, torch.ones(words.shape[:2], dtype=torch.bool))
    video = TokenSet(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
    sim_QV = interaction.score(interaction.prepare_text(text), interaction.prepare_video(video))
    torch.testing.assert_close(sim_QV, file["aosm.out_5x7"], atol=1e-6, rtol=1e-5)


def test_padded_words_change_the_released_score_and_not_ours(golden: Any) -> None:
    file = golden(FILE)
    method, mask = released(file, "meanP"), file["in.attention_mask"].bool()
    assert not bool(mask.all())
    words = file["in.seq_features"]
    changed = torch.where(mask[..., None], words, torch.randn(words.shape))
    interaction = method.terms[3].interaction
    frames = file["in.visual7"]
    video = interaction.prepare_video(TokenSet(frames, file["in.video_mask7"].bool()))
    for counted, moves in ((torch.ones_like(mask), True), (mask, False)):
        before, after = (
            interaction.score(interaction.prepare_text(TokenSet(tokens, counted)), video)
            for tokens in (words, changed)
        )
        assert torch.equal(before, after) is not moves


def test_every_recorded_value_is_used(golden: Any, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
