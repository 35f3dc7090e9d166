"""An index that an earlier vidsift made opens, answers and is raised to today's format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.index.library import lance_table, library

from vidsift.errors import IndexFolderError
from vidsift.index.build import build_index
from vidsift.index.check import check_index
from vidsift.index.library import describe
from vidsift.index.schema import FORMAT, FileRecord
from vidsift.index.storage import Store
from vidsift.search.searcher import Index

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = sorted(int(path.name.removeprefix("format-")) for path in FIXTURES.iterdir() if path.is_dir())


@pytest.fixture(params=FORMATS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a stored index, made by the vidsift of its time; see ``fixtures/README.md``."""
    folder = tmp_path / "index"
    shutil.copytree(FIXTURES / f"format-{request.param}" / "index", folder)
    return folder


def _home(folder: Path) -> Path:
    return FIXTURES / f"format-{json.loads((folder / 'index.json').read_text())['format']}"


def _expected(folder: Path) -> dict[str, object]:
    expected: dict[str, object] = json.loads((_home(folder) / "expected.json").read_text())
    return expected


def test_every_format_has_its_fixture() -> None:
    assert list(range(1, FORMAT)) == FORMATS


def test_it_is_read_and_searched_without_being_written(old: Path) -> None:
    expected = _expected(old)
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    store = Store.open(old)
    assert sorted(store.read_files()) == expected["files"]
    assert (store.read_tags(), store.read_captions(), store.read_folders()) == ({}, {}, [])
    assert describe(old)["segments"] == expected["segments"]
    hits = Index.open(old, _home(old) / "model", device="cpu").search(str(expected["query"]), k=3)
    assert [[hit.path, round(hit.score, 4)] for hit in hits] == expected["hits"]
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_writing_raises_it_and_loses_nothing(old: Path) -> None:
    expected = _expected(old)
    store = Store.open(old)
    rows = lance_table(old).to_arrow()
    video_id = next(record.video_id for record in store.read_files().values() if record.video_id)
    store.set_tags(video_id, ["old friend"])
    assert json.loads((old / "index.json").read_text())["format"] == FORMAT
    raised = Store.open(old)
    assert raised.manifest.format == FORMAT
    assert raised.read_tags() == {video_id: {"old friend"}}
    assert lance_table(old).to_arrow().equals(rows)
    assert sorted(raised.read_files()) == expected["files"]
    report = check_index(old, contents=False)
    assert report.problems == []


def test_raising_that_was_cut_off_begins_anew(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(old)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vidsift.index.manifest.write_json", fail)
        with pytest.raises(OSError, match="No space left"), store.writing():
            pass
    Store.open(old).read_files()
    store = Store.open(old)
    with store.writing():
        store.commit(None, [FileRecord("/new.mp4", 1, 1, "aa")])
    assert Store.open(old).manifest.format == FORMAT
    assert "/new.mp4" in Store.open(old).read_files()


def test_it_can_be_built_on(old: Path, tmp_path: Path) -> None:
    library(tmp_path / "videos", 2)
    before = Store.open(old).count()
    report = build_index([tmp_path / "videos"], old, _home(old) / "model", workers=1)
    assert report.added == 2
    assert Store.open(old).count() == before + 2


def test_the_format_of_the_future_is_refused(old: Path) -> None:
    path = old / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(IndexFolderError, match=f"reads formats up to {FORMAT}"):
        Store.open(old)
