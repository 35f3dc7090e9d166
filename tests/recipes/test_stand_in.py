"""The stand-in for MSR-VTT is read as MSR-VTT is, and the small CLIP as CLIPs are."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes.stand_in import write_msrvtt, write_small_clip
from tests.recipes.test_recipes import SMALL

from vidsift.data.catalog import open_source
from vidsift.methods.model import load


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand-in")
    captions = write_msrvtt(folder, training=8, test=4, captions=2, size_px=16)
    write_small_clip(folder / "clip", captions, SMALL)
    return folder


def test_it_has_the_splits_of_msrvtt(home: Path) -> None:
    source = open_source("msrvtt", str(home / "videos"), str(home / "annotations"))
    by_split = {split: source.entries(split) for split in ("9k", "7k", "1k-A", "train", "validate", "test")}
    assert {split: len(entries) for split, entries in by_split.items()} == {
        "9k": 8, "7k": 6, "1k-A": 4, "train": 7, "validate": 1, "test": 4,
    }  # fmt: skip
    assert all(entry.path.is_file() for entries in by_split.values() for entry in entries)
    assert {len(entry.captions) for entry in by_split["9k"]} == {2}
    assert {len(entry.captions) for entry in by_split["1k-A"]} == {1}
    trained = {entry.id for entry in by_split["9k"]}
    assert not trained & {entry.id for entry in by_split["1k-A"]}
    sentences = [caption for entry in by_split["9k"] for caption in entry.captions]
    assert len(set(sentences)) == 16  # none holds of two videos


def test_the_small_clip_is_one(home: Path) -> None:
    model = load(home / "clip", "cpu")
    texts = model.encode_text(["a red disc moves left", "a blue square"])
    videos = model.encode_video([home / "videos" / "video0.mp4"])
    assert model.similarity(texts, videos).shape == (2, 1)
