"""Every PyAV that may be installed: what differs between 17, 18 and 19 is imitated, whichever is here."""

from __future__ import annotations

import numbers
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest
from tests.video.making import Recipe, make

from vidsift.video import container, probe, read_frames

REAL_OPEN: Any = av.open
INSTALLED = av.__version__
TITLE = b"holidays at the sea"


def with_bad_title(folder: Path) -> Path:
    """A video whose title is Latin-1 where UTF-8 is expected, as old cameras and taggers write it."""
    plain = make(folder, Recipe(frames=8), "plain")
    path = folder / "titled.mp4"
    with av.open(str(plain)) as given, av.open(str(path), "w") as titled:
        titled.metadata["title"] = TITLE.decode()
        stream = titled.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                titled.mux(packet)
    data = path.read_bytes()
    assert TITLE in data
    path.write_bytes(data.replace(TITLE, b"\xe9t\xe9" + TITLE[3:]))
    return path


def open_like_18(file: str, mode: str = "r", *, metadata_errors: str = "strict", **options: Any) -> Any:
    if metadata_errors == "strict":
        raise UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid continuation byte")
    return really(file, mode, **options)


def open_like_19(file: str, mode: str = "r", **options: Any) -> Any:
    if "metadata_errors" in options:
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")
    return really(file, mode, **options)


def really(file: str, mode: str, **options: Any) -> Any:
    if int(INSTALLED.split(".", maxsplit=1)[0]) < 19:
        options["metadata_errors"] = "replace"
    return REAL_OPEN(file, mode, **options)


@pytest.mark.parametrize(
    ("version", "stand_in"),
    [
        ("17.0.0", open_like_18),
        ("18.1.0", open_like_18),
        ("19.0.2", open_like_19),
        ("19.1.0rc1", open_like_19),
    ],
)
def test_a_title_that_is_no_utf8_fails_no_file_under_any_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, stand_in: Any
) -> None:
    path = with_bad_title(tmp_path)
    monkeypatch.setattr(av, "__version__", version)
    monkeypatch.setattr(av, "open", stand_in)
    assert probe(path).frames == 8
    assert len(read_frames(path, [0.0, 0.1])) == 2


def test_a_title_that_is_no_utf8_fails_no_file_under_the_installed_version(tmp_path: Path) -> None:
    assert probe(with_bad_title(tmp_path)).frames == 8


class Ratio:
    """A ratio as PyAV 19 gives it: two whole numbers, with neither rounding nor a fraction's methods."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator

    def __bool__(self) -> bool:
        return self.numerator != 0


numbers.Rational.register(Ratio)


@pytest.mark.parametrize("kind", [Fraction, Ratio])
def test_rates_are_fractions_whatever_pyav_calls_its_ratios(kind: Any) -> None:
    stream = SimpleNamespace(average_rate=kind(0, 1), guessed_rate=kind(30_000, 1001), base_rate=None)
    video = container.OpenVideo(
        Path("film.mp4"),
        cast(Any, SimpleNamespace(format=SimpleNamespace(name="mov,mp4"))),
        cast(Any, stream),
        origin_ticks=0,
        tick=Fraction(1, 90_000),
    )
    assert type(video.frames_per_second) is Fraction
    assert video.frames_per_second == Fraction(30_000, 1001)
    assert video.step_ticks == 3003
