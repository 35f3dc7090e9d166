from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.video.making import Recipe, make

from vidsift.errors import VideoChangedError
from vidsift.video.clip_files import as_it_is
from vidsift.video.frame_timing import FrameTiming, counted_from, frame_timing, nearest_rate

FILM, PAL, NTSC, NTSC_DOUBLE = (
    Fraction(24000, 1001),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(60000, 1001),
)


def film(path: Path, rate: Fraction, frames: int = 40, timecode: str | None = None) -> Path:
    """A tiny film of a rate, with B-frames."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("mpeg2video" if path.suffix == ".ts" else "mpeg4", rate=rate)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.max_b_frames = 2
        if timecode is not None:
            stream.metadata["timecode"] = timecode
        grey = np.full((32, 32, 3), 90, np.uint8)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(grey + number % 16, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def timing_of(path: Path) -> FrameTiming:
    return frame_timing(as_it_is(path))


@pytest.mark.parametrize("rate", [FILM, PAL, NTSC, NTSC_DOUBLE, Fraction(8)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_every_picture_of_a_constant_rate_has_its_number(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    timing = timing_of(film(tmp_path / f"film{suffix}", rate))
    assert (timing.rate, timing.constant, timing.frames) == (rate, True, 40)
    assert (timing.width_px, timing.height_px, timing.has_sound) == (32, 32, False)
    assert [timing.frame_at(timing.first_seconds + float(n / rate)) for n in range(41)] == list(range(41))


def test_pictures_are_counted_from_the_first_whatever_the_clock_says(tmp_path: Path) -> None:
    late = make(tmp_path, Recipe(pts=[5000 + 40 * n for n in range(60)], fps=25), "late")
    timing = timing_of(late)
    assert (timing.rate, timing.constant, timing.frames) == (PAL, True, 60)
    assert timing.frame_at(timing.first_seconds + 1.0) == 25
    timing = timing_of(film(tmp_path / "film.ts", NTSC))  # begins at 1.4 s
    assert (timing.rate, timing.constant, timing.frames) == (NTSC, True, 40)
    assert timing.frame_at(timing.first_seconds + 39 / float(NTSC)) == 39


def test_a_variable_rate_is_counted_at_the_usual_one(tmp_path: Path) -> None:
    """Thirty a second with pauses, as phones record: numbers are within half a picture."""
    steps = [33, 33, 34] * 18 + [120, 77, 250, 33, 91]
    pts = [0, *np.cumsum(steps).tolist()]
    uneven = make(tmp_path, Recipe(frames=len(pts), pts=pts, fps=30), "uneven")
    timing = timing_of(uneven)
    assert (timing.rate, timing.constant) == (Fraction(30), False)
    assert timing.frames == pytest.approx((pts[-1] + 33) / 1000 * 30, abs=2)
    for at in pts:
        assert abs(timing.frame_at(at / 1000) / 30 - at / 1000) <= 0.5 / 30 + 1e-9


@pytest.mark.parametrize(
    ("timecode", "rate", "first"),
    [("00:00:59;28", NTSC, 1798), ("01:00:00:00", PAL, 90_000), ("00:00:59;58", NTSC_DOUBLE, 3598)],
)
def test_a_files_own_timecode_says_the_number_of_its_first_picture(
    tmp_path: Path, timecode: str, rate: Fraction, first: int
) -> None:
    timing = timing_of(film(tmp_path / "camera.mov", rate, frames=8, timecode=timecode))
    assert (timing.first_frame, timing.frames, timing.rate) == (first, 8, rate)


@pytest.mark.parametrize(
    ("timecode", "rate", "number"),
    [
        ("00:00:59;29", NTSC, 1799),
        ("00:01:00;02", NTSC, 1800),
        ("00:09:59;29", NTSC, 17_981),
        ("00:10:00;00", NTSC, 17_982),
        ("01:00:00;00", NTSC, 107_892),
        ("01:00:00:00", NTSC, 108_000),
        ("00:00:59;59", NTSC_DOUBLE, 3599),
        ("00:01:00;04", NTSC_DOUBLE, 3600),
        ("00:00:01:00", FILM, 24),
        ("00:00:01:00", Fraction(8), 0),
        ("soon", PAL, 0),
        (None, PAL, 0),
    ],
)
def test_timecodes_are_numbers_of_pictures(timecode: str | None, rate: Fraction, number: int) -> None:
    assert counted_from(timecode, rate) == number


def test_rounded_rates_are_what_is_meant_by_them() -> None:
    assert [
        nearest_rate(Fraction(text)) for text in ("23.976", "23.98", "29.97", "59.94", "60.001", "14.9999")
    ] == [
        FILM,
        FILM,
        NTSC,
        NTSC_DOUBLE,
        60,
        15,
    ]


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    known = as_it_is(film(tmp_path / "film.mp4", PAL, frames=3))
    with pytest.raises(VideoChangedError):
        frame_timing(known._replace(size_bytes=1))
