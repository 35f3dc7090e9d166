"""The right picture at every time, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.video.making import Recipe, all_numbers, copy_packets, make, number_in

from vidsift.video import FrameStream, decode, iter_frames, packets, read_frames
from vidsift.video.container import open_video
from vidsift.video.decode import cheaper_way
from vidsift.video.decoder_loops import Shown, decode_through
from vidsift.video.picture import to_rgb
from vidsift.video.transforms import centre_crop, clip_pixels, resize_short_side, to_image

OPEN_GOP = {"x264-params": "open-gop=1:scenecut=0:b-pyramid=2"}
JITTER = [index * 33 + (index * 7) % 5 * 5 for index in range(60)]
INDEXED = {
    "gop 30": Recipe(),
    "gop 250": Recipe(gop=250),
    "gop 1": Recipe(gop=1, b_frames=0),
    "gop 2": Recipe(gop=2, b_frames=1),
    "no B-frames": Recipe(b_frames=0),
    "open gop": Recipe(gop=12, b_frames=3, options=OPEN_GOP),
    "variable rate": Recipe(pts=JITTER),
    "10 bit": Recipe(pix_fmt="yuv420p10le"),
    "interlaced": Recipe(height_px=64, options={"x264-params": "interlaced=1:scenecut=0", "crf": "12"}),
    "odd size": Recipe(width_px=61, height_px=47, pix_fmt="yuv444p"),
    "transport stream": Recipe(suffix=".ts"),
    "matroska": Recipe(suffix=".mkv", gop=12),
    "fragmented": Recipe(container_options={"movflags": "frag_keyframe+empty_moov"}),
    "hevc": Recipe(
        codec="libx265", gop=20, options={"x265-params": "log-level=none:keyint=20:min-keyint=20"}
    ),
    "vp9": Recipe(
        suffix=".webm", codec="libvpx-vp9", b_frames=0, options={"deadline": "realtime", "cpu-used": "8"}
    ),
    "mpeg-2": Recipe(suffix=".mpg", codec="mpeg2video"),
    "mpeg-4": Recipe(codec="mpeg4"),
    "motion jpeg": Recipe(suffix=".mov", codec="mjpeg", pix_fmt="yuvj420p", b_frames=0),
    "ffv1": Recipe(suffix=".mkv", codec="ffv1", b_frames=0),
}
NOT_INDEXED = {
    "avi with B-frames": Recipe(suffix=".avi"),
    "avi mpeg-4": Recipe(suffix=".avi", codec="mpeg4"),
    "bare h264": Recipe(suffix=".h264"),
}


def shown_at(pts_seconds: NDArray[np.float64], times: NDArray[np.float64]) -> list[int]:
    """Numbers of the pictures that should be shown: the last that began."""
    return [max(0, int(np.sum(pts_seconds <= time)) - 1) for time in times]


def true_times(recipe: Recipe) -> NDArray[np.float64]:
    constant = np.arange(recipe.frames) / recipe.fps
    times = constant if recipe.pts is None else np.asarray(recipe.pts) / 1000
    return np.round(times, 3) if recipe.suffix in (".mkv", ".webm") else times


def refuse_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("fell back to decoding through")

    monkeypatch.setattr(FrameStream, "_through", refused)


@pytest.mark.parametrize("name", [*INDEXED, *NOT_INDEXED])
def test_both_ways_give_the_pictures_shown_at_the_times(name: str, tmp_path: Path) -> None:
    recipe = (INDEXED | NOT_INDEXED)[name]
    path = make(tmp_path, recipe)
    starts = true_times(recipe)
    # Times between the edges of pictures, some before the start and after the end, not sorted.
    times = np.concatenate(
        [[1.777, -1.0, 9.0, 0.0101], np.random.default_rng(0).uniform(0, 2, 9) // 0.01 * 0.01 + 0.006]
    )
    expected = shown_at(starts, times)
    for method in ("through", "seek", "auto"):
        frames = read_frames(path, times, method=method)
        assert all_numbers(frames.pixels) == expected
        np.testing.assert_allclose(frames.times_seconds, starts[expected], atol=6e-4)
        assert frames.damage is None


@pytest.mark.parametrize("name", INDEXED)
def test_seeking_reaches_bit_identical_pictures_without_decoding_through(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path, INDEXED[name])
    times = [0.13, 0.57, 0.59, 1.21, 1.93]
    through = read_frames(path, times, method="through")
    refuse_through(monkeypatch)
    seek = read_frames(path, times, method="seek")
    assert np.array_equal(seek.pixels, through.pixels)
    assert np.array_equal(seek.times_seconds, through.times_seconds)


@pytest.mark.parametrize(
    "name", ["gop 30", "gop 2", "open gop", "matroska", "fragmented", "hevc", "vp9", "ffv1"]
)
def test_a_file_too_large_for_memory_is_walked_and_seeked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "_HELD_BYTES", 0)
    path = make(tmp_path, INDEXED[name])
    times = [0.31, 0.35, 1.02, 1.9]
    through = read_frames(path, times, method="through")
    refuse_through(monkeypatch)
    for stride in (0, 2**20):
        for seek_first in (0.0, 60.0):
            monkeypatch.setattr(packets, "_STRIDE_BYTES", stride)
            monkeypatch.setattr(packets, "_SEEK_FIRST_SECONDS", seek_first)
            seek = read_frames(path, times, method="seek")
            assert np.array_equal(seek.pixels, through.pixels)
            assert np.array_equal(seek.times_seconds, through.times_seconds)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gop=st.integers(1, 40),
    b_frames=st.integers(0, 4),
    open_gop=st.booleans(),
    suffix=st.sampled_from([".mp4", ".mkv", ".ts", ".mov"]),
    steps=st.lists(st.integers(12, 90), min_size=15, max_size=50),
    times=st.lists(st.floats(-0.5, 4.0), min_size=1, max_size=8),
)
def test_any_file_any_times(
    tmp_path: Path, gop: int, b_frames: int, open_gop: bool, suffix: str, steps: list[int], times: list[float]
) -> None:
    pts = [0, *np.cumsum(steps).tolist()]
    options = OPEN_GOP if open_gop else {}
    path = make(
        tmp_path,
        Recipe(suffix=suffix, frames=len(pts), gop=gop, b_frames=b_frames, options=options, pts=pts),
    )
    through = read_frames(path, times, method="through")
    seek = read_frames(path, times, method="seek")
    assert np.array_equal(seek.pixels, through.pixels)
    assert np.array_equal(seek.times_seconds, through.times_seconds)
    starts = np.asarray(pts) / 1000
    clear = [index for index, time in enumerate(times) if np.abs(starts - time).min() > 1e-3]
    expected = shown_at(starts, np.asarray(times))
    assert [number_in(through.pixels[index]) for index in clear] == [expected[index] for index in clear]


def test_an_edit_list_hides_what_was_cut_off(tmp_path: Path) -> None:
    source = make(tmp_path, Recipe(frames=90, gop=30), "source")
    with av.open(str(source)) as given, av.open(str(tmp_path / "cut.mp4"), "w") as cut:
        stream = given.streams.video[0]
        out = cut.add_stream_from_template(stream)
        # Copied from the key frame at picture 30, whose presentation lies before 0: the edit starts later.
        for packet in given.demux(stream):
            if packet.dts is not None and packet.pts is not None and packet.size and packet.pts >= 30 * 512:
                packet.pts, packet.dts = packet.pts - 39 * 512, packet.dts - 39 * 512
                packet.stream = out
                cut.mux(packet)
    times = np.arange(0, 1.7, 1 / 15) + 0.01
    through = read_frames(tmp_path / "cut.mp4", times, method="through")
    seek = read_frames(tmp_path / "cut.mp4", times, method="seek")
    assert all_numbers(through.pixels) == [39 + int(time * 30) for time in times]
    assert through.times_seconds[0] == 0.0
    assert np.array_equal(seek.pixels, through.pixels)


def test_times_count_from_the_start_of_the_container(media: Callable[[str], Path]) -> None:
    path = media("test_non_zero_start.mp4")  # its own timestamps begin at 8.333 s
    for method in ("through", "seek"):
        frames = read_frames(path, [0.0, 0.2, 0.399], method=method)
        np.testing.assert_allclose(frames.times_seconds, [0.0, 0.2, 11 / 30], atol=1e-9)


def test_a_stream_is_iterated_once(tmp_path: Path) -> None:
    stream = iter_frames(make(tmp_path, Recipe()), [0.5])
    assert len(list(stream)) == 1
    assert list(stream) == []


def test_wanted_times_may_repeat_and_come_in_any_order(tmp_path: Path) -> None:
    path = make(tmp_path, Recipe())
    order: list[tuple[int, float]] = []
    for picture in iter_frames(path, [1.5, 0.25, 1.5, 0.26], method="seek"):
        order.append((picture.wanted_index, round(picture.time_seconds * 30)))
        assert number_in(picture.pixels) == round(picture.time_seconds * 30)
    assert order == [(1, 7), (3, 7), (0, 45), (2, 45)]
    assert all_numbers(read_frames(path, [1.5, 0.25, 1.5, 0.26]).pixels) == [45, 7, 45, 7]


def test_only_wanted_pictures_are_converted_and_none_decoded_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path, Recipe(frames=200, gop=200))
    converted: list[int | None] = []
    decoded: list[Shown] = []

    def counted_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
        converted.append(frame.pts)
        return to_rgb(frame)

    def counted_decode(*arguments: Any) -> Iterator[Shown]:
        for shown in decode_through(*arguments):
            decoded.append(shown)
            yield shown

    monkeypatch.setattr(decode, "to_rgb", counted_rgb)
    monkeypatch.setattr(decode, "decode_through", counted_decode)
    assert len(list(iter_frames(path, [0.5, 1.0], method="through"))) == 2
    assert len(converted) == 2
    assert len(decoded) == 32  # pictures 0 to 30, and the one that ends picture 30


def test_the_cheaper_way(tmp_path: Path) -> None:
    with open_video(make(tmp_path, Recipe())) as video:
        assert cheaper_way(video, np.linspace(0, 1.99, 8)) == "seek"
        assert cheaper_way(video, np.linspace(0, 1.99, 50)) == "through"
        assert cheaper_way(video, np.linspace(0, 0.1, 3)) == "through"
    with open_video(make(tmp_path, Recipe(suffix=".avi"))) as video:
        assert cheaper_way(video, np.asarray([1.0])) == "through"


def test_encoder_sized_pictures_are_cut_as_they_come(tmp_path: Path) -> None:
    path = make(tmp_path, Recipe(width_px=96, height_px=48))
    frames = read_frames(path, [0.0, 1.0], size_px=24)
    assert frames.pixels.shape == (2, 24, 24, 3)
    assert frames.pixels.dtype == np.uint8
    whole = read_frames(path, [0.0, 1.0])
    for square, picture in zip(frames.pixels, whole.pixels, strict=True):
        np.testing.assert_array_equal(square, clip_pixels(picture, 24))
        resized = centre_crop(resize_short_side(to_image(picture), 24), 24)
        assert np.abs(square.astype(int) - np.asarray(resized)).max() <= 1


def test_alpha_is_dropped(tmp_path: Path) -> None:
    path = make(
        tmp_path, Recipe(suffix=".mov", codec="prores_ks", pix_fmt="yuva444p10le", b_frames=0, frames=4)
    )
    frames = read_frames(path, [0.05])
    assert frames.pixels.shape == (1, 48, 64, 3)
    assert all_numbers(frames.pixels) == [1]


def test_a_transport_stream_keeps_its_own_clock(tmp_path: Path) -> None:
    source = make(tmp_path, Recipe(), "source")
    path = copy_packets(source, tmp_path / "late.ts", options={"output_ts_offset": "4000"})
    frames = read_frames(path, [0.0, 1.01])
    assert all_numbers(frames.pixels) == [0, 30]


@pytest.mark.parametrize(
    ("times", "method", "size_px", "message"),
    [
        ([], "auto", None, "at least one time"),
        ([0.0, float("nan")], "auto", None, "finite"),
        ([0.0], "fast", None, "'fast'"),
        ([0.0], "auto", 0, "size_px is 0"),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, times: list[float], method: str, size_px: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        iter_frames(tmp_path / "none.mp4", times, method=method, size_px=size_px)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "pictures", "size"),
    [
        ("video7500.mp4", 50, (224, 298)),
        ("testsrc2_vp9.webm", 30, (720, 1280)),
        ("flipping_a_pancake.mkv", 310, (240, 426)),
        ("nasa_13013.mp4", 390, (270, 480)),  # two video streams: the larger is shown
        ("nasa_13013_rotated.mp4", 17, (480, 270)),
        ("video_90.mov", 3, (568, 320)),
    ],
)
def test_real_files(media: Callable[[str], Path], name: str, pictures: int, size: tuple[int, int]) -> None:
    with av.open(str(media(name))) as container:
        stream = container.streams.best("video")
        assert stream is not None
        starts = [frame.time for frame in container.decode(stream) if isinstance(frame, av.VideoFrame)]
    assert len(starts) == pictures
    wanted = np.asarray(starts)[[0, pictures // 3, pictures // 2, pictures - 1]]
    through = read_frames(media(name), wanted, method="through")
    seek = read_frames(media(name), wanted, method="seek")
    assert through.pixels.shape[1:3] == size
    np.testing.assert_allclose(through.times_seconds, wanted, atol=1e-6)
    assert np.array_equal(through.pixels, seek.pixels)
    assert np.array_equal(through.times_seconds, seek.times_seconds)
