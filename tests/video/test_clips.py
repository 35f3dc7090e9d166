from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.video.making import Recipe, make, moved, number_in

from vidsift.errors import VideoChangedError, VideoReadError
from vidsift.video import clips, probe, read_frames
from vidsift.video.clips import cut_clip
from vidsift.video.indexed_file import IndexedFile

QUARTER_TURN = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)


def cut(source: Path, start: float, end: float, target: Path) -> bool:
    status = source.stat()
    known = IndexedFile(str(source), status.st_size, status.st_mtime_ns)
    return cut_clip(known, start, end, str(target), 1 << 30).copied


def with_sound(folder: Path, codec: str = "aac", suffix: str = ".mp4", frames: int = 60) -> Path:
    """A film with 2 s of a tone that is louder in its second second."""
    silent = make(folder, Recipe(suffix=suffix, frames=frames), "silent")
    path = folder / f"film{suffix}"
    with av.open(str(silent)) as given, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(given.streams.video[0])
        sound: Any = out.add_stream(codec, rate=48_000, layout="mono")
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        tone = np.sin(np.arange(96_000) * 2 * np.pi * 440 / 48_000)
        tone *= np.where(np.arange(96_000) < 48_000, 0.1, 0.8)
        for start in range(0, 96_000, 960):
            part = tone[None, start : start + 960].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.rate, frame.pts = 48_000, start
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def loudness(path: Path) -> list[float]:
    """Loudest sample of each tenth of a second."""
    with av.open(str(path)) as film:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    return [float(np.abs(part).max()) for part in np.array_split(samples, max(1, len(samples) // 4800))]


@pytest.mark.parametrize(("codec", "suffix", "copied"), [("aac", ".mp4", True), ("pcm_s16le", ".avi", False)])
def test_the_sound_comes_along(tmp_path: Path, codec: str, suffix: str, copied: bool) -> None:
    film = with_sound(tmp_path, codec, suffix)
    clip = tmp_path / "clip.mp4"
    assert cut(film, 0.5, 1.5, clip) is copied
    levels = loudness(clip)
    assert 9 <= len(levels) <= 12
    assert max(levels[:4]) < 0.3
    assert min(levels[6:9]) > 0.5


def test_sound_that_ends_early_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of a minute, with two seconds of sound: the packets after the clip are not kept."""
    film = with_sound(tmp_path, frames=1800)
    read: list[float] = []
    dated = clips._dated

    def counted(*arguments: Any) -> Iterator[tuple[Any, float, float]]:
        for dated_packet in dated(*arguments):
            read.append(dated_packet[1])
            yield dated_packet

    monkeypatch.setattr(clips, "_dated", counted)
    clip = tmp_path / "clip.mp4"
    assert cut(film, 3.0, 5.0, clip)
    assert max(read) < 16
    assert probe(clip).duration_seconds == pytest.approx(2.0, abs=0.2)


def test_a_turned_film_stays_turned(tmp_path: Path) -> None:
    film = make(tmp_path, Recipe(display_matrix=QUARTER_TURN), "turned")
    size = (probe(film).width_px, probe(film).height_px)
    assert size == (48, 64)
    for start, name in ((0.0, "copied"), (0.4, "from-within")):
        clip = tmp_path / f"{name}.mp4"
        assert cut(film, start, 1.0, clip)
        assert (probe(clip).width_px, probe(clip).height_px) == size
        wanted = read_frames(film, [0.9]).pixels[0]
        shown = read_frames(clip, [0.9 - start]).pixels[0]
        assert np.abs(wanted.astype(int) - shown).mean() < 1


def test_what_begins_late_is_cut_on_its_own_clock(tmp_path: Path) -> None:
    film = make(tmp_path, Recipe(pts=[5000 + 40 * n for n in range(60)], fps=25, gop=25), "late")
    clip = tmp_path / "clip.mp4"
    assert cut(film, 1.0, 2.0, clip)
    assert number_in(read_frames(clip, [0.01]).pixels[0]) == number_in(read_frames(film, [1.01]).pixels[0])


def joined(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video"), (".mkv", "libx264")]
)
@pytest.mark.parametrize(("start", "end"), [(0.5, 1.5), (1.5, 2.5), (2.5, 3.5)])
def test_a_joined_film_is_cut_where_the_index_saw_the_pictures(
    tmp_path: Path, suffix: str, codec: str, start: float, end: float
) -> None:
    """The parts have the same timestamps; clips lie in the first, over the edge, and in the second."""
    part = make(tmp_path, Recipe(suffix, codec=codec, gop=15), "part")
    other = make(tmp_path, Recipe(suffix, codec=codec, gop=15, frames=70), "other")
    film = joined(tmp_path / f"film{suffix}", part, other)
    clip = tmp_path / "clip.mp4"
    assert cut(film, start, end, clip) is (end < 2 and suffix == ".ts")
    times = np.arange(0.05, 0.95, 0.1)
    shown = [number_in(pixels) for pixels in read_frames(clip, times).pixels]
    assert shown == [number_in(pixels) for pixels in read_frames(film, start + times).pixels]
    assert abs(shown[0] - (start % 2 + 0.05) * 30) < 2


def test_sound_of_a_joined_film_goes_with_its_pictures(tmp_path: Path) -> None:
    part = with_sound(tmp_path, "aac", ".ts")
    film = joined(tmp_path / "film.ts", part, part, part)
    clip = tmp_path / "clip.mp4"
    assert not cut(film, 2.5, 4.5, clip)
    assert number_in(read_frames(clip, [0.05]).pixels[0]) == number_in(read_frames(part, [0.55]).pixels[0])
    levels = loudness(clip)
    assert 18 <= len(levels) <= 22
    assert max(levels[:4]) < 0.3
    assert min(levels[6:13]) > 0.5
    assert max(levels[17:19]) < 0.3


def test_a_large_picture_is_made_smaller_when_encoded_anew(tmp_path: Path) -> None:
    film = make(
        tmp_path,
        Recipe(
            ".avi", codec="mjpeg", pix_fmt="yuvj420p", frames=3, b_frames=0, width_px=2100, height_px=1001
        ),
        "big",
    )
    clip = tmp_path / "clip.mp4"
    assert not cut(film, 0.0, 1.0, clip)
    assert (probe(clip).width_px, probe(clip).height_px) == (1920, 914)


def test_a_stretch_without_pictures_is_told(tmp_path: Path) -> None:
    film = make(tmp_path, Recipe(), "film")
    with pytest.raises(VideoReadError, match="holds no picture from 7 s to 8 s"):
        cut(film, 7.0, 8.0, tmp_path / "clip.mp4")


def test_another_file_is_not_cut(tmp_path: Path) -> None:
    film = make(tmp_path, Recipe(), "film")
    with pytest.raises(VideoChangedError, match="is not the file that was indexed"):
        cut_clip(IndexedFile(str(film), 1, 1), 0.0, 1.0, str(tmp_path / "clip.mp4"), 1 << 30)


def shows_what_the_index_saw(film: Path, start: float, clip: Path) -> bool:
    times = np.arange(0.05, 0.45, 0.1)
    shown = [number_in(pixels) for pixels in read_frames(clip, times).pixels]
    return shown == [number_in(pixels) for pixels in read_frames(film, start + times).pixels]


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video")])
@pytest.mark.parametrize("start", [0.5, 1.2, 1.4])
def test_a_broadcast_is_cut_where_its_last_key_frame_is_far(
    tmp_path: Path, suffix: str, codec: str, start: float
) -> None:
    """By timestamps FFmpeg lands behind the key frame, and the first pictures, or all, are lost."""
    film = make(tmp_path, Recipe(suffix, codec=codec, gop=20), "film")
    clip = tmp_path / "clip.mp4"
    assert cut(film, start, start + 0.5, clip) is (suffix == ".ts")
    assert shows_what_the_index_saw(film, start, clip)


@pytest.mark.parametrize("change", [lambda n, s: s + 5 * (n >= 30), lambda n, s: s + 95443.7 - 0.4])
def test_a_broadcast_with_a_pause_or_a_counter_that_wraps_is_cut(
    tmp_path: Path, change: Callable[[int, float], float]
) -> None:
    film = moved(make(tmp_path, Recipe(".ts", gop=30), "film"), tmp_path / "moved.ts", change)
    start = probe(film).duration_seconds - 0.6
    cut(film, start, start + 0.5, tmp_path / "clip.mp4")
    assert shows_what_the_index_saw(film, start, tmp_path / "clip.mp4")


def test_an_avi_is_cut_where_the_index_saw_pictures_after_a_pause(tmp_path: Path) -> None:
    """A picture is repeated by empty packets, which give none: counting what comes leads astray."""
    plain = make(tmp_path, Recipe(".avi", codec="mpeg4", b_frames=0), "film")
    film = moved(plain, tmp_path / "moved.avi", lambda n, s: s + 5 * (n >= 30))
    assert not cut(film, 6.2, 6.7, tmp_path / "clip.mp4")
    assert shows_what_the_index_saw(film, 6.2, tmp_path / "clip.mp4")
