"""Shapes 2 as a source: batches drawn anew or of a set, and validation clips with their grounding."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from vidsift.data.catalog import check_data
from vidsift.data.folder import read_folder
from vidsift.data.shapes2 import Shapes2
from vidsift.data.source import PlannedStage
from vidsift.shapes.clip_library import write_clip_library
from vidsift.shapes.clip_stream import clip_batch
from vidsift.video.preprocessing import Preprocessing

LOOK = Preprocessing(frames=3, sampling="uniform", size_px=16, mean=(0.5,) * 3, std=(0.5,) * 3)


def source(**values: object) -> Shapes2:
    checked = check_data({"source": "shapes2-stream", "batch_size": 8, "captions_each": 2, **values})
    assert isinstance(checked, Shapes2)
    return checked


def stages(data: Shapes2) -> list[PlannedStage]:
    return [PlannedStage(data.stage(name="all"), 0, 10, 3, 8)]


def test_batches_are_drawn_anew() -> None:
    data = source(jitter=0.0, tags=["order", "detail"])
    maker = data.batches(stages(data), LOOK, 5)
    batch, expected = maker(2), clip_batch(5, 2, 8, 3, 16, captions_each=2, tags=("order", "detail"))
    np.testing.assert_array_equal(batch.pixels, expected.pixels)
    np.testing.assert_array_equal(batch.times_seconds, expected.times_seconds)
    assert batch.captions == expected.captions
    assert list(batch.rows) == list(range(16, 24))
    assert batch.pixels.nbytes <= maker.most_bytes
    again = pickle.loads(pickle.dumps(maker))(2)
    assert again.captions == batch.captions


def test_batches_of_a_set_have_the_times_of_their_clips(tmp_path: Path) -> None:
    data = source(jitter=0.0, clips=16, cache=str(tmp_path))
    batch = data.batches(stages(data), LOOK, 0)(1)
    assert batch.pixels.shape == (8, 3, 16, 16, 3)
    assert batch.mask.all()
    assert len(set(batch.times_seconds[:, 0])) == 2
    assert len(batch.captions) == 16
    assert data.epoch().items == 16
    assert [path.name[:10] for path in tmp_path.iterdir()] == ["shapes2-16"]


def test_what_is_validated_on_is_what_a_written_library_says(tmp_path: Path) -> None:
    data = source()
    validation = data.validation_set("val", 4, LOOK)
    write_clip_library(tmp_path, "val", 4, 0, size_px=16, frames_per_second=2, workers=1)
    written = read_folder(tmp_path)
    for entry, other in zip(validation.entries, written, strict=True):
        assert (entry.captions, entry.grounding, entry.moments) == (
            other.captions, other.grounding, other.moments
        )  # fmt: skip
        assert (entry.tag, entry.group, entry.split) == (other.tag, other.group, other.split)
    assert validation.frames is not None
    assert all(len(frames) == 3 for frames in validation.frames)


def test_a_vocabulary_is_learned_from_sentences_or_paragraphs() -> None:
    sentences, paragraphs = source().sentences(0, 8), source(paragraphs=True).sentences(0, 8)
    assert len(set(sentences)) == 8
    assert sum(map(len, paragraphs)) > sum(map(len, sentences))
