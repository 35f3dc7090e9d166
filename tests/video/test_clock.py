"""Files whose own timestamps start again, jump, err, or begin elsewhere than at 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.video.making import Recipe, all_numbers, copy_packets, make, moved, number_in
from tests.video.test_decode import refuse_through

from vidsift.video import packets, probe, read_frames, timed
from vidsift.video.clock import Timestamps, find_clock
from vidsift.video.container import open_video

METHODS: tuple[Literal["through", "seek"], ...] = ("through", "seek")
SECOND = 90_000
PART = Recipe(suffix=".ts", frames=60, fps=10, gop=20)
SUFFIXES = {
    "ts": Recipe(suffix=".ts", frames=60, fps=10, gop=20),
    "m2ts": Recipe(
        suffix=".m2ts",
        frames=60,
        fps=10,
        gop=20,
        format="mpegts",
        container_options={"mpegts_m2ts_mode": "1"},
    ),
    "ps": Recipe(suffix=".mpg", codec="mpeg2video", frames=60, fps=25, gop=12),
    "vob": Recipe(suffix=".vob", codec="mpeg2video", frames=60, fps=25, gop=12),
    "matroska": Recipe(suffix=".mkv", frames=60, fps=10, gop=20),
    "live webm": Recipe(
        suffix=".webm",
        codec="libvpx-vp9",
        b_frames=0,
        frames=60,
        fps=10,
        container_options={"live": "1"},
        options={"deadline": "realtime", "cpu-used": "8"},
    ),
}


def joined(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def restamped(path: Path, change: Callable[[int], int]) -> Path:
    """Give the packets of a transport stream other times, however wrong: ``change(ticks)``."""
    data = bytearray(path.read_bytes())
    for head in range(0, len(data), 188):
        starts = data[head + 1] & 0x40 and (data[head + 1] & 0x1F, data[head + 2]) == (1, 0)
        at = head + 4 + (data[head + 4] + 1 if data[head + 3] & 0x20 else 0)
        if not starts or data[at : at + 3] != b"\0\0\1":
            continue
        for place in [at + 9, at + 14][: bin(data[at + 7] >> 6).count("1")]:
            b = data[place : place + 5]
            ticks = (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
            new = change(ticks) % 2**33
            data[place : place + 5] = bytes(
                [
                    b[0] & 0xF0 | new >> 29 & 0xE | 1,
                    new >> 22 & 0xFF,
                    new >> 14 & 0xFE | 1,
                    new >> 7 & 0xFF,
                    new << 1 & 0xFE | 1,
                ]
            )
    target = path.with_name(f"restamped-{len(list(path.parent.iterdir()))}.ts")
    target.write_bytes(data)
    return target


def check(path: Path, expected: list[int], fps: float) -> None:
    """The file shows these pictures one after the other, whichever way they are reached."""
    assert probe(path).duration_seconds == pytest.approx(len(expected) / fps, abs=0.01)
    middles = np.asarray((np.arange(len(expected)) + 0.5) / fps, np.float64)
    for method in METHODS:
        frames = read_frames(path, middles, method=method)
        assert all_numbers(frames.pixels) == expected
        assert np.abs(frames.times_seconds - (middles - 0.5 / fps)).max() < 0.01
        assert frames.damage is None


# FFmpeg itself reads no third Matroska file that is put behind two.
JOINED = [(kind, number) for kind in SUFFIXES for number in (2, 3) if (kind, number) != ("matroska", 3)]


@pytest.mark.parametrize(("kind", "number"), JOINED)
def test_joined_files_are_read_whole(kind: str, number: int, tmp_path: Path) -> None:
    recipe = SUFFIXES[kind]
    part = make(tmp_path, recipe)
    check(joined(tmp_path / f"joined{recipe.suffix}", *[part] * number), [*range(60)] * number, recipe.fps)


@pytest.mark.parametrize("kind", ["ts", "m2ts", "ps", "vob"])
def test_seeking_leads_into_the_right_part(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts have the same timestamps; seeking goes by bytes."""
    recipe = SUFFIXES[kind]
    path = joined(tmp_path / f"joined{recipe.suffix}", *[make(tmp_path, recipe)] * 3)
    monkeypatch.setattr(packets, "_STRIDE_BYTES", 0)
    refuse_through(monkeypatch)
    length = 60 / recipe.fps
    times = [0.21, length + 0.21, 2 * length + 0.21, 2 * length - 0.01, 3 * length - 0.01]
    picture = int(0.21 * recipe.fps)
    frames = read_frames(path, times, method="seek")
    assert all_numbers(frames.pixels) == [picture, picture, picture, 59, 59]


@pytest.mark.parametrize("seconds", [5000.0, -5000.0, 11.0])
def test_a_jump_is_closed(seconds: float, tmp_path: Path) -> None:
    """As the ffmpeg program does."""
    part = restamped(make(tmp_path, PART), lambda ticks: ticks + 6000 * SECOND)
    other = restamped(part, lambda ticks: ticks + round((6 + seconds) * SECOND))
    check(joined(tmp_path / "jump.ts", part, other), [*range(60)] * 2, 10)


