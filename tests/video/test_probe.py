from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.video.making import Recipe, make

from vidsift.video import probe


def test_facts_of_a_plain_file(tmp_path: Path) -> None:
    path = make(tmp_path, Recipe(frames=45))
    facts = probe(path)
    assert facts.path == path
    assert facts.duration_seconds == pytest.approx(1.5)
    assert facts.start_seconds == 0.0
    assert (facts.width_px, facts.height_px, facts.rotation_degrees) == (64, 48, 0)
    assert (facts.codec, facts.average_fps, facts.frames, facts.pixel_aspect) == ("h264", 30.0, 45, 1.0)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(suffix=".mkv", container_options={"live": "1"}),
        Recipe(suffix=".h264"),
        Recipe(suffix=".webm", codec="libvpx-vp9", b_frames=0, container_options={"live": "1"}),
    ],
    ids=["live matroska", "bare h264", "live webm"],
)
def test_a_missing_duration_is_measured(tmp_path: Path, recipe: Recipe) -> None:
    facts = probe(make(tmp_path, recipe))
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.002)
    assert facts.frames is None


def test_real_files(media: Callable[[str], Path]) -> None:
    late = probe(media("test_non_zero_start.mp4"))
    assert late.start_seconds == pytest.approx(8.333, abs=1e-3)
    assert late.duration_seconds == pytest.approx(0.4)
    assert late.pixel_aspect == pytest.approx(224 / 225)
    vp9 = probe(media("testsrc2_vp9.webm"))
    assert (vp9.duration_seconds, vp9.codec, vp9.frames) == (1.0, "vp9", None)
    clip = probe(media("video7500.mp4"))
    assert (clip.width_px, clip.height_px, clip.average_fps) == (298, 224, 3.0)
    assert clip.pixel_aspect == pytest.approx(1792 / 1341)
    two = probe(media("nasa_13013.mp4"))
    assert (two.width_px, two.height_px, two.frames) == (480, 270, 390)
