"""Photos in folders of videos: passed over and counted, read where somebody names them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from tests.index.library import clip, rows
from tests.methods import tiny
from tests.video.making import picture
from tests.video.photographing import heif, jpeg, still

from vidsift.index.build import Report, build_index, update_index
from vidsift.index.check import check_index
from vidsift.index.folders import IndexedFolder
from vidsift.index.library import describe
from vidsift.index.plan import KnownState, files_named_alone, make_plan, named_beside_folders
from vidsift.index.schema import SINGLE_PICTURE, FileRecord
from vidsift.index.storage import Store

OVER = {"single picture": 4, "animated WebP file": 1}


def album(folder: Path) -> Path:
    """One video, four single pictures, an animated WebP, and photos that nobody takes for videos."""
    clip(folder, "clip")
    still(folder, ".mp4"), still(folder, ".gif")
    (folder / "photo.heic").write_bytes(heif())
    (folder / "wrong.mov").write_bytes(jpeg())
    (folder / "plain.jpg").write_bytes(jpeg())
    pictures = [Image.fromarray(picture(number)) for number in range(3)]
    pictures[0].save(folder / "moving.webp", save_all=True, append_images=pictures[1:])
    pictures[0].save(folder / "plain.webp")
    return folder


def summary(report: Report) -> tuple[int, int, dict[str, int], list[str]]:
    return report.added, report.unchanged, report.passed_over, [failure.path for failure in report.failed]


def test_single_pictures_are_passed_over_and_counted(tmp_path: Path) -> None:
    folder, index, model = album(tmp_path / "album"), tmp_path / "index", tiny.model()
    first = build_index([folder], index, model, workers=1)
    assert summary(first) == (1, 0, OVER, [])
    assert len(rows(index)) == 1
    again = build_index([folder], index, model, workers=1)
    assert summary(again) == (0, 1, OVER, [])
    records = Store.open(index).read_files()
    reasons = {Path(path).name: record.reason for path, record in records.items()}
    assert reasons == {"clip.mp4": None} | dict.fromkeys(
        ("still1.mp4", "still1.gif", "wrong.mov"), SINGLE_PICTURE
    )
    facts = describe(index)
    assert (facts["files"], facts["failed"], facts["videos"]) == (1, 0, 1)
    assert check_index(index).problems == []
    # None is opened again: all is known from its size and time.
    plan = make_plan([IndexedFolder(str(folder))], KnownState(records), retry=True)
    assert (plan.to_read, dict(plan.passed_over)) == ([], OVER)
    still_file = str(folder / "still1.gif")
    assert make_plan([IndexedFolder(still_file)], KnownState(records), retry=False).to_read == [still_file]


def test_named_by_itself_a_picture_is_read_and_stays(tmp_path: Path) -> None:
    folder, index, model = album(tmp_path / "album"), tmp_path / "index", tiny.model()
    named = [folder / "still1.gif", folder / "still1.mp4"]
    assert summary(build_index(named, index, model, workers=1)) == (2, 0, {}, [])
    # Also when the folder around them is walked later, by itself or in an update.
    rest = {"single picture": 2, "animated WebP file": 1}
    assert summary(build_index([folder], index, model, workers=1)) == (1, 2, rest, [])
    # A copy of one is no video, though its content is.
    (folder / "copy.gif").write_bytes(named[0].read_bytes())
    more = {"single picture": 3, "animated WebP file": 1}
    assert summary(update_index(index, model, workers=1)) == (0, 3, more, [])


def test_pictures_that_an_earlier_version_took_in_are_dropped(tmp_path: Path) -> None:
    folder, index, model = album(tmp_path / "album"), tmp_path / "index", tiny.model()
    photo = folder / "photo.heic"
    build_index([folder / "clip.mp4", folder / "still1.gif"], index, model, workers=1)
    store = Store.open(index)
    with store.writing():
        store.write_folders([IndexedFolder(str(folder))])
        status = photo.stat()
        identity = rows(index)[0]["video_id"]
        store.commit(None, [FileRecord(str(photo), status.st_size, status.st_mtime_ns, identity)])
    assert len(rows(index)) == 2
    report = update_index(index, model, workers=1)
    assert summary(report) == (0, 1, OVER, [])
    assert len(rows(index)) == 1
    assert str(photo) not in Store.open(index).read_files()
    assert check_index(index).problems == []


def test_what_was_named_by_itself_is_known_also_while_it_is_away(tmp_path: Path) -> None:
    """A folder that is away is no file; a file that the index knows is one."""
    (tmp_path / "there.gif").write_bytes(b"GIF89a")
    (tmp_path / "folder").mkdir()
    paths = [str(tmp_path / name) for name in ("there.gif", "folder", "away", "away.gif", "away.mp4")]
    known = {paths[3]: FileRecord(paths[3], 1, 1, "a"), paths[4]: FileRecord(paths[4], 1, 1, "b")}
    places = [IndexedFolder(path) for path in paths]
    assert files_named_alone(places, known) == {paths[0], paths[3], paths[4]}
    assert named_beside_folders(places, known, ()) == {paths[0], paths[3]}
    assert named_beside_folders(places, known, ("b",)) == {paths[0], paths[3], paths[4]}
