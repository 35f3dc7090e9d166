"""What X-CLIP adds to a method: four granularities of two sets a side, in scores, index and search."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format

from vidsift.index.encode import sets_of
from vidsift.interactions.similarity_attention import SimilarityAttention
from vidsift.methods.model import Model
from vidsift.methods.xclip import XClip

COUNTS = [5, 1, 3, 5, 4, 5, 2]
QUERY = "a red circle moves left"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model("xclip", {"temporal_layers": 1})


def test_four_terms_weigh_the_same_and_share_two_sets_a_side(model: Model) -> None:
    method = model.method
    assert [term.name for term in method.terms] == [
        "sentence-video",
        "word-video",
        "sentence-frame",
        "word-frame",
    ]
    assert {term.weight for term in method.terms} == {0.25}
    text, video = model.encode_text([QUERY]), model.encode_frames(*tiny.videos([3]))
    with torch.inference_mode():
        terms = method.term_scores(text, video)
    torch.testing.assert_close(model.similarity(text, video), torch.stack(list(terms.values())).mean(dim=0))
    assert set(text) == {"sentence", "word"}
    assert set(video) == {"video", "frame"}
    torch.testing.assert_close(text["word"].tokens[:, -1:], text["sentence"].tokens)


def test_matrices_start_as_identities_that_change_nothing() -> None:
    method = XClip(tiny.towers(), max_words=6, max_frames=7)
    names = {name: tuple(value.shape) for name, value in method.interactions.named_parameters()}
    assert names == {
        "0.channels": (16, 16),
        "1.words_first": (6, 6),
        "2.frames_first": (7, 7),
        "3.channels": (16, 16),
        "3.words_first": (6, 6),
        "3.frames_first": (7, 7),
        "3.words_last": (6, 6),
        "3.frames_last": (7, 7),
    }
    for value in method.interactions.parameters():
        assert torch.equal(value, torch.eye(len(value)))
    whole = XClip(tiny.towers()).terms[1].interaction
    assert isinstance(whole, SimilarityAttention)
    assert whole.words_first is not None
    assert len(whole.words_first) == tiny.MAX_WORDS


def test_frames_meet_words_as_they_were_before_the_head(model: Model) -> None:
    method = model.method
    assert isinstance(method, XClip)
    pixels, times = tiny.videos([4])
    pictures = model.norm(torch.from_numpy(pixels[0][None]))
    mask = torch.ones(1, 4, dtype=torch.bool)
    with torch.inference_mode():
        classes = method.towers.encode_frame_classes(pictures, mask)
        video = method.video_features(pictures, mask, torch.from_numpy(times[0][None]))
        passed = torch.nn.functional.normalize(method.temporal(classes, mask), dim=-1)
    assert torch.equal(video["frame"].tokens, classes)
    torch.testing.assert_close(video["video"].tokens, passed.mean(dim=1, keepdim=True))
    assert video["video"].times_seconds is None


def test_included_padding_counts_as_tokens_with_the_last_frame_s_time() -> None:
    model = tiny.model("xclip", {"temporal_layers": 1, "padding": "included"})
    text, video = model.encode_text(["circle"]), model.encode_frames(*tiny.videos([2]))
    assert bool(text["word"].mask.all())
    assert text["word"].tokens.shape[1] == tiny.MAX_WORDS
    assert bool((text["word"].tokens.norm(dim=-1) > 0.99).all())
    times = video["frame"].times_seconds
    assert times is not None
    assert times.tolist() == [[0.5, 1.5, 1.5, 1.5, 1.5]]
    excluding = tiny.model("xclip", {"temporal_layers": 1})
    plain = excluding.similarity(["circle"], excluding.encode_frames(*tiny.videos([2])))
    assert (model.similarity(text, video) - plain).abs().item() > 1e-3


def test_texts_longer_than_the_attention_are_refused() -> None:
    model = tiny.model("xclip", {"temporal_layers": 1, "max_words": 4})
    video = model.encode_frames(*tiny.videos([2]))
    with pytest.raises(ValueError, match=r"tokens, this attention knows 4; use shorter texts \(max_words\)"):
        model.similarity([QUERY], video)


def test_features_encoded_under_bf16_autocast_are_fp32_and_score_nearly_the_same(model: Model) -> None:
    pixels, times = tiny.videos([4])
    text = model.tokenize([QUERY])
    pictures = model.norm(torch.from_numpy(pixels[0][None]))
    mask, seconds = torch.ones(1, 4, dtype=torch.bool), torch.from_numpy(times[0][None])
    scores = []
    for enabled in (False, True):
        with torch.inference_mode():
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                words = model.method.text_features(text.ids, text.mask)
                frames = model.method.video_features(pictures, mask, seconds)
            assert all(
                token_set.tokens.dtype == torch.float32 for token_set in (*words.values(), *frames.values())
            )
            words, frames = model.method.prepare_text(words), model.method.prepare_video(frames)
            scores.append(model.method.similarity(words, frames))
    torch.testing.assert_close(scores[1], scores[0], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("padding", ["excluded", "included"])
def test_a_search_scores_explains_and_finds_moments(padding: str, tmp_path: Path) -> None:
    model = tiny.model("xclip", {"temporal_layers": 1, "padding": padding})
    store = filled(tmp_path / "index", model, COUNTS)
    layout = sets_of(model)
    assert (layout["video"].slots, layout["video"].parts) == (1, ())
    assert (layout["frame"].slots, layout["frame"].parts) == (tiny.FRAMES, ("times_seconds", "frame"))
    for account in search_in_every_format(model, store, QUERY, k=4).accounts:
        assert account.terms[0].times_seconds is None
        assert account.terms[3].times_seconds is not None
