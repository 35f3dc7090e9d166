"""Pointing in the picture: maps of words, and maps of sentences over frames and patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.methods import tiny
from tests.search import grounded

from vidsift.data.entries import Entry
from vidsift.data.folder import read_folder
from vidsift.data.grounding import Box, GroundedWord
from vidsift.evaluation.evaluate import encode_gallery
from vidsift.evaluation.grounding import WordAccount
from vidsift.methods.base import Term
from vidsift.methods.model import Model
from vidsift.search.grounded_captions import grounded_captions
from vidsift.search.grounding_evaluation import evaluate_grounding
from vidsift.search.grounding_pictures import PictureShapes, sentences_in_picture, words_in_picture
from vidsift.shapes.library import write_library
from vidsift.types import Features, Span
from vidsift.video import read_frames


def word(*boxes: Box) -> GroundedWord:
    return GroundedWord("star", 0, 4, "appearance", (Span(0.0, 9.0),), boxes)


def test_a_place_is_right_where_the_thing_is_in_any_frame() -> None:
    # It moves along the upper row of 2 x 3 places: two of six are right.
    star = word(Box(0.0, 0.0, 0.0, 0.3, 0.4), Box(1.0, 0.4, 0.0, 0.6, 0.4), Box(5.0, 0.7, 0.0, 0.9, 0.4))
    account = WordAccount(
        evidence=np.zeros((3, 2)),
        gave=np.zeros(3),
        rest={},
        times_seconds=np.array([0.1, 0.9]),
        places=np.array([[0, 5, 1, 1, 1, 1], [0, 1, 2, 2, 0, 0], [9, 0, 0, 0, 0, 0]], float),
        grid=(2, 3),
    )
    another = np.array([0.25, 0, 0.25, 0.5, 0, 0])
    judged = words_in_picture(account, [star, star, None], 1.0, another)
    assert [of.other_caption for of in judged] == [0.25, 0.25]
    assert [of.pointed for of in judged] == [1.0, 0.0]
    assert [of.chance for of in judged] == pytest.approx([1 / 3, 1 / 3])
    # Places that the model does not keep are no candidates, for it and for chance.
    assert account.places is not None
    some = np.where([True, False, True, True, False, False], account.places, np.nan)
    judged = words_in_picture(replace(account, places=some), [star, None, None], 1.0)
    assert [of.pointed for of in judged] == [0.0]
    assert [of.chance for of in judged] == pytest.approx([1 / 3])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("pictures")
    write_library(folder, videos=4, size_px=32, frames_per_second=4, captions_per_video=1, workers=1)
    made_up = grounded.entries()
    return [
        replace(entry, captions=other.captions[:1], grounding=other.grounding[:1], group="")
        for entry, other in zip(read_folder(folder), made_up, strict=True)
    ]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("ts2net", {"temporal_layers": 1}), ("prost", {"objects": 4, "phrases": 5})],
)
def test_a_sentence_points_to_the_frame_and_patch_that_gave_most(
    method: str, arguments: dict[str, int], clips: list[Entry]
) -> None:
    model = tiny.model(method, arguments)
    gallery = encode_gallery(model, clips, workers=0)
    captions = grounded_captions(gallery)
    others = [None, captions[2], captions[3], captions[0]]
    judged = list(sentences_in_picture(model, gallery, captions, others))
    (set_name,) = model.method.traced_sets
    term = next(term for term in model.method.terms if term.video == set_name)
    for row, (caption, of) in enumerate(zip(captions, judged, strict=True)):
        frames = read_frames(clips[row].path, model.wanted_times(Span(0.0, 4.0)), size_px=tiny.SIZE_PX)
        shares = model.patch_shares(frames)[set_name].shares[0].numpy()
        video = {name: tokens[row : row + 1] for name, tokens in gallery.videos.items()}
        other = others[row]
        best, best_of_other = (
            _best_patches(model, term, sentence, video, shares)
            for sentence in (caption.sentence, caption.sentence if other is None else other.sentence)
        )
        # The left upper quarter is right where a box is near the frame: at 0.5, 1.5, 2.5 and 3.5 s.
        near = np.abs(frames.times_seconds[:, None] - np.array([0.5, 1.5, 2.5, 3.5])).min(axis=1) <= 0.3
        quarter = np.zeros((4, 4), bool)
        quarter[:2, :2] = True
        right = near[:, None] & quarter.reshape(-1)
        assert 0 < near.sum() < tiny.FRAMES
        (pointed,) = of
        assert pointed.chance == pytest.approx(right.mean())
        assert pointed.pointed == pytest.approx((best & right).sum() / best.sum(), abs=1e-6)
        if other is None:
            assert pointed.other_caption is None
        else:
            expected = (best_of_other & right).sum() / best_of_other.sum()
            assert pointed.other_caption == pytest.approx(expected, abs=1e-6)


def _best_patches(
    model: Model, term: Term, sentence: str, video: Features, shares: NDArray[np.float32]
) -> NDArray[np.bool_]:
    with torch.inference_mode():
        account = model.method.align(model.encode_text([sentence]), video)[term.name]
    gave = account.contributions[0].sum(dim=0).numpy()
    given = np.zeros((tiny.FRAMES, shares.shape[1]))
    for token, number in enumerate(np.arange(len(gave)) // (len(gave) // tiny.FRAMES)):
        given[number] += gave[token] * shares[token].round(4)
    return np.asarray(given == given.max())


def test_the_report_says_whose_maps_they_are(clips: list[Entry]) -> None:
    model = tiny.model("ts2net", {"temporal_layers": 1})
    report = evaluate_grounding(model, encode_gallery(model, clips, workers=0))
    assert report["picture_of"] == "sentences"
    assert report["picture"]["pointing"]["of"] == report["picture"]["other_caption"]["of"] == 4


def test_shapes_of_pictures_are_read_from_the_files(clips: list[Entry]) -> None:
    shapes = PictureShapes([clips[0], Entry(Path("/not/there.mp4"), ("a",))])
    assert shapes.aspect(0) == 1.0
