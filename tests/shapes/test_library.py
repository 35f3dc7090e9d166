"""Splits of the Shapes world, and their files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import pytest

from vidsift.data.folder import read_folder
from vidsift.shapes.library import draw_split, split_of_library, write_library
from vidsift.shapes.render import render
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
    with pytest.raises(ValueError, match="captions_per_video is 0: expected at least 1"):
        draw_split("test", 8, captions_per_video=0)
    with pytest.raises(ValueError, match="even"):
        write_library(tmp_path, videos=4, size_px=63)


def test_files_show_the_scenes_and_are_the_same_each_time(tmp_path: Path) -> None:
    clips = write_library(tmp_path / "a", "test", 8, seed=0, size_px=64, workers=1)
    write_library(tmp_path / "b", "test", 8, seed=0, size_px=64, workers=2)
    rows = [json.loads(line) for line in (tmp_path / "a" / "captions.jsonl").read_text().splitlines()]
    assert [row["video"] for row in rows] == [clip.name for clip in clips]
    assert [tuple(row["captions"]) for row in rows] == [clip.captions for clip in clips]
    assert {row["split"] for row in rows} == {"test"}
    assert json.loads((tmp_path / "a" / "shapes.json").read_text())["videos"] == 8
    for clip in clips:
        path = tmp_path / "a" / clip.name
        assert path.read_bytes() == (tmp_path / "b" / clip.name).read_bytes()
        with av.open(str(path)) as container:
            pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert len(pictures) == 48
        drawn = render(clip.scene, np.arange(48) / 12, 64)
        assert np.abs(np.array(pictures, dtype=float) - drawn).mean() < 8


def test_grounding_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    plain, grounded = tmp_path / "plain", tmp_path / "grounded"
    drawn = write_library(plain, "test", 4, size_px=32, workers=1)
    write_library(grounded, "test", 4, size_px=32, workers=1, grounding=True)
    lines = [(folder / "captions.jsonl").read_text().splitlines() for folder in (plain, grounded)]
    without, rows = ([json.loads(line) for line in of] for of in lines)
    assert [row.pop("grounding") for row in rows] == [video.grounding() for video in drawn]
    assert rows == without
    assert (plain / "shapes.json").read_bytes() == (grounded / "shapes.json").read_bytes()
    texts = [word.text for word in read_folder(grounded)[0].grounding[0]]
    assert texts == ["plain", "blue", "star", "moves", "up", "white", "snow"]
    assert read_folder(plain)[0].grounding == ()


def test_names_can_be_spoken(tmp_path: Path) -> None:
    clips = write_library(tmp_path, "test", 4, seed=0, size_px=32, workers=1, spoken_names=True)
    for clip in clips:
        thing = clip.scene.things[0]
        assert thing.colour in clip.name
        assert " " not in clip.name
        assert (tmp_path / clip.name).is_file()


def test_a_library_names_its_split(tmp_path: Path) -> None:
    assert split_of_library(tmp_path) == ""
    write_library(tmp_path, "val", 4, size_px=32, workers=1)
    assert split_of_library(tmp_path) == "val"
    (tmp_path / "shapes.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"shapes.json: no JSON object"):
        split_of_library(tmp_path)


def test_version_1_stays_what_it_was() -> None:
    """Facts and sentences that models and results of earlier versions were made with, to the byte."""
    facts = [
        [video.name, asdict(video.scene), video.captions, video.group, video.unseen]
        for split in ("train", "test")
        for video in draw_split(split, 32, 3)
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    assert digest == "01cae6c062be4506e36dce6c267d4df37c7b0ce28a292c03c2a442ea62e621fe"
