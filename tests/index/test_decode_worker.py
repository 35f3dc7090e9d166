from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.index.library import clip
from tests.index.strange import PREPROCESSING
from tests.methods import tiny

from vidsift.errors import VideoReadError
from vidsift.index import decode_worker
from vidsift.index.decode_worker import (
    Done,
    Facts,
    Failed,
    Known,
    Message,
    ReadSettings,
    Segment,
    SinglePicture,
    content_id,
    read_video,
)
from vidsift.types import Span


def _read(path: Path, segment: float | None = None, known: frozenset[str] = frozenset()) -> list[Message]:
    return list(read_video(str(path), ReadSettings(PREPROCESSING, segment, known)))


def test_a_clip_is_facts_then_a_segment_then_the_end(tmp_path: Path) -> None:
    path = clip(tmp_path, "a", frames=24)
    facts, segment, end = _read(path)
    assert isinstance(facts, Facts)
    assert facts.video_id == hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    assert (facts.width_px, facts.height_px, facts.codec) == (64, 48, "h264")
    assert facts.fps == pytest.approx(12)
    assert isinstance(segment, Segment)
    assert segment.pixels.shape == (tiny.FRAMES, tiny.SIZE_PX, tiny.SIZE_PX, 3)
    assert segment.span == Span(0.0, facts.duration_seconds)
    assert np.all(np.diff(segment.times_seconds) > 0)
    status = path.stat()
    assert end == Done(status.st_size, status.st_mtime_ns, None)


def test_a_file_of_which_only_the_first_part_is_read_is_marked(tmp_path: Path) -> None:
    path = clip(tmp_path, "a", frames=24)
    path.write_bytes(path.read_bytes() * 2)
    end = _read(path)[-1]
    assert isinstance(end, Done)
    assert end.damage is not None
    assert "the last 50 % of the file cannot be read" in end.damage


def test_thumbnails_show_the_whole_picture_of_each_frame(tmp_path: Path) -> None:
    segment = _read(clip(tmp_path, "a"))[1]
    assert isinstance(segment, Segment)
    assert len(segment.thumbnails) == len(segment.pixels)
    assert Image.open(io.BytesIO(segment.thumbnails[0])).size == (64, 48)


def test_a_long_video_comes_in_segments_that_cover_it(tmp_path: Path) -> None:
    messages = _read(clip(tmp_path, "a", frames=60), segment=2.0)
    segments = [message for message in messages if isinstance(message, Segment)]
    assert len(segments) == 3
    for before, after in pairwise(segments):
        assert before.span.end_seconds == after.span.start_seconds
        assert before.times_seconds[-1] < after.times_seconds[0]
    for segment in segments:
        wanted = PREPROCESSING.wanted_times(segment.span)
        assert np.abs(segment.times_seconds - wanted).max() <= 1 / 12 + 1e-9


def test_a_file_of_one_picture_gives_it_for_every_wanted_second_where_it_is_named(tmp_path: Path) -> None:
    path = clip(tmp_path, "a", frames=1)
    (only,) = _read(path)
    assert isinstance(only, SinglePicture)
    named = ReadSettings(PREPROCESSING, None, frozenset(), named=frozenset({str(path)}))
    _, segment, _ = read_video(str(path), named)
    assert isinstance(segment, Segment)
    assert len(segment.pixels) == tiny.FRAMES
    assert np.array_equal(segment.pixels[0], segment.pixels[-1])


def test_known_content_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path, "a")
    monkeypatch.setattr(decode_worker, "iter_frames", lambda *_: pytest.fail("decoded"))
    (only,) = _read(path, known=frozenset({content_id(path)}))
    assert isinstance(only, Known)
    assert only.size_bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "is empty"), (b"hello", "is not a video"), (None, "No such file")]
)
def test_what_cannot_be_read_fails_with_the_reason(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    (only,) = _read(path)
    assert isinstance(only, Failed)
    assert reason in only.reason
    assert str(path) not in only.reason


def test_a_file_that_changes_while_it_is_read_fails(tmp_path: Path) -> None:
    path = clip(tmp_path, "a")
    messages = read_video(str(path), ReadSettings(PREPROCESSING, None, frozenset()))
    next(messages)
    with path.open("ab") as file:
        file.write(b"more")
    last = list(messages)[-1]
    assert isinstance(last, Failed)
    assert "changed while it was being read" in last.reason


def test_reading_does_not_import_torch() -> None:
    heavy = "'torch' in sys.modules or 'lancedb' in sys.modules"
    code = f"import sys, vidsift.index.decode_worker; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_is_out_of_reach_while_it_is_read_is_not_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(tmp_path, "a")

    def unplug(*_: object, **__: object) -> None:
        path.rename(tmp_path / "away")
        raise VideoReadError(path, "there is no such file")

    monkeypatch.setattr(decode_worker, "probe", unplug)
    assert _read(path) == [Failed("there is no such file", 0, 0)]
