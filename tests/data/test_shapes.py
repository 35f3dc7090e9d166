"""Splits, files and streams of the Shapes world."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from vidsift.data.shapes import clip_times, draw_split, render, stream, stream_batch, write_library
from vidsift.shapes.world import TAGS


def test_no_two_videos_of_the_test_split_share_a_caption() -> None:
    clips = draw_split("test", 160, seed=0)
    texts = [text for clip in clips for text in clip.captions]
    assert len(texts) == len(set(texts)) == 480


def test_tags_and_unseen_combinations_keep_their_shares() -> None:
    clips = draw_split("test", 160, seed=0)
    assert Counter(clip.scene.tag for clip in clips) == dict.fromkeys(TAGS, 40)
    for tag in TAGS:
        share = np.mean([bool(clip.unseen) for clip in clips if clip.scene.tag == tag])
        assert 0.25 <= share <= 0.5
    assert not any(clip.unseen for clip in draw_split("val", 32, seed=0))


def test_splits_and_seeds_differ_and_repeat() -> None:
    assert draw_split("val", 16, seed=1) == draw_split("val", 16, seed=1)
    assert draw_split("val", 16, seed=1) != draw_split("val", 16, seed=2)
    val = {clip.scene for clip in draw_split("val", 16, seed=1)}
    assert not val & {clip.scene for clip in draw_split("train", 16, seed=1)}


def test_a_longer_split_begins_with_the_shorter() -> None:
    assert draw_split("test", 16, seed=3) == draw_split("test", 32, seed=3)[:16]


def test_odd_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="videos is 10: expected a multiple of 4"):
        draw_split("test", 10)
    with pytest.raises(ValueError, match="split 'dev'"):
        draw_split("dev", 8)
    with pytest.raises(ValueError, match="batch is 6: expected a multiple of 4"):
        stream_batch(0, 0, batch=6)
    with pytest.raises(ValueError, match="even"):
        write_library(tmp_path, videos=4, size_px=63)


def test_files_show_the_scenes_and_are_the_same_each_time(tmp_path: Path) -> None:
    clips = write_library(tmp_path / "a", "test", 8, seed=0, size_px=64, workers=1)
    write_library(tmp_path / "b", "test", 8, seed=0, size_px=64, workers=2)
    rows = [json.loads(line) for line in (tmp_path / "a" / "captions.jsonl").read_text().splitlines()]
    assert [row["video"] for row in rows] == [clip.name for clip in clips]
    assert [tuple(row["captions"]) for row in rows] == [clip.captions for clip in clips]
    assert json.loads((tmp_path / "a" / "shapes.json").read_text())["videos"] == 8
    for clip in clips:
        path = tmp_path / "a" / clip.name
        assert path.read_bytes() == (tmp_path / "b" / clip.name).read_bytes()
        with av.open(str(path)) as container:
            pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert len(pictures) == 48
        drawn = render(clip.scene, np.arange(48) / 12, 64)
        assert np.abs(np.array(pictures, dtype=float) - drawn).mean() < 8


def test_names_can_be_spoken(tmp_path: Path) -> None:
    clips = write_library(tmp_path, "test", 4, seed=0, size_px=32, workers=1, spoken_names=True)
    for clip in clips:
        thing = clip.scene.things[0]
        assert thing.colour in clip.name
        assert " " not in clip.name
        assert (tmp_path / clip.name).is_file()


def test_the_stream_resumes_where_it_was() -> None:
    all_four = list(itertools.islice(stream(5, 8, 2, 16), 4))
    last_two = list(itertools.islice(stream(5, 8, 2, 16, start_step=2), 2))
    for one, two in zip(all_four[2:], last_two, strict=True):
        assert np.array_equal(one.pixels, two.pixels)
        assert one.captions == two.captions
    assert all_four[0].captions != all_four[1].captions
    assert all_four[0].pixels.shape == (8, 2, 16, 16, 3)


def test_a_worker_renders_the_same_batches() -> None:
    here = list(itertools.islice(stream(5, 8, 2, 16, captions_each=2), 2))
    there = list(itertools.islice(stream(5, 8, 2, 16, captions_each=2, workers=1), 2))
    for one, two in zip(here, there, strict=True):
        assert np.array_equal(one.pixels, two.pixels)
        assert one.captions == two.captions
        assert len(one.captions) == 16


def test_clip_times() -> None:
    assert clip_times(4).tolist() == [0.5, 1.5, 2.5, 3.5]
