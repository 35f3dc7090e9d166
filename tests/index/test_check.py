"""Each kind of damage to an index is found by name and repaired; the next run brings everything back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.index.library import lance_table, library, rows
from tests.methods import tiny

from vidsift.index.build import build_index, update_index
from vidsift.index.check import CheckReport, IndexProblem, check_index
from vidsift.index.schema import FileRecord, TableName, files_schema
from vidsift.index.storage import Store
from vidsift.index.tables import Table

CLIPS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``videos``, ``model`` and the ``index`` of both."""
    home = tmp_path_factory.mktemp("made")
    library(home / "videos", CLIPS)
    tiny.model().save(home / "model")
    build_index([home / "videos"], home / "index", home / "model", workers=1)
    return home


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    """A copy of the index that may be damaged."""
    shutil.copytree(made / "index", tmp_path / "index")
    return Store.open(tmp_path / "index")


def _rewrite(store: Store, change: Callable[[dict[str, Any]], None], row: int = 0) -> str:
    """Change one stored segment; return its name."""
    segments = lance_table(store.folder)
    table = segments.to_arrow()
    values = table.slice(row, 1).to_pylist()[0]
    name = str(values["segment_id"])
    change(values)
    segments.delete(f"segment_id = '{name}'")
    segments.add(pa.Table.from_pylist([values], schema=table.schema))
    return name


def _poison(values: dict[str, Any]) -> None:
    tokens = np.frombuffer(values["frame_tokens"], np.float16).copy()
    tokens[5] = np.nan
    values["frame_tokens"] = tokens.tobytes()


def _zero(values: dict[str, Any]) -> None:
    values["frame_tokens"] = bytes(len(values["frame_tokens"]))


def _repaired(store: Store, made: Path, *, lost: int) -> None:
    """Repair drops what is wrong; the next run makes the index what it was."""
    report = check_index(store.folder, repair=True)
    assert report.whole
    assert all(problem.repaired for problem in report.problems)
    assert len(rows(store.folder)) == CLIPS - lost
    assert check_index(store.folder).problems == []
    build_index([made / "videos"], store.folder, made / "model", workers=1)
    assert rows(store.folder) == rows(made / "index")
    assert Store.open(store.folder).read_files() == Store.open(made / "index").read_files()


def test_a_whole_index_passes(made: Path) -> None:
    before = {path: path.read_bytes() for path in (made / "index").rglob("*") if path.is_file()}
    report = check_index(made / "index")
    assert (report.segments, report.videos, report.files, report.read_again) == (CLIPS, CLIPS, CLIPS, CLIPS)
    assert report.sentences() == [
        "3 segments of 3 videos at 3 paths were checked; everything is as it should be."
    ]
    assert {path: path.read_bytes() for path in (made / "index").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (_poison, "its tokens of frame are not finite"),
        (_zero, "its tokens of frame are all zero"),
        (lambda row: row.update(frame_mask=[0] * tiny.FRAMES), "its mask of frame leaves no token"),
        (
            lambda row: row.update(frame_mask=[7] * tiny.FRAMES),
            "its mask of frame holds values other than 0 and 1",
        ),
        (
            lambda row: row.update(frame_times_seconds=[float("inf")] * tiny.FRAMES),
            "its frame_times_seconds are not finite",
        ),
        (lambda row: row.update(pooled=[0.0] * 16), "its pooled vector is zero or not finite"),
        (lambda row: row.update(thumbnail=row["thumbnail"][:40]), "its thumbnail cannot be read"),
        (lambda row: row.update(end_seconds=-1.0), "its start and end are no stretch of the video"),
        (lambda row: row.update(start_seconds=0.1), "its name does not fit its video and place"),
    ],
)
def test_a_damaged_segment_is_found_and_repaired(
    store: Store, made: Path, change: Callable[[dict[str, Any]], None], wrong: str
) -> None:
    name = _rewrite(store, change)
    report = check_index(store.folder)
    assert [(problem.kind, problem.what, problem.wrong, problem.repaired) for problem in report.problems] == [
        ("segment", name, wrong, False)
    ]
    assert not report.whole
    assert report.sentences()[-1].endswith("1 problems, 0 repaired, 1 left.")
    if wrong in ("its mask of frame leaves no token", "its thumbnail cannot be read"):
        _repaired(store, made, lost=1)


def test_a_segment_that_is_there_twice_is_found_and_repaired(store: Store, made: Path) -> None:
    segments = lance_table(store.folder)
    segments.add(segments.to_arrow().slice(0, 1))
    (problem,) = check_index(store.folder).problems
    assert problem.wrong == "is stored 2 times"
    _repaired(store, made, lost=1)


def test_overlapping_segments_are_found(store: Store) -> None:
    segments = lance_table(store.folder)
    table = segments.to_arrow()
    values = table.slice(0, 1).to_pylist()[0]
    end = round(values["end_seconds"] * 1000)
    values |= {"start_seconds": 0.25, "segment_id": f"{values['video_id']}-000000250-{end:09d}"}
    segments.add(pa.Table.from_pylist([values], schema=table.schema))
    (problem,) = check_index(store.folder).problems
    assert (problem.what, problem.wrong) == (values["segment_id"], "overlaps the one before it")


