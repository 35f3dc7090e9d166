"""Long recordings: every sentence is true of one event of one recording, in known seconds."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vidsift.data.folder import read_folder
from vidsift.shapes.clips import event_span
from vidsift.shapes.recordings import draw_recordings, write_recordings
from vidsift.shapes.render import render
from vidsift.shapes.world import holds
from vidsift.video.probe import probe


def test_what_is_asked_for_happens_once_in_all_recordings() -> None:
    drawn = draw_recordings("test", 4, 3.0)
    clips = [clip for recording in drawn for clip in recording.clips]
    questions = [(recording, each) for recording in drawn for each in recording.questions]
    assert len(questions) > 0.9 * len(clips) > 40
    assert len({each.caption.text for _, each in questions}) == len(questions)
    for recording, (caption, number, event) in questions:
        shown = recording.clips[number]
        assert [clip is shown for clip in clips if holds(caption.statement, clip)] == [True]
        assert len(caption.statement.events) == 1
        assert shown.events[event].motion == caption.statement.events[0][0]
        assert {word.fact for word in caption.words if word.kind == "event"} == {event}
    assert all(3 * 60 <= recording.starts_seconds[-1] < 3 * 60 + 16 for recording in drawn)
    assert draw_recordings("test", 4, 3.0) == drawn
    assert (
        draw_recordings("test", 1, 1.0)[0].clips
        == drawn[0].clips[: len(draw_recordings("test", 1, 1.0)[0].clips)]
    )


def test_a_library_of_recordings_holds_moments_and_grounding(tmp_path: Path) -> None:
    (recording,) = write_recordings(
        tmp_path, "val", 1, 0.5, seed=2, size_px=16, frames_per_second=4, workers=1
    )
    (entry,) = read_folder(tmp_path)
    assert entry.split == "val"
    assert entry.captions == tuple(each.caption.text for each in recording.questions)
    starts = recording.starts_seconds
    assert probe(entry.path).duration_seconds == pytest.approx(starts[-1], abs=0.26)
    for moment, words, (_, number, event) in zip(
        entry.moments, entry.grounding, recording.questions, strict=True
    ):
        clip = recording.clips[number]
        start, end = event_span(clip, clip.events[event])
        assert moment.start_seconds == pytest.approx(starts[number] + start, abs=1e-3)
        assert moment.end_seconds == pytest.approx(starts[number] + end, abs=1e-3)
        assert moment.end_seconds - moment.start_seconds < 3.3
        for word in words:
            assert starts[number] - 1e-3 <= word.spans[0].start_seconds
            assert word.spans[0].end_seconds <= starts[number + 1] + 1e-3
            if word.kind == "event":
                assert word.spans[0] == (moment.start_seconds, moment.end_seconds)


def test_pictures_that_no_clip_begins_with_shift_no_later_clip(tmp_path: Path) -> None:
    """At five pictures a second a clip of 4.5 s ends between two: over a minute that must not add up."""
    (recording,) = write_recordings(tmp_path, "val", 1, 1.0, size_px=16, frames_per_second=5, workers=1)
    starts = recording.starts_seconds
    assert sum(start % 1 != 0 for start in starts) >= 2
    times, pictures = _pictures_of(tmp_path / recording.name)
    assert len(times) == round(5 * starts[-1])
    for clip, start in zip(recording.clips, starts, strict=False):
        row = int(np.searchsorted(times, start + 0.5))
        expected = render(clip, [times[row] - start], 16)[0].astype(float)
        assert np.abs(pictures[row] - expected).mean() < 12
    with pytest.raises(ValueError, match="frames_per_second is 0: expected at least 1"):
        write_recordings(tmp_path, "val", 1, 0.1, frames_per_second=0)
    with pytest.raises(ValueError, match="workers is -1"):
        write_recordings(tmp_path, "val", 1, 0.1, workers=-1)


def _pictures_of(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    pictures = [frame.to_ndarray(format="rgb24").astype(np.float64) for frame in frames]
    return np.array([frame.time for frame in frames]), np.stack(pictures)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dev", 1, 1.0), "split 'dev'"),
        (("test", 0, 1.0), "0 recordings of 1.0"),
        (("test", 1, 0.0), "of 0.0 min"),
    ],
)
def test_what_makes_no_recording_is_refused(arguments: tuple[str, int, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_recordings(*arguments)