def test_a_counter_that_wraps_runs_on(tmp_path: Path) -> None:
    first = 2**33 - 3 * SECOND
    path = restamped(make(tmp_path, PART), lambda ticks: ticks + first)
    check(path, list(range(60)), 10)
    twice = joined(tmp_path / "twice.ts", path, path)
    check(twice, [*range(60)] * 2, 10)


def test_parts_that_are_reordered_otherwise_do_not_overlap(tmp_path: Path) -> None:
    plain = make(tmp_path, Recipe(suffix=".ts", frames=60, fps=10, gop=20, b_frames=0), "plain")
    deep = make(tmp_path, Recipe(suffix=".ts", frames=60, fps=10, gop=20, b_frames=3), "deep")
    check(joined(tmp_path / "a.ts", deep, plain), [*range(60)] * 2, 10)
    # Pictures are decoded one after the other; the first of the second part are shown a little later.
    frames = read_frames(joined(tmp_path / "b.ts", plain, deep), [5.95, 6.05, 6.45, 12.05])
    assert all_numbers(frames.pixels) == [59, 59, 2, 58]


@pytest.mark.parametrize("seconds", [5000, 8, -8, -2])
@pytest.mark.parametrize("number", [0, 1, 20, 37])
def test_one_wrong_timestamp_has_no_consequences(seconds: int, number: int, tmp_path: Path) -> None:
    part = make(tmp_path, Recipe(suffix=".ts", frames=60, fps=10, gop=20, b_frames=0))
    ticks = sorted(packet.pts for packet in _packets_of(part))[number]
    path = restamped(part, lambda pts: pts + 100 * SECOND + (seconds * SECOND if pts == ticks else 0))
    check(path, list(range(60)), 10)


def _packets_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def test_a_pause_of_a_transport_stream_stays_and_is_marked(tmp_path: Path) -> None:
    path = moved(
        make(tmp_path, PART), tmp_path / "pause.ts", lambda number, at: at + (8 if number >= 40 else 0)
    )
    assert probe(path).duration_seconds == pytest.approx(14.0, abs=0.25)
    times = np.arange(0.05, 14, 0.5)
    for method in METHODS:
        frames = read_frames(path, times, method=method)
        assert frames.damage is not None
        assert frames.damage.startswith("no pictures from ")
        assert not ((frames.times_seconds > 4.3) & (frames.times_seconds < 11.5)).any()
        assert 11 <= len(frames) <= 14
        held = read_frames(path, [8.0], method=method, hold=True)
        assert held.damage is None
        assert held.times_seconds[0] == pytest.approx(4.0, abs=0.25)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".flv"])
def test_elsewhere_times_stay_the_files_and_stretches_without_pictures_are_marked(
    suffix: str, tmp_path: Path
) -> None:
    source = make(tmp_path, Recipe(suffix=".mkv", frames=60, fps=10, gop=20, b_frames=0))
    # An MP4 says how long a picture is shown; only what was cut into pieces has gaps.
    path = moved(source, tmp_path / f"gap{suffix}", lambda number, at: at + (400 if number >= 40 else 0))
    assert probe(path).duration_seconds == pytest.approx(406.0, abs=0.11)
    times = [1.0, 3.99, 100.0, 403.9, 404.01, 405.9]
    for method in METHODS:
        frames = read_frames(path, times, method=method)
        if suffix == ".mov":
            assert all_numbers(frames.pixels) == [10, 39, 39, 39, 40, 59]
            assert frames.damage is None
        else:
            assert all_numbers(frames.pixels) == [10, 39, 40, 59]
            assert frames.damage == "no pictures from 4.00 s to 404.00 s"


def test_few_pictures_a_second_are_no_gaps(tmp_path: Path) -> None:
    recipe = Recipe(suffix=".mkv", frames=8, fps=1, gop=4, b_frames=0, pts=[at * 5000 for at in range(8)])
    frames = read_frames(make(tmp_path, recipe), np.arange(0.5, 40, 5))
    assert all_numbers(frames.pixels) == list(range(8))
    assert frames.damage is None


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".ts", ".flv", ".nut"])
def test_ends_are_on_the_clock_of_the_pictures(suffix: str, tmp_path: Path) -> None:
    """Whatever the container's headers count from."""
    source = make(tmp_path, Recipe(suffix=".mkv", frames=60, fps=10, gop=20, b_frames=0))
    path = moved(source, tmp_path / f"late{suffix}", lambda _, at: at + 50)
    assert probe(path).duration_seconds == pytest.approx(6.0, abs=0.11)
    for method in METHODS:
        frames = read_frames(path, [0.05, 3.05, 5.95], method=method)
        assert all_numbers(frames.pixels) == [0, 30, 59]
        assert frames.damage is None


