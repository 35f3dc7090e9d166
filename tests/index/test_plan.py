from __future__ import annotations

import ntpath
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.index.strange import crash

from vidsift.files import paths
from vidsift.files.paths import absolute, inside, path_keys, under
from vidsift.index import plan as plans
from vidsift.index.folders import IndexedFolder
from vidsift.index.plan import KnownState, make_plan
from vidsift.index.schema import FileRecord


def _file(path: Path, text: str = "x") -> FileRecord:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    status = path.stat()
    return FileRecord(str(path), status.st_size, status.st_mtime_ns, video_id=path.stem)


def test_only_what_is_new_or_changed_is_read(tmp_path: Path) -> None:
    same, changed = _file(tmp_path / "same.mp4"), _file(tmp_path / "changed.mp4")
    _file(tmp_path / "new.mp4")
    (tmp_path / "changed.mp4").write_text("longer")
    plan = make_plan(
        [IndexedFolder(str(tmp_path))],
        KnownState({record.path: record for record in (same, changed)}),
        retry=False,
    )
    assert plan.to_read == [str(tmp_path / "changed.mp4"), str(tmp_path / "new.mp4")]
    assert plan.unchanged == [same.path]
    assert plan.gone == []


def test_a_touched_file_is_looked_at_again(tmp_path: Path) -> None:
    known = _file(tmp_path / "a.mp4")
    os.utime(known.path, ns=(1, known.modified_ns + 1))
    assert make_plan(
        [IndexedFolder(str(tmp_path))], KnownState({known.path: known}), retry=False
    ).to_read == [known.path]


def test_a_failed_file_waits_for_a_change_or_for_retry(tmp_path: Path) -> None:
    seen = _file(tmp_path / "bad.mp4")
    bad = FileRecord(seen.path, seen.size_bytes, seen.modified_ns, reason="is damaged")
    plan = make_plan([IndexedFolder(str(tmp_path))], KnownState({bad.path: bad}), retry=False)
    assert (plan.to_read, plan.failed_before) == ([], [bad])
    assert make_plan([IndexedFolder(str(tmp_path))], KnownState({bad.path: bad}), retry=True).to_read == [
        bad.path
    ]


