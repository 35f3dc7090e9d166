"""What an HEVC packet says about its picture."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from tests.video.making import Recipe, make

from vidsift.video import FrameStream, read_frames
from vidsift.video.container import open_video
from vidsift.video.packets import NalReader, index_packets

X265 = "log-level=none:keyint=30:min-keyint=30:scenecut=0"


def unit(kind: int, layer: int) -> bytes:
    return bytes([kind << 1, layer + 1]) + bytes(20)


@pytest.mark.parametrize("in_container", [True, False])
@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([unit(0, 0)], (0, True)),
        ([unit(1, 0)], (0, False)),
        ([unit(35, 0), unit(39, 0), unit(2, 2)], (2, True)),  # delimiter, message, slice
        ([unit(19, 0)], (0, False)),
        ([unit(32, 0), unit(33, 0), unit(34, 0), unit(21, 0)], (0, False)),
        ([unit(39, 0)], (0, False)),
    ],
)
def test_layers(in_container: bool, units: list[bytes], expected: tuple[int, bool]) -> None:
    if in_container:
        reader = NalReader(b"\x01" + bytes(20) + b"\xff" + bytes(2))
        data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    else:
        reader = NalReader(None)
        data = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    assert reader.layer(av.Packet(data)) == expected


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    "more",
    ["", ":b-pyramid=1:bframes=7", ":temporal-layers=1", ":temporal-layers=3:bframes=7", ":open-gop=1"],
)
def test_pictures_left_out_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, more: str
) -> None:
    path = make(tmp_path, Recipe(suffix=suffix, codec="libx265", options={"x265-params": X265 + more}))
    with open_video(path) as video:
        table = index_packets(video)
    assert 10 <= table.spare.sum() <= 50
    times = [0.11, 0.52, 0.55, 0.9, 1.31, 1.97]
    through = read_frames(path, times, method="through")

    def refused(*_: object) -> None:
        raise AssertionError("fell back to decoding through")

    monkeypatch.setattr(FrameStream, "_through", refused)
    seek = read_frames(path, times, method="seek")
    assert np.array_equal(seek.pixels, through.pixels)
    assert np.array_equal(seek.times_seconds, through.times_seconds)