def test_segments_without_a_path_and_a_path_without_segments(store: Store, made: Path) -> None:
    files = store.read_files()
    first, second = sorted(files)[:2]
    store.drop_paths([first])
    store.drop_videos([str(files[second].video_id)])
    report = check_index(store.folder)
    assert [(problem.kind, problem.what, problem.wrong) for problem in report.problems] == [
        ("file", second, "none of its segments is stored")
    ]
    assert report.loose == 1
    _repaired(store, made, lost=2)


def test_segments_without_a_path_are_a_note_and_go_with_the_next_run(store: Store, made: Path) -> None:
    path = min(store.read_files())
    store.drop_paths([path])
    loose = "1 segments belong to no known path: a run was stopped while writing them; "
    report = check_index(store.folder)
    assert (report.problems, report.whole) == ([], True)
    assert report.sentences()[0] == loose + "the next run drops them"
    assert report.sentences()[-1].endswith("everything is as it should be.")
    assert len(rows(store.folder)) == CLIPS
    assert check_index(store.folder, repair=True).sentences()[0] == loose + "they were dropped"
    assert len(rows(store.folder)) == CLIPS - 1
    assert check_index(store.folder).loose == 0


def test_paths_that_contradict_themselves(store: Store, made: Path) -> None:
    path = sorted(store.read_files())[0]
    files = lance_table(store.folder, "files")
    files.add(files.search().where(f"path = '{path}'").to_arrow().select(files_schema().names))
    store.refresh()
    store.commit(None, [FileRecord("/odd.mp4", 1, 1)])
    problems = {(problem.what, problem.wrong) for problem in check_index(store.folder).problems}
    assert problems == {
        (path, "is there 2 times"),
        ("/odd.mp4", "records neither a video nor a reason why the file failed"),
    }
    _repaired(store, made, lost=1)


