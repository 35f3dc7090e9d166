from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from tests.export.making import NTSC, PAL, excerpt

from vidsift.export.write import KINDS, export_kind, export_text, save_export


def test_the_ending_says_the_kind() -> None:
    assert [export_kind(Path(f"a.b/hits.{kind.upper()}")) for kind in KINDS] == list(KINDS)
    with pytest.raises(ValueError, match=r"'hits.xml' ends in '.xml', expected one of .otio, .edl, .fcpxml"):
        export_kind(Path("hits.xml"))
    with pytest.raises(ValueError, match="'hits' ends in 'nothing'"):
        export_kind(Path("hits"))


@pytest.mark.parametrize("kind", ["fcpxml", "csv", "m3u8"])
def test_notes_say_what_was_conformed(kind: str) -> None:
    made = [excerpt(0, 30, PAL), excerpt(0, 30, NTSC, constant=False, path="/phone.mp4")]
    _, notes = export_text(made, kind, "the sea")
    expected = {"fcpxml": ["variable", "another rate"], "csv": ["variable"], "m3u8": []}[kind]
    assert len(notes) == len(expected)
    assert all(word in note for word, note in zip(expected, notes, strict=True))


def test_a_title_is_one_short_line() -> None:
    text, _ = export_text([excerpt(0, 30, PAL)], "fcpxml", "the sea\n" + "wave " * 99)
    title = text.partition('event name="')[2].partition('"')[0]
    assert title.startswith("the sea_wave")
    assert len(title) <= 70


def test_nothing_is_overwritten_and_odd_bytes_stay(tmp_path: Path) -> None:
    text, _ = export_text([excerpt(0, 30, PAL, path="/films/\udcff.mp4")], "csv", "")
    paths = [save_export(text, tmp_path / "new" / "hits.csv") for _ in range(2)]
    assert [path.name for path in paths] == ["hits.csv", "hits (2).csv"]
    assert b"/films/\xff.mp4" in paths[0].read_bytes()


def test_a_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("opentimelineio"):
            raise ImportError("none", name="opentimelineio")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"need opentimelineio, .* install vidsift\[export\]"):
        export_text([excerpt(0, 30, PAL)], "otio", "")