def test_only_what_lies_under_the_given_places_can_be_gone(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here2").mkdir()
    records = [
        FileRecord(str(tmp_path / place / "a.mp4"), 1, 1, video_id=place) for place in ("here", "here2")
    ]
    plan = make_plan(
        [IndexedFolder(str(tmp_path / "here"))],
        KnownState({record.path: record for record in records}),
        retry=False,
    )
    assert plan.gone == [str(tmp_path / "here" / "a.mp4")]
    assert plan.gone_videos == ["here"]


def test_a_name_that_is_not_text_is_rejected(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    try:
        (tmp_path / name).write_text("x")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes no such names")
    plan = make_plan([IndexedFolder(str(tmp_path))], KnownState(), retry=False)
    assert plan.to_read == []
    assert plan.rejected[0][1] == "its name is not valid text; rename it"
    plan.rejected[0][0].encode("utf-8")


def test_paths_are_whole_and_links_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    assert absolute("real/../link/x") == str(tmp_path / "link" / "x")
    assert absolute("~/x") == str(Path.home() / "x")


def test_paths_are_compared_as_the_system_compares_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not under("/Videos/a", "/videos")
    monkeypatch.setattr(paths, "os", SimpleNamespace(path=ntpath, sep="\\"))
    assert under(r"C:\Videos\a.mp4", r"c:\videos")
    assert under(r"c:\videos", r"C:/Videos")
    assert not under(r"C:\Videos2\a.mp4", r"c:\videos")
    places = path_keys(["D:\\", r"c:\VIDEOS\old"])
    assert inside(r"C:\Videos\Old\a.mp4", places)
    assert inside(r"d:\any\where.mp4", places)
    assert not inside(r"C:\Videos\older\a.mp4", places)


def test_under_needs_a_whole_folder_name() -> None:
    assert under("/a", "/a")
    assert under("/a/b", "/")
    assert not under("/ab/c", "/a")


def test_a_file_that_kills_who_looks_into_it_is_written_down_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd").write_bytes(b"\x1aE\xdf\xa3" + bytes(500))
    path = str(tmp_path / "odd")
    monkeypatch.setattr(plans, "holds_video", crash)
    places = [IndexedFolder(str(tmp_path))]
    first = make_plan(places, KnownState(), retry=False)
    (record,) = first.harmful
    assert (record.path, record.size_bytes, record.video_id) == (path, 504, None)
    assert record.reason == "looking into it, the decoder crashed (signal 11)"
    assert (first.rejected, first.to_read) == ([], [])

    monkeypatch.setattr(plans, "holds_video", lambda _: pytest.fail("looked into again"))
    again = make_plan(places, KnownState({path: record}), retry=False)
    assert (again.failed_before, again.harmful) == ([record], [])
    assert make_plan(places, KnownState({path: record}), retry=True).to_read == [path]


def test_a_harmful_file_whose_name_is_not_text_is_rejected_and_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"\x1aE\xdf\xa3" + bytes(500))
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes no such names")
    monkeypatch.setattr(plans, "holds_video", crash)
    plan = make_plan([IndexedFolder(str(tmp_path))], KnownState(), retry=False)
    ((shown, reason),) = plan.rejected
    assert shown.encode("utf-8").endswith("caf\ufffd".encode())
    assert reason == "its name is not valid text; rename it"
    assert (plan.harmful, plan.to_read) == ([], [])


def test_places_that_overlap_hide_nothing_from_each_other(tmp_path: Path) -> None:
    """Each is walked by its own patterns, whichever comes first; no file is read twice."""
    film, take = _file(tmp_path / "a" / "b" / "film.mp4"), _file(tmp_path / "a" / "b" / "take.mov")
    draft = _file(tmp_path / "a" / "b" / "drafts" / "draft.mov")
    outer = IndexedFolder(str(tmp_path / "a"), include=("*.mp4",))
    inner = IndexedFolder(str(tmp_path / "a" / "b"), exclude=("drafts",))
    for places in ([outer, inner], [inner, outer]):
        assert sorted(make_plan(places, KnownState(), retry=False).to_read) == [film.path, take.path]
    everything = IndexedFolder(str(tmp_path / "a"))
    assert sorted(make_plan([inner, everything], KnownState(), retry=False).to_read) == sorted(
        [film.path, take.path, draft.path]
    )


def test_what_was_removed_is_passed_over_with_all_that_is_in_it(tmp_path: Path) -> None:
    old, same_name = _file(tmp_path / "old.mp4"), _file(tmp_path / "deep" / "old.mp4")
    _file(tmp_path / "out" / "deep" / "a.mp4"), _file(tmp_path / "deep" / "b[1].mp4")
    removed = tuple(str(tmp_path / name) for name in ("out", "deep/b[1].mp4"))
    plan = make_plan([IndexedFolder(str(tmp_path), removed=removed)], KnownState(), retry=False)
    assert plan.to_read == [old.path, same_name.path]
    named = make_plan([IndexedFolder(str(tmp_path / "out"))], KnownState(), retry=False)
    assert named.to_read == [str(tmp_path / "out" / "deep" / "a.mp4")]


def test_a_path_in_another_spelling_is_the_same_file_where_the_system_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index may know ``C:\\Videos`` and be asked for ``c:\\videos``."""
    lowercase = _file(tmp_path / "videos" / "clip.mp4")
    (tmp_path / "Videos").symlink_to(tmp_path / "videos")  # both spellings lead there, as on Windows
    known = replace(lowercase, path=str(tmp_path / "Videos" / "clip.mp4"))
    gone = replace(lowercase, path=str(tmp_path / "Videos" / "gone.mp4"), video_id="gone")
    before = {record.path: record for record in (known, gone)}
    places = [IndexedFolder(str(tmp_path / "videos"))]
    apart = make_plan(places, KnownState(before), retry=False)
    assert (apart.to_read, apart.unchanged, apart.gone) == ([lowercase.path], [], [])
    monkeypatch.setattr(os.path, "normcase", ntpath.normcase)
    plan = make_plan(places, KnownState(before), retry=False)
    assert (plan.to_read, plan.unchanged, plan.gone) == ([], [known.path], [gone.path])


def test_patterns_belong_to_their_place_and_what_they_leave_out_is_not_gone(tmp_path: Path) -> None:
    included, left = _file(tmp_path / "a" / "kept.mp4"), _file(tmp_path / "a" / "drafts" / "left.mp4")
    other = _file(tmp_path / "b" / "drafts" / "other.mp4")
    places = [IndexedFolder(str(tmp_path / "a"), exclude=("drafts",)), IndexedFolder(str(tmp_path / "b"))]
    assert make_plan(places, KnownState(), retry=False).to_read == [included.path, other.path]
    plan = make_plan(places, KnownState({left.path: left}), retry=False)
    assert plan.gone == []
