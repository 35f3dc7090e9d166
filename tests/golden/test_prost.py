"""ProST's released heads, decoders, masks and matching: every recorded value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.methods import tiny

from vidsift.encoders.clip import end_of_text
from vidsift.methods.prost import Prost, VideoMaps, adaptive_window, prost_weights_from_release
from vidsift.types import TokenSet

if TYPE_CHECKING:
    from tests.golden.conftest import Golden

FILE = "prost"


def released(file: Any) -> tuple[Prost, list[str]]:
    """Build a method of the recorded sizes with the recorded weights; the towers are not asked."""
    weights, dead = prost_weights_from_release(file.under("w."))
    dim = file["in.frame_tokens"].shape[-1]
    layers = {
        side: 1 + max(int(key.split(".")[2]) for key in weights if key.startswith(f"{side}_decoder.layers."))
        for side in ("frame", "event")
    }
    method = Prost(
        tiny.towers(dim=dim),
        objects=weights["object_head.shares.2.bias"].numel() + 1,
        phrases=weights["phrase_head.shares.2.bias"].numel(),
        events=len(weights["event_decoder.queries"]),
        max_frames=len(weights["frame_decoder.queries"]),
        frame_layers=layers["frame"],
        event_layers=layers["event"],
        padding="included",
    ).eval()
    missing, unexpected = method.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(key.startswith("towers.") for key in missing)
    return method, dead


def videos(file: Any) -> tuple[torch.Tensor, torch.Tensor, VideoMaps]:
    objects, events, maps = released(file)[0].prototypes(
        file["in.frame_tokens"], torch.ones_like(file["in.video_mask"], dtype=torch.bool)
    )
    return objects, events, maps


def phrases(file: Any) -> torch.Tensor:
    """Phrases of the full-length texts, padding included as it was there."""
    words = file["in.word_tokens"]
    phrases: torch.Tensor = released(file)[0].phrase_head(
        words, torch.ones(words.shape[:2], dtype=torch.bool)
    )[0]
    return phrases


def whole(tokens: torch.Tensor) -> TokenSet:
    return TokenSet(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


def test_dead_weights_are_known(golden: Golden) -> None:
    file = golden(FILE)
    _, dead = released(file)
    assert {key.split(".")[4] for key in dead} == {"self_attn", "self_attn_vis"}
    assert not any(key.startswith("event_decoder") and ".self_attn." in key for key in dead)


def test_an_unknown_weight_is_named() -> None:
    some = torch.zeros(1)
    strange = "event_decoder.event_decoder.layers.0.norm6.bias"
    with pytest.raises(ValueError, match=f"not part of a released ProST: event_decoder.W, {strange}, what"):
        prost_weights_from_release({"what": some, strange: some, "event_decoder.W": some})


@torch.inference_mode()
def test_object_and_event_prototypes(golden: Golden) -> None:
    file = golden(FILE)
    objects, events, maps = videos(file)
    torch.testing.assert_close(objects, file["out.object_prototypes"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(events, file["out.event_prototypes"], atol=1e-5, rtol=1e-5)
    assert torch.equal(objects[:, :, 0], file["in.frame_tokens"][:, :, 0])
    # The maps are what the prototypes were made with.
    mixed = maps.objects.transpose(-1, -2) @ file["in.frame_tokens"]
    torch.testing.assert_close(mixed, objects[:, :, 1:])
    for attention in (maps.frames, maps.events):
        torch.testing.assert_close(attention.sum(dim=-1), torch.ones(attention.shape[:-1]))


@torch.inference_mode()
def test_phrases_and_the_sentence(golden: Golden) -> None:
    file = golden(FILE)
    torch.testing.assert_close(phrases(file), file["out.phrase_prototypes"], atol=1e-5, rtol=1e-5)
    sentence = end_of_text(file["in.word_tokens"], file["in.text_mask"].bool())
    assert torch.equal(sentence[:, 0], file["out.sentence"])


@torch.inference_mode()
def test_the_logits_are_the_terms_unscaled(golden: Golden) -> None:
    file = golden(FILE)
    method, _ = released(file)
    objects, events, _ = videos(file)
    sentence = end_of_text(file["in.word_tokens"], file["in.text_mask"].bool())
    text = method.prepare_text({"phrase": whole(phrases(file)), "sentence": whole(sentence)})
    video = method.prepare_video({"object": whole(objects.flatten(1, 2)), "event": whole(events)})
    scores = method.term_scores(text, video)
    expected = {"phrase-object": "object_phrase", "sentence-event": "event_sentence"}
    assert set(scores) == set(expected)
    for name, recorded in expected.items():
        torch.testing.assert_close(scores[name], file[f"out.{recorded}_logits"], atol=1e-5, rtol=1e-5)
    total = file["out.object_phrase_logits"] + file["out.event_sentence_logits"]
    torch.testing.assert_close(method.similarity(text, video), total, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("frames", "columns", "window"), [(4, 20, 0.2), (12, 144, 0.2), (12, 144, 0.5)])
def test_adaptive_masks(golden: Golden, frames: int, columns: int, window: float) -> None:
    seen = adaptive_window(torch.ones(1, frames, dtype=torch.bool), columns // frames, window)
    assert torch.equal(~seen[0], golden(FILE)[f"out.adaptive_mask_L{frames}_M{columns}_{window}"])


def test_every_recorded_value_is_used(golden: Golden, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE)
