"""The model: what it encodes, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods import tiny
from transformers import CLIPModel, CLIPTokenizer

from vidsift.encoders.pixels import PixelNorm
from vidsift.errors import VideoReadError
from vidsift.methods.model import Model, load
from vidsift.types import Span


@pytest.fixture
def model() -> Model:
    return tiny.model("drl", {"temporal": "none"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "saved"


# Text


def test_texts_come_back_in_their_order_cut_to_the_longest(model: Model) -> None:
    words = model.encode_text(tiny.CAPTIONS)["word"]
    lengths = model.tokenize(tiny.CAPTIONS).mask.sum(dim=1)
    assert lengths.tolist() != sorted(lengths.tolist())
    assert torch.equal(words.mask.sum(dim=1), lengths)
    assert words.tokens.shape == (len(tiny.CAPTIONS), int(lengths.max()), model.method.towers.dim)
    for row, caption in enumerate(tiny.CAPTIONS):
        alone = model.encode_text([caption])["word"]
        length = int(lengths[row])
        torch.testing.assert_close(words.tokens[row, :length], alone.tokens[0], atol=1e-6, rtol=1e-5)
        assert words.weights is not None
        assert alone.weights is not None
        torch.testing.assert_close(words.weights[row, :length], alone.weights[0], atol=1e-6, rtol=1e-5)


def test_batches_of_text_change_nothing_but_rounding(model: Model) -> None:
    done: list[int] = []
    few = model.encode_text(tiny.CAPTIONS, most_tokens=8, progress=done.append)["word"]
    all_at_once = model.encode_text(tiny.CAPTIONS)["word"]
    assert len(done) > 1
    assert sum(done) == len(tiny.CAPTIONS)
    torch.testing.assert_close(few.tokens, all_at_once.tokens, atol=1e-6, rtol=1e-5)


def test_features_can_be_trained_on(model: Model) -> None:
    """They are made in inference mode, but handed out as ordinary tensors."""
    words = model.encode_text(["a red circle"])["word"].tokens
    factor = torch.ones(1, requires_grad=True)
    torch.autograd.backward((words * factor).sum())
    assert factor.grad is not None


def test_encoding_leaves_a_training_model_in_training(model: Model) -> None:
    model.method.train()
    model.encode_text(["a red circle"])
    assert model.method.training


@pytest.mark.parametrize("texts", [[], [""], ["a red circle", "  "]])
def test_no_text_and_empty_text_are_refused(model: Model, texts: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        model.encode_text(texts)


def test_one_string_is_not_taken_for_a_list_of_letters(model: Model) -> None:
    with pytest.raises(ValueError, match=r"\['a red circle'\]"):
        model.encode_text("a red circle")


def test_a_long_text_is_cut_and_says_so(model: Model) -> None:
    tokenized = model.tokenize(["circle " * 50])
    assert tokenized.cut == [True]
    assert tokenized.ids.shape == (1, model.max_words)
    assert tokenized.ids[0, -1] == model.tokenizer.end_id


# Video


def test_frames_carry_their_times_and_places(model: Model) -> None:
    pixels, times = tiny.videos([2, 4])
    frames = model.encode_frames(pixels, times)["frame"]
    assert frames.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert frames.times_seconds is not None
    assert frames.times_seconds.dtype == torch.float64
    assert frames.times_seconds[0, :2].tolist() == times[0].tolist()
    assert frames.times_seconds[1].tolist() == times[1].tolist()
    assert frames.frame is not None
    assert frames.frame[1].tolist() == [0, 1, 2, 3]


def test_batches_of_video_change_nothing_but_rounding(model: Model) -> None:
    pixels, times = tiny.videos([2, 4, 1, 3, 5])
    done: list[int] = []
    few = model.encode_frames(pixels, times, batch_size=2, progress=done.append)["frame"]
    all_at_once = model.encode_frames(pixels, times)["frame"]
    assert done == [2, 2, 1]
    assert torch.equal(few.mask, all_at_once.mask)
    torch.testing.assert_close(few.tokens, all_at_once.tokens, atol=1e-6, rtol=1e-5)


def test_the_released_rule_of_padding_pads_to_full_width() -> None:
    model = tiny.model("drl", {"interaction": "ti", "padding": "zero", "temporal": "none"})
    pixels, times = tiny.videos([2])
    assert model.encode_frames(pixels, times)["frame"].mask.tolist() == [[True] * 2 + [False] * 3]
    assert model.tokenize(["circle"]).ids.shape == (1, tiny.MAX_WORDS)
    words = model.encode_text(["circle"])["word"]
    assert words.mask.shape == (1, tiny.MAX_WORDS)
    assert words.mask.sum() == model.tokenize(["circle"]).mask.sum() < tiny.MAX_WORDS


def test_pictures_that_do_not_fit_are_refused(model: Model) -> None:
    pixels, times = tiny.videos([2, 3])
    with pytest.raises(ValueError, match="no videos given"):
        model.encode_frames([], [])
    with pytest.raises(ValueError, match="pictures of 2 videos but times of 1"):
        model.encode_frames(pixels, times[:1])
    with pytest.raises(ValueError, match="video 1 has pictures of shape"):
        model.encode_frames(pixels, [times[0], times[1][:2]])
    with pytest.raises(ValueError, match="video 0 has pictures of shape"):
        model.encode_frames([pixels[0][:0]], [times[0][:0]])
    with pytest.raises(ValueError, match="crop them alike"):
        model.encode_frames([pixels[0], pixels[1][:, :8]], times)
    with pytest.raises(ValueError, match="resize and crop"):
        model.encode_frames([pixels[0][:, :8]], times[:1])


def test_video_files_are_read_as_the_model_reads(model: Model, media: Callable[[str], Path]) -> None:
    path = media("video7500.mp4")
    frames = model.encode_video([path, path], spans=[None, Span(2.0, 4.0)])["frame"]
    assert frames.times_seconds is not None
    assert frames.mask.all()
    assert frames.tokens.shape[:2] == (2, tiny.FRAMES)
    assert bool((frames.times_seconds.diff(dim=1) > 0).all())
    assert frames.times_seconds[1].min() >= 2.0 - 0.4
    assert frames.times_seconds[1].max() < 4.0
    sim = model.similarity(tiny.CAPTIONS[:2], [path])
    assert sim.shape == (2, 1)


def test_an_unreadable_video_is_named(model: Model, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    with pytest.raises(VideoReadError, match=r"broken\.mp4"):
        model.encode_video([broken])
    with pytest.raises(ValueError, match="no video files given"):
        model.encode_video([])
    with pytest.raises(ValueError, match="pass a list of paths"):
        model.encode_video(str(broken))
    with pytest.raises(ValueError, match="2 paths but 1 spans"):
        model.encode_video([broken, broken], spans=[None])


def test_similarity_in_blocks_is_similarity(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, times = tiny.videos([2, 4, 1, 3, 5])
    text, video = model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times)
    whole = model.similarity(text, video)
    monkeypatch.setattr("vidsift.methods.model._TEXTS_AT_ONCE", 2)
    monkeypatch.setattr("vidsift.methods.model._VIDEOS_AT_ONCE", 3)
    torch.testing.assert_close(model.similarity(text, video), whole, atol=1e-6, rtol=1e-5)


# The names that other libraries have for the same


def test_the_usual_names_are_the_same_methods(model: Model, folder: Path) -> None:
    assert Model.encode_query is Model.encode_text
    assert Model.encode_document is Model.encode_video
    assert Model.save_pretrained is Model.save
    model.save_pretrained(folder)
    again = Model.from_pretrained(folder, device="cpu", precision="fp32")
    assert again.fingerprint == model.fingerprint
    assert torch.equal(
        again.encode_query(["circle"])["word"].tokens, model.encode_text(["circle"])["word"].tokens
    )


@pytest.mark.parametrize("method", ["drl", "xpool"])
def test_pairs_score_what_they_score_among_all(method: str) -> None:
    model = tiny.model(method)
    pixels, times = tiny.videos([2, 4, 1, 3, 5])
    text, video = model.encode_query(tiny.CAPTIONS), model.encode_frames(pixels, times)
    pairs = model.similarity_pairwise(text, video)
    assert pairs.shape == (5,)
    torch.testing.assert_close(pairs, model.similarity(text, video).diagonal(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model.similarity_pairwise(tiny.CAPTIONS, video), pairs)
    some = {name: tokens[:3] for name, tokens in video.items()}
    with pytest.raises(ValueError, match="5 texts but 3 videos; give one video for each text"):
        model.similarity_pairwise(text, some)


# Parts that do not fit


def test_a_reading_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pictures of 32 px, the image tower takes 16 px"):
        Model.create("zero_shot", tiny.towers(), tiny.tokenizer(), PixelNorm(32))


@pytest.mark.parametrize("max_words", [2, tiny.MAX_WORDS + 1])
def test_a_longest_text_that_the_tower_cannot_take_is_refused(max_words: int) -> None:
    with pytest.raises(ValueError, match=f"max_words is {max_words}"):
        Model.create(
            "zero_shot", tiny.towers(), tiny.tokenizer(), PixelNorm(tiny.SIZE_PX), max_words=max_words
        )


def test_the_backbone_is_a_clip_that_transformers_loads(model: Model, tmp_path: Path) -> None:
    model.save_backbone(tmp_path)
    clip = CLIPModel.from_pretrained(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    ids = torch.tensor(tokenizer(["a red circle"])["input_ids"])
    assert ids.tolist() == model.tokenize(["a red circle"]).ids.tolist()
    pixels, times = tiny.videos([1])
    pictures = model.norm(torch.from_numpy(pixels[0]))
    plain = load(tmp_path, device="cpu", frames=tiny.FRAMES)
    assert plain.method_name == "zero_shot"
    with torch.inference_mode():
        expected = clip.get_image_features(pictures).pooler_output
        words = clip.get_text_features(ids).pooler_output
    sentence = torch.nn.functional.normalize(words, dim=-1)
    frame = torch.nn.functional.normalize(expected, dim=-1)
    actual = plain.similarity(["a red circle"], plain.encode_frames(pixels, times))
    torch.testing.assert_close(actual, sentence @ frame.t(), atol=1e-5, rtol=1e-5)


def test_wanted_times_follow_the_reading(model: Model) -> None:
    times = model.wanted_times(Span(10.0, 20.0))
    assert times.tolist() == [11.0, 13.0, 15.0, 17.0, 19.0]
    assert times.dtype == np.float64