@pytest.mark.parametrize("suffix", [".flv", ".mkv", ".mp4", ".ts", ".asf", ".nut"])
@pytest.mark.parametrize("sound_seconds", [1, 16])
def test_sound_that_goes_on_is_no_part_of_the_length(suffix: str, sound_seconds: int, tmp_path: Path) -> None:
    silent = make(tmp_path, Recipe(suffix=".mkv", frames=60, b_frames=0), "silent")
    path = tmp_path / f"film{suffix}"
    with av.open(str(silent)) as given, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(given.streams.video[0])
        sound: Any = out.add_stream("aac", rate=16_000, layout="mono")
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for start in range(0, 16_000 * sound_seconds, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 16_000, start
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    assert probe(path).duration_seconds == pytest.approx(2.0, abs=0.1)
    assert number_in(read_frames(path, [1.95]).pixels[0]) >= 54  # the sound may begin a little earlier


def test_a_file_that_starts_late_and_is_cut_off_says_so(tmp_path: Path) -> None:
    source = make(tmp_path, Recipe(suffix=".mkv", frames=200, fps=10, gop=20, b_frames=0))
    path = moved(source, tmp_path / "late.mkv", lambda _, at: at + 5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = read_frames(path, np.arange(0.05, 20, 1))
    assert frames.damage is not None
    assert len(frames) < 15


def test_a_file_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = joined(tmp_path / "twice.ts", *[make(tmp_path, PART)] * 2)
    read: list[Path] = []

    def counted(video: Any, **options: Any) -> Any:
        read.append(video.path)
        return packets.index_packets(video, **options)

    monkeypatch.setattr(timed, "index_packets", counted)
    probe(path)
    read_frames(path, [1.0, 7.0])
    read_frames(path, [3.0])
    assert read == [path]


def test_the_real_files(media: Callable[[str], Path]) -> None:
    path = media("hard/joined_reset.ts")
    assert probe(path).duration_seconds == pytest.approx(60.0, abs=0.01)
    pixels = read_frames(path, [10.0, 21.0, 25.5, 30.5, 41.0, 45.5, 55.0]).pixels.astype(int)
    red = (pixels[..., 0] - pixels[..., 2] > 60).any(axis=(1, 2))
    blue = (pixels[..., 2] - pixels[..., 0] > 60).any(axis=(1, 2))
    assert red.tolist() == [False, True, True, False, False, False, False]
    assert blue.tolist() == [False, False, False, False, True, True, False]
    late = media("hard/offset_start.mkv")
    facts = probe(late)
    assert facts.duration_seconds == pytest.approx(60.0)
    assert facts.start_seconds == pytest.approx(50.0)
    assert read_frames(late, np.arange(0.5, 60)).damage is None


def clock_of(pts: list[int], dts: list[int], *, close_jumps: bool = True) -> tuple[list[int], list[int]]:
    timestamps = Timestamps(
        pts, dts, [100 * at for at in range(len(pts))], [0] * len(pts), 100, Fraction(1, 1000)
    )
    clock = find_clock(timestamps, close_jumps=close_jumps)
    if clock is None:
        return pts, dts
    shown, decoded = clock.timestamps(timestamps)
    return [ticks or 0 for ticks in shown], [ticks or 0 for ticks in decoded]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(5, 30), min_size=1, max_size=5),
    starts=st.lists(st.integers(0, 10**5), min_size=5, max_size=5),
    delay=st.integers(0, 3),
)
def test_any_parts_follow_each_other(lengths: list[int], starts: list[int], delay: int) -> None:
    """Pictures lie a step apart, but where a part happens to begin as the one before ends, or soon after."""
    pts: list[int] = []
    dts: list[int] = []
    for length, start in zip(lengths, [start * 1000 for start in starts], strict=False):
        order = [at ^ 1 if delay and at ^ 1 < length else at for at in range(length)]
        pts += [start + (at + delay) * 100 for at in order]
        dts += [start + at * 100 for at in range(length)]
    shown, decoded = clock_of(pts, dts)
    steps = np.diff(sorted(shown))
    assert (np.sort(steps)[len(lengths) - 1 :] >= 100).all()
    assert (steps >= 0).all()
    assert (steps <= 10_100).all()
    assert (np.diff(decoded) >= 0).all()


def test_a_clock_in_order_is_left_alone(tmp_path: Path) -> None:
    made: Mapping[str, Path] = {name: make(tmp_path, recipe, name) for name, recipe in SUFFIXES.items()}
    for path in made.values():
        with open_video(path) as video:
            assert packets.index_packets(video).clock is None
            assert video.clock is None
    late = copy_packets(made["ts"], tmp_path / "late.ts", options={"output_ts_offset": "4000"})
    assert probe(late).duration_seconds == pytest.approx(6.0)
