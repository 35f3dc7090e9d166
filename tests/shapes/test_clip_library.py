"""A split of Shapes 2: every caption true of its clip alone, and files that say which word is true when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidsift.data.folder import read_folder
from vidsift.data.grounding import GroundedWord
from vidsift.shapes.clip_library import draw_clips, write_clip_library
from vidsift.shapes.clips import seen_span
from vidsift.shapes.world import TAGS, holds
from vidsift.video.probe import probe


def test_no_caption_of_a_split_holds_of_another_clip() -> None:
    drawn = draw_clips("test", 96, 3, captions_per_clip=2)
    assert [it.clip.tag for it in drawn[::4]] == list(TAGS) * 6
    texts = [text for it in drawn for text in it.texts]
    assert len(set(texts)) == len(texts) == 192
    for it in drawn:
        for caption in it.captions:
            assert [other.name for other in drawn if holds(caption.statement, other.clip)] == [it.name]
    assert drawn[:8] == draw_clips("test", 8, 3, captions_per_clip=2)
    assert not {it.clip for it in drawn} & {it.clip for it in draw_clips("val", 8, 3)}


def test_unseen_combinations_are_in_every_second_group_where_they_are_wanted() -> None:
    plain, unseen = draw_clips("test", 32), draw_clips("test", 32, unseen=True)
    assert not any(it.unseen for it in plain)
    held_out = {it.group for it in unseen if it.unseen}
    assert held_out == {4, 5, 6, 7}


def test_a_library_says_which_word_is_true_when_and_where(tmp_path: Path) -> None:
    drawn = write_clip_library(tmp_path, "val", 4, size_px=32, frames_per_second=4, workers=1)
    entries = read_folder(tmp_path)
    assert [entry.captions for entry in entries] == [it.texts for it in drawn]
    assert {(entry.tag, entry.group, entry.split) for entry in entries} == {("appearance", "0", "val")}
    for entry, it in zip(entries, drawn, strict=True):
        seconds = it.clip.duration_seconds
        assert probe(entry.path).duration_seconds == pytest.approx(seconds, abs=0.26)
        for words, caption in zip(entry.grounding, it.captions, strict=True):
            assert all(isinstance(word, GroundedWord) for word in words)
            for word, said in zip(words, caption.words, strict=True):
                assert word.kind == said.kind
                if word.kind == "appearance" and not said.clauses:
                    assert word.spans[0] == pytest.approx(seen_span(it.clip, said.fact), abs=1e-3)
                assert word.spans[0].end_seconds <= seconds
        for moment in entry.moments:
            assert moment.caption in entry.captions
    assert json.loads((tmp_path / "shapes.json").read_text())["world"] == 2


def test_paragraphs_are_several_sentences() -> None:
    drawn = draw_clips("train", 4, captions_per_clip=1, paragraphs=True)
    assert all(it.texts[0].count(".") >= 2 for it in drawn)


@pytest.mark.parametrize(
    ("split", "clips", "words"),
    [("dev", 8, "split 'dev'"), ("test", 6, "clips is 6: expected a multiple of 4")],
)
def test_what_is_no_split_is_refused(split: str, clips: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_clips(split, clips)


def test_clips_without_captions_or_tags_are_refused() -> None:
    with pytest.raises(ValueError, match="captions_per_clip is 0: expected at least 1"):
        draw_clips("test", 4, captions_per_clip=0)
    with pytest.raises(ValueError, match="tags is empty"):
        draw_clips("test", 4, tags=())
