from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.index.library import filled, lance_table
from tests.methods import tiny

from vidsift.errors import IndexFolderError, IndexWriteError
from vidsift.index import tables
from vidsift.index.folders import IndexedFolder
from vidsift.index.library import describe
from vidsift.index.manifest import default_folder
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.index.tables import Table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "index", tiny.model(), [5, 4, 5])


def test_a_missing_index_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match=r"there is no index at .*vidsift index FOLDER"):
        Store.open(tmp_path / "nowhere")


def test_another_format_is_refused_with_the_remedy(store: Store) -> None:
    path = store.folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99, "of the": "future"}))
    with pytest.raises(
        IndexFolderError, match="format 99, this vidsift reads formats up to 2; use the vidsift that"
    ):
        Store.open(store.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "sets": {"a": {}}}'])
def test_a_damaged_manifest_is_an_error(store: Store, text: str) -> None:
    (store.folder / "index.json").write_text(text)
    with pytest.raises(IndexFolderError, match=r"is damaged: index\.json"):
        Store.open(store.folder)


def test_a_missing_table_is_an_error(store: Store) -> None:
    (store.folder / "files.lance").rename(store.folder / "elsewhere.lance")
    with pytest.raises(IndexFolderError, match="is damaged"):
        Store.open(store.folder)


def test_the_manifest_comes_back(store: Store) -> None:
    opened = Store.open(store.folder)
    assert opened.manifest.fingerprint == store.manifest.fingerprint
    assert opened.manifest.sets == store.manifest.sets
    assert opened.manifest.sets["frame"].slots == tiny.FRAMES
    assert opened.manifest.reading["size_px"] == tiny.SIZE_PX


def test_a_folder_with_other_files_is_left_alone(store: Store, tmp_path: Path) -> None:
    taken = tmp_path / "photos"
    taken.mkdir()
    (taken / "holiday.jpg").write_text("x")
    with pytest.raises(IndexFolderError, match="holds other files"):
        Store.create(taken, store.manifest)
    assert [path.name for path in taken.iterdir()] == ["holiday.jpg"]


def test_an_index_that_was_never_finished_is_begun_anew(store: Store, tmp_path: Path) -> None:
    begun = Store.create(tmp_path / "begun", store.manifest)
    (begun.folder / "index.json").unlink()
    shutil.rmtree(begun.folder / "captions.lance")
    made = Store.create(begun.folder, store.manifest)
    assert (made.count(), made.read_captions()) == (0, {})


@pytest.mark.parametrize("emptied", [(), ("segments", "files")])
def test_tables_with_rows_outlive_the_loss_of_the_manifest(store: Store, emptied: tuple[str, ...]) -> None:
    store.set_tags(f"{0:032x}", ["mine"])
    manifest = store.folder / "index.json"
    text = manifest.read_text()
    manifest.unlink()
    for name in emptied:
        shutil.move(store.folder / f"{name}.lance", store.folder.parent)
    with pytest.raises(
        IndexFolderError, match=r"index.json is gone, its tables hold rows; put the file back"
    ):
        Store.create(store.folder, store.manifest)
    for name in emptied:
        shutil.move(store.folder.parent / f"{name}.lance", store.folder)
    manifest.write_text(text)
    again = Store.open(store.folder)
    assert again.count() == 3
    assert again.read_tags() == {f"{0:032x}": {"mine"}}


def test_a_path_is_stored_once_with_what_was_seen_last(store: Store) -> None:
    store.commit(None, [FileRecord("/it's.mp4", 1, 1, "aa"), FileRecord("/b.mp4", 1, 1, None, "is empty")])
    store.commit(None, [FileRecord("/it's.mp4", 2, 2, "bb", damage="ends early")])
    files = store.read_files()
    assert files["/it's.mp4"] == FileRecord("/it's.mp4", 2, 2, "bb", damage="ends early")
    assert files["/b.mp4"].reason == "is empty"


def test_forgetting_the_only_path_of_a_video_drops_its_segments(store: Store) -> None:
    other = f"{1:032x}"
    store.commit(None, [FileRecord("/it's a copy.mp4", 1, 1, f"{0:032x}")])
    store.drop_paths(["/videos/a/0.mp4", "/videos/b/1.mp4"])
    assert store.drop_orphans() == 1
    assert store.video_ids() == {f"{0:032x}"}
    store.drop_paths(["/it's a copy.mp4"])
    assert store.drop_orphans() == 1
    assert store.count() == 0
    assert other not in {record.video_id for record in store.read_files().values()}


