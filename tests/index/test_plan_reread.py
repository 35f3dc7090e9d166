"""Files that an earlier version read with wrong times, and stretches in which there is nothing to see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.index.library import clip, filled, lance_table, rows
from tests.index.strange import PREPROCESSING
from tests.methods import tiny
from tests.video.making import Recipe, make

from vidsift.index import decode_worker
from vidsift.index.build import Report, build_index
from vidsift.index.decode_worker import Done, Facts, ReadSettings, Segment, read_video
from vidsift.index.encode import Encoder
from vidsift.index.manifest import READER
from vidsift.index.plan import files_to_reread, mark_reread
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.video import probe


def _joined(folder: Path) -> Path:
    part = make(folder, Recipe(suffix=".mpg", codec="mpeg2video", frames=50, fps=25, gop=12), "part")
    path = folder / "joined.mpg"
    path.write_bytes(part.read_bytes() * 2)
    part.unlink()
    return path


@pytest.fixture
def run(tmp_path: Path) -> Callable[[], Report]:
    model = tiny.model()
    return lambda: build_index([tmp_path / "videos"], tmp_path / "index", model, segment=1.0, workers=1)


def test_files_read_with_wrong_times_are_read_anew_once(
    tmp_path: Path, run: Callable[[], Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index as the version before left it: half of a joined file, and no word of the reader."""
    videos, index = tmp_path / "videos", tmp_path / "index"
    clip(videos, "plain")
    whole = make(videos, Recipe(suffix=".mpg", codec="mpeg2video", frames=30, fps=25, gop=12), "whole")
    path = _joined(videos)
    whole_id, joined_id = (decode_worker.content_id(file) for file in (whole, path))
    run()
    now = rows(index)
    assert max(row["end_seconds"] for row in now if row["video_id"] == joined_id) == pytest.approx(4.0)

    store = Store.open(index)
    table = rows(index)
    store.drop_videos([joined_id])
    half = [row | {"duration_seconds": 2.0} for row in table if row["video_id"] == joined_id][:2]
    store.commit(pa.Table.from_pylist(half, schema=lance_table(index).schema), [])
    store.set_tags(joined_id, ["mine"])
    (index / READER).unlink()
    read: list[str] = []
    begin = Encoder.begin

    def noted(self: Encoder, path: str, facts: Facts) -> None:
        read.append(facts.video_id)
        begin(self, path, facts)

    monkeypatch.setattr(Encoder, "begin", noted)
    report = run()
    assert (report.unchanged, report.added, report.updated, report.failed) == (3, 0, 0, [])
    assert read == [joined_id]  # the other one of this kind is looked at, and is as long as it was
    assert rows(index) == now
    assert Store.open(index).read_tags() == {joined_id: {"mine"}}
    assert whole_id in {row["video_id"] for row in now}
    assert json.loads((index / READER).read_text()) == {"version": 2, "waiting": []}


def test_only_files_of_the_kinds_concerned_are_looked_at(tmp_path: Path) -> None:
    """What is away waits by its name; the others are opened for a few bytes."""
    store = filled(tmp_path / "index", tiny.model(), [1])
    program_stream = tmp_path / "film.mpg"
    program_stream.write_bytes(b"\0\0\1\xba" + bytes(400))
    transport_stream = tmp_path / "without a name"
    transport_stream.write_bytes((b"G" + bytes(187)) * 3)
    (tmp_path / "other.mod").write_bytes(bytes(400))
    matroska = b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\x80"
    (tmp_path / "one.mkv").write_bytes(matroska)
    (tmp_path / "two.mkv").write_bytes(matroska * 2)
    records = [
        FileRecord("/away/film.mts", 1, 1, "a"),
        FileRecord("/away/film.mp4", 1, 1, "b"),
        FileRecord("/away/late.mkv", 1, 1, "c", damage="the file ends at 60 s of 110 s; it may be cut off"),
        FileRecord("/away/bad.ts", 1, 1, reason="is empty"),
        FileRecord(str(program_stream), 1, 1, "d"),
        FileRecord(str(transport_stream), 1, 1, "e"),
        FileRecord(str(tmp_path / "other.mod"), 1, 1, "f"),
        FileRecord(str(tmp_path / "one.mkv"), 1, 1, "g"),
        FileRecord(str(tmp_path / "two.mkv"), 1, 1, "h"),
    ]
    known = {record.path: record for record in records}
    expected = {"/away/film.mts", "/away/late.mkv", str(program_stream), str(transport_stream)}
    expected.add(str(tmp_path / "two.mkv"))
    waiting = files_to_reread(store, known)
    assert waiting == expected
    mark_reread(store, waiting, ["/away/late.mkv", "/away/film.mp4"])
    # Later ones are read by this version, and need not be looked at.
    known |= {"/new.ts": FileRecord("/new.ts", 1, 1, "g")}
    assert waiting == files_to_reread(store, known) == expected - {"/away/late.mkv"}


def test_a_joined_file_is_cut_into_segments_to_its_end(tmp_path: Path) -> None:
    path = _joined(tmp_path)
    facts, *segments, end = read_video(str(path), ReadSettings(PREPROCESSING, 1.0, frozenset()))
    assert isinstance(facts, Facts)
    assert facts.duration_seconds == probe(path).duration_seconds == pytest.approx(4.0)
    spans = [segment.span for segment in segments if isinstance(segment, Segment)]
    assert [span.start_seconds for span in spans] == pytest.approx([0, 1, 2, 3])
    assert isinstance(end, Done)
    assert end.damage is None


def test_a_stretch_without_pictures_makes_no_segments_and_is_marked(tmp_path: Path) -> None:
    pts = [at * 100 + (600_000 if at >= 20 else 0) for at in range(40)]
    path = make(tmp_path, Recipe(suffix=".mkv", frames=40, fps=10, gop=10, b_frames=0, pts=pts))
    facts, *segments, end = read_video(str(path), ReadSettings(PREPROCESSING, 2.0, frozenset()))
    assert isinstance(facts, Facts)
    assert facts.duration_seconds == pytest.approx(604.0)
    spans = [segment.span for segment in segments if isinstance(segment, Segment)]
    assert [span.start_seconds for span in spans] == pytest.approx([0, 602])
    assert isinstance(end, Done)
    assert end.damage == "no pictures from 2.00 s to 602.00 s"
