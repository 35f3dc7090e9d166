"""Timelines are opened again by OpenTimelineIO, and an edit decision list by its adapter."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from tests.export.making import EDGES, FILM, NTSC, PAL, RATES, edges, excerpt

from vidsift.export.excerpts import laid_out, timeline_rate
from vidsift.export.otio_timeline import edl_text, otio_text

otio = pytest.importorskip("opentimelineio", reason="needs vidsift[export]")


def stretch(range_: Any) -> tuple[float, float]:
    return range_.start_time.value, range_.duration.value


@pytest.mark.parametrize("rate", RATES)
def test_a_timeline_holds_the_same_pictures_when_it_is_opened(rate: Fraction) -> None:
    made = edges(rate)
    timeline = otio.adapters.read_from_string(otio_text(laid_out(made, rate), "the sea", rate), "otio_json")
    assert timeline.name == "the sea"
    clips = list(timeline.find_clips())
    assert [stretch(clip.source_range) for clip in clips] == [(first, stop - first) for first, stop in EDGES]
    for clip in clips:
        assert clip.source_range.start_time.rate == pytest.approx(float(rate), rel=1e-12)
        assert stretch(clip.media_reference.available_range) == (0, 200_000)
    assert [clip.media_reference.target_url for clip in clips[:2]] == [
        "file:///films/0.mp4",
        "file:///films/1.mp4",
    ]
    offset = 0
    for clip, (first, stop) in zip(clips, EDGES, strict=True):
        assert stretch(clip.range_in_parent()) == (offset, stop - first)
        offset += stop - first


@pytest.mark.parametrize("rate", RATES)
def test_an_edit_decision_list_holds_the_same_pictures_when_it_is_opened(rate: Fraction) -> None:
    text = edl_text(laid_out(edges(rate), rate), "the sea", rate)
    timeline = otio.adapters.read_from_string(text, "cmx_3600", rate=float(rate))
    clips = list(timeline.find_clips())
    assert [stretch(clip.source_range) for clip in clips] == [(first, stop - first) for first, stop in EDGES]
    assert [clip.media_reference.target_url for clip in clips[:2]] == ["/films/0.mp4", "/films/1.mp4"]
    assert [clip.name for clip in clips[:2]] == ["0.mp4", "1.mp4"]
    offset = 0
    for clip, (first, stop) in zip(clips, EDGES, strict=True):
        assert stretch(clip.range_in_parent()) == (offset, stop - first)
        offset += stop - first


def test_timecodes_of_drop_frame_leave_numbers_out_at_minutes() -> None:
    lines = edl_text(laid_out(edges(NTSC), NTSC), "the sea", NTSC).splitlines()
    assert lines[:2] == ["TITLE: the sea", "FCM: DROP FRAME"]
    events = [line.split() for line in lines if line[:3].isdigit()]
    assert events[2][4:6] == ["00:00:59;29", "00:01:00;03"]
    assert events[5][4:6] == ["00:09:59;29", "00:10:00;01"]
    assert events[6][4:6] == ["00:59:59;29", "01:00:00;01"]
    plain = edl_text(laid_out([excerpt(1500, 1525, PAL)], PAL), "", PAL)
    assert "NON-DROP FRAME" in edl_text(laid_out([excerpt(0, 9, FILM)], FILM), "film", FILM)
    assert "00:01:00:00 00:01:01:00 00:00:00:00 00:00:01:00" in plain


def test_a_files_own_timecode_is_counted_from() -> None:
    camera = excerpt(50, 75, PAL, first_frame=90_000, first_seconds=1.4)  # 01:00:00:00
    placed = laid_out([camera], PAL)
    (clip,) = otio.adapters.read_from_string(otio_text(placed, "", PAL), "otio_json").find_clips()
    assert stretch(clip.source_range) == (90_050, 25)
    assert stretch(clip.media_reference.available_range) == (90_000, 200_000)
    assert "01:00:02:00 01:00:03:00" in edl_text(placed, "", PAL)


def test_files_of_other_rates_begin_at_a_picture_of_their_own() -> None:
    made = [excerpt(50, 75, PAL), excerpt(48, 72, FILM, path="/film.mov"), excerpt(0, 25, PAL)]
    rate = timeline_rate(made)
    timeline = otio.adapters.read_from_string(otio_text(laid_out(made, rate), "", rate), "otio_json")
    _, other, last = timeline.find_clips()
    assert other.source_range.start_time == otio.opentime.RationalTime(48, float(FILM))
    assert other.source_range.duration == otio.opentime.RationalTime(25, 25)
    assert stretch(last.range_in_parent()) == (50, 25)
    # An edit decision list has one rate: 48 pictures of film are 2.002 s, 50 pictures of the timeline.
    text = edl_text(laid_out(made, rate), "", rate)
    timeline = otio.adapters.read_from_string(text, "cmx_3600", rate=25.0)
    _, other, last = timeline.find_clips()
    assert stretch(other.source_range) == (50, 25)
    assert stretch(last.range_in_parent()) == (50, 25)


def test_names_cannot_break_the_list_and_reels_tell_files_apart() -> None:
    paths = ["/a/holiday at sea 1.mp4", "/b/holiday at sea 2.mp4", "/c/\n* FROM FILE: x.mp4", "/d/日本.mp4"]
    made = [excerpt(0, 5, PAL, path=path) for path in paths]
    text = edl_text(laid_out(made, PAL), "sea", PAL)
    events = [line.split() for line in text.splitlines() if line[:3].isdigit()]
    assert [event[1] for event in events] == ["HOLIDAYA", "HOLIDAY2", "FROMFILE", "REEL"]
    clips = list(otio.adapters.read_from_string(text, "cmx_3600", rate=25.0).find_clips())
    assert [clip.media_reference.target_url for clip in clips] == [
        "/a/holiday at sea 1.mp4",
        "/b/holiday at sea 2.mp4",
        "/c/_* FROM FILE: x.mp4",
        "/d/日本.mp4",
    ]