def test_a_second_writer_is_refused_until_the_first_is_gone(store: Store) -> None:
    hold = (
        "import sys\nfrom pathlib import Path\nfrom vidsift.index.writing import write_lock\n"
        "with write_lock(Path(sys.argv[1]), 'writing.lock'):\n    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(store.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(IndexFolderError, match="another process is writing"), store.writing():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    with store.writing():
        pass


def test_many_small_commits_are_merged_and_nothing_is_lost(store: Store) -> None:
    for number in range(tables._MANY_SMALL_PIECES + 1):
        store.commit(None, [FileRecord(f"/{number}.mp4", 1, 1, "aa")])
    before = store.read_files()
    store.compact()
    assert store.read_files() == before
    statistics = lance_table(store.folder, "files").stats()
    assert statistics["fragment_stats"]["num_fragments"] == 1


def test_the_default_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("VIDSIFT_INDEX", raising=False)
    assert default_folder() == tmp_path / "vidsift" / "index"
    monkeypatch.setenv("VIDSIFT_INDEX", "~/mine")
    assert default_folder() == Path.home() / "mine"


def test_description_counts_what_is_there(store: Store) -> None:
    store.commit(None, [FileRecord("/bad.mp4", 1, 1, None, "is empty")])
    facts = describe(store.folder)
    assert (facts["videos"], facts["segments"], facts["files"], facts["failed"]) == (2, 3, 2, 1)
    assert facts["token sets"] == {"frame": f"{tiny.FRAMES} x 16"}
    assert facts["hours of video"] == pytest.approx(4 / 3600, abs=1e-3)
    assert facts["bytes on disk"] == sum(
        path.stat().st_size for path in store.folder.rglob("*") if path.is_file()
    )
    assert facts["bytes per hour of video"] == pytest.approx(facts["bytes on disk"] * 900, rel=0.01)


def test_a_folder_that_may_not_be_written_is_an_error_with_the_remedy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(IndexFolderError, match=r"may not be written by this user.*--index"), store.writing():
        pass

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(IndexFolderError, match=r"may not be written by this user.*--index"):
        Store.create(tmp_path / "new", store.manifest)


def test_who_waited_for_the_lock_sees_what_was_written_meanwhile(store: Store) -> None:
    late = Store.open(store.folder)
    store.commit(None, [FileRecord("/new.mp4", 1, 1, "aa")])
    with late.writing():
        assert "/new.mp4" in late.read_files()


def test_a_disk_that_fails_is_reported_in_plain_words(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)\nat rust/x.rs")

    monkeypatch.setattr(Table, "add", full)
    with pytest.raises(
        IndexWriteError, match=r"could not be written: .*No space left.*committed before is whole"
    ):
        store.commit(lance_table(store.folder).to_arrow(), [FileRecord("/new.mp4", 1, 1, "aa")])
    assert "/new.mp4" not in Store.open(store.folder).read_files()


def test_a_version_stays_for_an_hour_after_it_was_replaced(store: Store) -> None:
    reader = Store.open(store.folder).segment_reader()
    before = reader.read(["segment_id"])
    store.drop_videos([f"{0:032x}"])
    with store.writing():
        store.optimize()
    assert reader.read(["segment_id"]).equals(before)
    assert len(lance_table(store.folder).list_versions()) > 1
    with store.writing():
        store.optimize(timedelta(0))
    assert len(lance_table(store.folder).list_versions()) == 1
    assert store.video_ids() == {f"{1:032x}"}


def test_folders_are_remembered(store: Store) -> None:
    assert store.read_folders() == []
    folders = [IndexedFolder("/b", exclude=("drafts",)), IndexedFolder("/a", include=("*.mov", "x/*"))]
    store.write_folders(folders)
    assert Store.open(store.folder).read_folders() == folders[::-1]
    (store.folder / "folders.json").write_text('[{"path": "/a"}]')
    with pytest.raises(IndexFolderError, match=r"folders.json cannot be read .*vidsift index add"):
        store.read_folders()
