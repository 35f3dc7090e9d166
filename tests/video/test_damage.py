"""Broken, odd and missing files: each gives what it has, or one clear line."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image
from tests.video.making import Recipe, all_numbers, claim_size, copy_packets, make, picture, png_bomb

from vidsift.errors import VideoReadError
from vidsift.video import iter_frames, probe, read_frames

METHODS: tuple[Literal["through", "seek"], ...] = ("through", "seek")
FAST_START = {"movflags": "faststart"}
LONG = Recipe(frames=200, gop=50)


def copied(tmp_path: Path, suffix: str, options: dict[str, str] | None = None) -> Path:
    return copy_packets(make(tmp_path, LONG, "source"), tmp_path / f"copy{suffix}", options=options)


def keep(path: Path, first: float, last: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[int(len(data) * first) : int(len(data) * last)])
    return path


def audio_file(path: Path, with_cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=16000)
        cover = None
        if with_cover:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = Disposition.attached_pic
        for index in range(8):
            samples = np.zeros((1, 1024), np.float32)
            sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 16000, index * 1024
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
        if cover is not None:
            still = av.VideoFrame.from_ndarray(picture(3), format="rgb24").reformat(format="yuvj420p")
            still.pts, still.time_base = 0, Fraction(1, 1)
            container.mux(cover.encode(still))
            container.mux(cover.encode(None))
    return path


@pytest.mark.parametrize("method", ["through", "seek", "auto"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_cut_off_gives_what_it_has(tmp_path: Path, suffix: str, method: str) -> None:
    path = keep(copied(tmp_path, suffix, FAST_START if suffix == ".mp4" else None), 0, 0.5)
    times = np.arange(0, 6.6, 0.5) + 0.01
    frames = read_frames(path, times, method=method)  # type: ignore[arg-type]
    assert 3 <= len(frames) < len(times)
    assert all_numbers(frames.pixels) == [int(time * 30) for time in times[: len(frames)]]
    assert frames.damage is not None
    assert " s" in frames.damage
    with pytest.raises(VideoReadError, match=r"copy\.(mp4|mkv): "):
        read_frames(path, [6.0], method=method)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["through", "seek"])
def test_a_damaged_stretch_is_left_out_and_the_rest_is_read(tmp_path: Path, method: str) -> None:
    path = copied(tmp_path, ".mp4", FAST_START)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = b"\xa5" * 3000
    path.write_bytes(data)
    times = np.arange(0, 6.6, 0.5) + 0.01
    stream = iter_frames(path, times, method=method)  # type: ignore[arg-type]
    numbers = {index: round(seconds * 30) for index, seconds, _ in stream}
    assert stream.damage is not None
    assert stream.damage.startswith("damaged at 2.")
    assert {0, 1, 2, 3, 11, 12, 13} <= set(numbers) < set(range(14))
    assert all(number == int(times[index] * 30) for index, number in numbers.items())


def test_a_transport_stream_without_its_head_and_tail(tmp_path: Path) -> None:
    path = keep(copied(tmp_path, ".ts"), 0.1, 0.9)
    through = read_frames(path, np.arange(0, 5, 0.25), method="through")
    seek = read_frames(path, np.arange(0, 5, 0.25), method="seek")
    numbers = all_numbers(through.pixels)
    assert numbers[0] == 50  # the first key frame after the cut
    assert numbers == sorted(numbers)
    assert np.array_equal(through.pixels, seek.pixels)
    assert through.damage is not None
    assert "without a key frame" in through.damage


def test_a_stream_that_begins_in_the_middle(tmp_path: Path) -> None:
    """PyAV fails at a packet of a stream that was not there when the file was opened."""
    path = copied(tmp_path, ".ts")
    data = bytearray(path.read_bytes())
    heads = range(0, len(data), 188)
    video = [head for head in heads if data[head + 1] & 0x5F == 0x41 and data[head + 2] == 0]
    assert len(video) == 200  # the video's packets that begin a picture; its number is 256
    data[video[120] + 2] = 1
    path.write_bytes(data)
    for method in METHODS:
        read = read_frames(path, np.arange(200) / 30, method=method)
        numbers = all_numbers(read.pixels)
        # The picture is lost, and what refers to it; the next key frame is that of number 150.
        assert numbers[:117] == list(range(117))
        assert numbers[150:] == list(range(150, 200))


def test_the_corrupt_file(media: Callable[[str], Path]) -> None:
    path = media("corrupted.mp4")
    times = np.arange(0, 5, 0.2)
    through = read_frames(path, times, method="through")
    seek = read_frames(path, times, method="seek")
    assert 14 <= len(through) < len(times)  # PyAV stops after 28 pictures of 0.1 s
    assert np.array_equal(through.pixels, seek.pixels)
    assert through.damage == seek.damage
    assert through.damage is not None
    assert through.damage.startswith("damaged at ")


def test_files_that_are_not_videos(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "text.mp4").write_text("once upon a time\n" * 50)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "list.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n"
    )
    Image.fromarray(picture(1)).save(tmp_path / "still.jpg")
    no_index = keep(make(tmp_path, LONG, "no_index"), 0, 0.5)
    expected = {
        tmp_path / "absent.mp4": "no such file",
        tmp_path / "folder.mp4": "is a folder",
        tmp_path / "zero.mp4": "empty",
        tmp_path / "text.mp4": "not a video",
        tmp_path / "noise.mp4": "",
        tmp_path / "list.mp4": "not a video",
        tmp_path / "still.jpg": "not a video",
        no_index: "not a video that can be read",
        audio_file(tmp_path / "sound.m4a"): "no video stream (it holds audio)",
        audio_file(
            tmp_path / "song.mp4", with_cover=True
        ): "no video stream (it holds audio and a cover picture)",
    }
    for path, words in expected.items():
        for read in (probe, lambda path: read_frames(path, [0.0])):
            with pytest.raises(VideoReadError) as caught:
                read(path)
            assert caught.value.path == path
            assert words in caught.value.reason
            assert "\n" not in str(caught.value)
            assert str(caught.value).startswith(f"{path}: ")


def test_headers_without_pictures(tmp_path: Path) -> None:
    path = copied(tmp_path, ".mp4", FAST_START)
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises(VideoReadError) as caught:
        read_frames(path, [0.0, 1.0])
    assert caught.value.path == path


def test_one_picture_is_enough(tmp_path: Path) -> None:
    path = make(tmp_path, Recipe(frames=1))
    for method in ("through", "seek", "auto"):
        frames = read_frames(path, [0.0, 0.5, 100.0], method=method)
        assert frames.times_seconds.tolist() == [0.0, 0.0, 0.0]
        assert frames.damage is None


def test_the_error_travels_between_processes() -> None:
    error = VideoReadError("a/b.mp4", "is damaged", 2.5)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a/b.mp4: is damaged (at 2.50 s)"
    assert (copy.path, copy.reason, copy.at_seconds) == (Path("a/b.mp4"), "is damaged", 2.5)


def test_decoding_needs_no_torch() -> None:
    code = "import sys, vidsift.video; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_impossible_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    raw = Recipe(suffix=".avi", codec="rawvideo", pix_fmt="yuv420p", b_frames=0, frames=3)
    absurd = claim_size(make(tmp_path, raw), 100_000, 100_000)
    large = png_bomb(tmp_path, "large", 11_600)
    for path in (absurd, large):
        for read in (probe, lambda path: read_frames(path, [0.0])):
            with pytest.raises(VideoReadError, match=r"or one of more than 134,217,728 pixels") as caught:
                read(path)
            assert caught.value.path == path


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(frames=60),
        Recipe(frames=60, suffix=".mkv"),
        Recipe(frames=60, suffix=".avi", codec="mpeg4", b_frames=0),
    ],
)
def test_progress_is_told_while_a_file_is_read(tmp_path: Path, recipe: Recipe) -> None:
    calls: list[int] = []
    stream = iter_frames(make(tmp_path, recipe), [0.0, 1.0, 1.9], on_progress=lambda: calls.append(1))
    assert len(list(stream)) == 3
    assert 30 < len(calls) < 200


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe to see who opens it")
@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile other.ts\n", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\nother.ts\n"],
)
def test_a_playlist_under_a_videos_name_opens_no_other_file(tmp_path: Path, text: str) -> None:
    # Who opens a pipe that nobody writes to waits for good.
    os.mkfifo(tmp_path / "other.ts")
    (tmp_path / "list.mp4").write_text(text)
    said: list[str] = []

    def read() -> None:
        with pytest.raises(VideoReadError) as refused:
            probe(tmp_path / "list.mp4")
        said.append(str(refused.value))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert said
    assert "is not a video that can be read" in said[0]