def test_content_that_changed_behind_an_unchanged_stamp_is_found(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "videos", tmp_path / "videos")
    build_index([tmp_path / "videos"], tmp_path / "index", made / "model", workers=1)
    victim = tmp_path / "videos" / "clip0.mp4"
    stamp, data = victim.stat(), bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)
    os.utime(victim, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert check_index(tmp_path / "index", contents=False).problems == []
    (problem,) = check_index(tmp_path / "index").problems
    assert (problem.what, problem.wrong) == (
        str(victim),
        "holds other content than was indexed, though it looks unchanged",
    )
    report = check_index(tmp_path / "index", repair=True)
    assert report.whole
    assert str(victim) not in Store.open(tmp_path / "index").read_files()


def test_what_the_next_run_will_see_to_is_no_problem(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "bad.mp4").write_text("no video")
    build_index([tmp_path / "videos"], tmp_path / "index", made / "model", workers=1)
    (tmp_path / "videos" / "clip0.mp4").unlink()
    (tmp_path / "videos" / "clip1.mp4").touch()
    report = check_index(tmp_path / "index")
    assert report.whole
    assert report.files == CLIPS + 1
    assert [note.rpartition("/")[2] for note in report.remarks] == [
        "clip0.mp4 is gone; the next run over its folder removes it",
        "clip1.mp4 has changed since; the next run reads it again",
    ]


@pytest.mark.parametrize("damage", ["start", "end", "gone"])
def test_a_file_of_the_table_that_cannot_be_read_costs_its_neighbours_only(
    made: Path, tmp_path: Path, damage: str
) -> None:
    """Six commits of made-up rows, one of which is blanked in part or lost."""
    store = Store.create(tmp_path / "index", Store.open(made / "index").manifest)
    whole = lance_table(made / "index").to_arrow()
    names = [f"{number:032x}" for number in range(6)]
    for name in names:
        row = whole.slice(0, 1).to_pylist()[0]
        row |= {"segment_id": row["segment_id"].replace(row["video_id"], name), "video_id": name}
        store.commit(
            pa.Table.from_pylist([row], schema=whole.schema), [FileRecord(f"/{name}.mp4", 1, 1, name)]
        )
    data_files = sorted(
        (store.folder / "segments.lance" / "data").iterdir(), key=lambda path: path.stat().st_mtime_ns
    )
    _damage(data_files[3], damage)
    before = Store.open(store.folder)
    assert before.count() == 6

    report = check_index(store.folder)
    assert (report.problems[0].kind, report.problems[0].what) == ("table", "segments")
    assert "1 of its rows cannot be read" in report.problems[0].wrong
    assert check_index(store.folder, repair=True).whole
    left = Store.open(store.folder)
    assert left.video_ids() == set(names) - set(names[2:5])
    assert set(left.read_files()) == {f"/{name}.mp4" for name in left.video_ids()}
    assert check_index(store.folder).problems == []


def _damage(path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    if damage == "gone":
        path.unlink()
        return
    data[:third] = bytes(third) if damage == "start" else data[:third]
    data[-third:] = data[-third:] if damage == "start" else bytes(third)
    path.write_bytes(data)


def test_paths_that_cannot_be_read_are_found_again_by_content(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "index", tmp_path / "index")
    for path in (tmp_path / "index" / "files.lance" / "data").iterdir():
        _damage(path, "start")
    (problem,) = check_index(tmp_path / "index").problems
    assert (problem.kind, problem.what) == ("table", "files")
    assert check_index(tmp_path / "index", repair=True).problems[0].repaired
    report = build_index([made / "videos"], tmp_path / "index", made / "model", workers=1)
    assert (report.added, report.frames) == (CLIPS, 0)
    assert rows(tmp_path / "index") == rows(made / "index")


def test_segments_of_lost_paths_stay_until_every_folder_was_seen(made: Path, tmp_path: Path) -> None:
    """Three commits, one to a folder; the paths of two are lost."""
    index = tmp_path / "index"
    for number in range(CLIPS):
        (tmp_path / f"videos{number}").mkdir()
        shutil.copy(made / "videos" / f"clip{number}.mp4", tmp_path / f"videos{number}")
        build_index([tmp_path / f"videos{number}"], index, made / "model", workers=1)
    before, files = rows(index), Store.open(index).read_files()
    data = sorted((index / "files.lance" / "data").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for path in data[1:]:
        _damage(path, "start")

    assert check_index(index, repair=True).problems[0].repaired
    # What can be read is kept; and nothing is dropped by another repair, nor by a run over one folder.
    assert set(Store.open(index).read_files()) == {str(tmp_path / "videos0" / "clip0.mp4")}
    again = check_index(index, repair=True)
    assert (again.problems, again.remarks) == (
        [],
        ["2 segments belong to no known path; vidsift index update finds their files"],
    )
    build_index([tmp_path / "videos1"], index, made / "model", workers=1)
    assert rows(index) == before
    # What a run knew and lost is dropped as ever.
    (tmp_path / "videos1" / "clip1.mp4").unlink()
    build_index([tmp_path / "videos1"], index, made / "model", workers=1)
    assert len(rows(index)) == CLIPS - 1
    report = update_index(index, made / "model", workers=1)
    assert (report.added, report.frames) == (1, 0)
    remaining = {path: record for path, record in files.items() if not path.endswith("clip1.mp4")}
    assert Store.open(index).read_files() == remaining
    Store.open(index).drop_paths([str(tmp_path / "videos2" / "clip2.mp4")])
    report_now = check_index(index)
    assert (report_now.problems, report_now.loose) == ([], 1)


@pytest.mark.parametrize("name", ["segments", "files"])
def test_a_table_with_other_columns_is_reported_and_nothing_is_dropped(store: Store, name: TableName) -> None:
    before = rows(store.folder), Store.open(store.folder).read_files()
    table = lance_table(store.folder, name)
    table.add_columns({"later": "1"})
    for repair in (False, True):
        report = check_index(store.folder, repair=repair)
        assert [(problem.kind, problem.what, problem.repaired) for problem in report.problems] == [
            ("table", name, False)
        ]
        assert report.problems[0].wrong == "its columns are not those of the format; index again"
    table.checkout_latest()
    table.drop_columns(["later"])
    assert (rows(store.folder), Store.open(store.folder).read_files()) == before
    assert check_index(store.folder).problems == []


def test_another_model_in_the_models_folder_is_found(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "model", tmp_path / "model")
    build_index([made / "videos"], tmp_path / "index", tmp_path / "model", workers=1)
    shutil.rmtree(tmp_path / "model")
    tiny.model(seed=9).save(tmp_path / "model")
    report = check_index(tmp_path / "index", repair=True)
    (problem,) = report.problems
    assert (problem.kind, problem.repaired) == ("model", False)
    assert "has the fingerprint" in problem.wrong
    assert len(rows(tmp_path / "index")) == CLIPS
    shutil.rmtree(tmp_path / "model")
    assert check_index(tmp_path / "index").whole


def test_progress_reaches_the_end(made: Path) -> None:
    progress: list[tuple[int, int]] = []
    check_index(made / "index", on_progress=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (2 * CLIPS, 2 * CLIPS)


def test_the_report_counts_what_is_left() -> None:
    broken = IndexProblem("segment", "a", "its thumbnail cannot be read")
    report = CheckReport(segments=5, videos=4, files=6, problems=[broken, broken], remarks=["b is gone"])
    assert not report.whole
    counted = "5 segments of 4 videos at 6 paths were checked: 2 problems, "
    assert report.sentences()[-1] == counted + "0 repaired, 2 left."
    report.problems[0] = replace(broken, repaired=True)
    assert not report.whole
    assert report.sentences() == [
        "segment a: its thumbnail cannot be read (repaired)",
        "segment a: its thumbnail cannot be read",
        "b is gone",
        counted + "1 repaired, 1 left.",
    ]
    report.problems[1] = replace(broken, repaired=True)
    assert report.whole
    assert report.sentences()[-1] == counted + "2 repaired, 0 left."


def test_too_little_memory_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    table = Table(store.folder, "segments")
    monkeypatch.setattr(type(lance_table(store.folder)), "take_offsets", refuse)
    with pytest.raises(MemoryError):
        list(table.salvage(["video_id"]))
