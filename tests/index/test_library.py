from __future__ import annotations

from pathlib import Path

import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.index.folders import IndexedFolder
from vidsift.index.library import Library, outermost, records_by_video
from vidsift.index.schema import SINGLE_PICTURE, FileRecord
from vidsift.index.storage import Store
from vidsift.types import Span

FIRST, SECOND = f"{0:032x}", f"{1:032x}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two videos, the second of two segments, and a copy of the first."""
    made = filled(tmp_path / "index", tiny.model(), [5, 4, 5])
    made.commit(
        None,
        [
            FileRecord("/copies/first.mp4", 1, 1, FIRST, damage="ends early"),
            FileRecord("/videos/b/bad.mp4", 1, 1, reason="is empty"),
            FileRecord("/videos/b/photo.gif", 1, 1, reason=SINGLE_PICTURE),
        ],
    )
    made.write_folders([IndexedFolder("/videos")])
    made.set_tags(FIRST, ["holiday"])
    made.write_captions({"/videos/captions.jsonl": {SECOND: ["a dog"]}})
    return made


def test_a_video_stands_with_all_its_paths_segments_tags_and_captions(store: Store) -> None:
    library = Library.read(store)
    assert list(library.videos) == [FIRST, SECOND]
    first, second = library.videos.values()
    assert [file.path for file in first.files] == ["/copies/first.mp4", "/videos/a/0.mp4"]
    assert (first.path, first.damage) == ("/copies/first.mp4", "ends early")
    assert first.tags == {"holiday"}
    assert list(second.segments.values()) == [Span(0.0, 6.0), Span(6.0, 12.0)]
    assert (second.duration_seconds, second.codec, second.damage) == (3.0, "h264", None)
    assert library.captions == {SECOND: ["a dog"]}
    assert library.owners[list(second.segments)[1]] is second


def test_what_failed_is_listed_and_counted_by_folder(store: Store) -> None:
    library = Library.read(store)
    assert [file.path for file in library.failures] == ["/videos/b/bad.mp4"]
    assert [file.path for file in library.partial] == ["/copies/first.mp4"]
    # The copy lies in no folder that was asked for; a single picture is neither read nor failed.
    assert library.folders == {"/copies": (1, 0), "/videos": (2, 1)}


def test_a_video_that_lies_nowhere_is_not_listed(store: Store) -> None:
    store.drop_paths(["/videos/b/1.mp4"])
    library = Library.read(store)
    assert list(library.videos) == [FIRST]
    assert list(records_by_video(store.read_files())) == [FIRST]


def test_folders_within_others_are_counted_with_them() -> None:
    assert outermost(["/v/a/b", "/v/a", "/w", "/w"]) == ["/v/a", "/w"]
    assert outermost([]) == []
    assert outermost(["/", "/a"]) == ["/"]
