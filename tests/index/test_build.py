from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.index.library import clip, library, rows
from tests.methods import tiny

from vidsift.errors import IndexFolderError
from vidsift.index import build
from vidsift.index.build import Progress, Report, build_index
from vidsift.index.check import check_index
from vidsift.index.decode_worker import Failed
from vidsift.index.manifest import Manifest
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.searcher import Index
from vidsift.workers.pool import ProcessPool


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Report]:
    """Index ``tmp_path/videos`` into ``tmp_path/index`` with the tiny model."""

    def index(model: Model | None = None, **options: Any) -> Report:
        model = tiny.model() if model is None else model
        return build_index([tmp_path / "videos"], tmp_path / "index", model, workers=1, **options)

    return index


def test_a_library_through_its_changes(tmp_path: Path, run: Callable[..., Report]) -> None:
    videos, folder = library(tmp_path / "videos", 3), tmp_path / "index"
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "notes.mp4").write_text("not a video")

    first = run()
    assert (first.added, first.unchanged, len(first.failed)) == (3, 0, 2)
    assert {Path(failure.path).name for failure in first.failed} == {"empty.mp4", "notes.mp4"}
    assert first.frames == 3 * tiny.FRAMES
    before = rows(folder)
    assert len(before) == 3

    again = run()
    assert (again.added, again.unchanged, again.frames) == (0, 3, 0)
    assert len(again.failed) == 2
    assert rows(folder) == before

    (videos / "clip0.mp4").rename(videos / "renamed.mp4")
    shutil.copy(videos / "clip1.mp4", videos / "copy.mp4")
    clip(tmp_path / "other", "clip2", frames=20)
    shutil.copy(tmp_path / "other" / "clip2.mp4", videos / "clip2.mp4")
    (videos / "empty.mp4").unlink()
    third = run()
    assert (third.moved, third.added, third.updated, third.removed) == (1, 1, 1, 1)
    assert third.frames == tiny.FRAMES
    after = rows(folder)
    assert len(after) == 3
    assert len({row["segment_id"] for row in after} & {row["segment_id"] for row in before}) == 2
    held = Store.open(folder).read_files()
    assert {Path(path).name for path in held} == {
        "renamed.mp4",
        "clip1.mp4",
        "copy.mp4",
        "clip2.mp4",
        "notes.mp4",
    }
    assert held[str(videos / "copy.mp4")].video_id == held[str(videos / "clip1.mp4")].video_id

    (videos / "clip1.mp4").unlink()
    (videos / "copy.mp4").unlink()
    assert run().removed == 2
    assert len(rows(folder)) == 2


def test_a_row_holds_what_the_model_gives(tmp_path: Path, run: Callable[..., Report]) -> None:
    path = clip(tmp_path / "videos", "a", frames=30, fps=15)
    model = tiny.model()
    run(model)
    (row,) = rows(tmp_path / "index")
    expected = model.encode_video([path])["frame"]
    stored = np.frombuffer(row["frame_tokens"], np.float16).reshape(tiny.FRAMES, 16)
    assert expected.weights is not None
    assert expected.times_seconds is not None
    assert np.array_equal(stored, expected.tokens[0].half().numpy())
    assert row["frame_weights"] == pytest.approx(expected.weights[0].tolist(), abs=1e-7)
    assert row["frame_times_seconds"] == expected.times_seconds[0].tolist()
    assert row["frame_mask"] == [1] * tiny.FRAMES
    assert np.linalg.norm(row["pooled"]) == pytest.approx(1, abs=1e-6)
    assert (row["start_seconds"], row["end_seconds"]) == (0.0, row["duration_seconds"])
    assert Image.open(io.BytesIO(row["thumbnail"])).size == (64, 48)


def test_failed_files_are_read_again_on_request(tmp_path: Path, run: Callable[..., Report]) -> None:
    bad = tmp_path / "videos" / "bad.mp4"
    clip(tmp_path / "videos", "good")
    whole = clip(tmp_path / "other", "whole").read_bytes()
    bad.write_bytes(b"x" * len(whole))
    run()
    stamp = bad.stat()
    bad.write_bytes(whole)
    os.utime(bad, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as if a broken disk gave it back whole
    assert len(run().failed) == 1
    retried = run(retry=True)
    assert (retried.failed, retried.added) == ([], 1)


@pytest.mark.parametrize("reason", ["Input/output error", "changed while it was being read; index again"])
def test_a_failure_that_may_pass_takes_nothing_away(
    tmp_path: Path, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    library(tmp_path / "videos", 2)
    run()
    before, files = rows(tmp_path / "index"), Store.open(tmp_path / "index").read_files()
    for path in (tmp_path / "videos" / "clip0.mp4", clip(tmp_path / "videos", "new", frames=20)):
        os.utime(path, ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(ProcessPool, "run", lambda _, paths: ((path, Failed(reason, 0, 0)) for path in paths))
        report = run()
    assert [(Path(failure.path).name, failure.reason) for failure in report.failed] == [
        ("clip0.mp4", reason),
        ("new.mp4", reason),
    ]
    assert rows(tmp_path / "index") == before
    now = Store.open(tmp_path / "index").read_files()
    assert {path: now[path] for path in files} == files
    assert now[str(tmp_path / "videos" / "new.mp4")].reason == reason
    after = run()
    assert (after.failed, after.added, after.unchanged, after.frames) == ([], 1, 2, tiny.FRAMES)


def test_long_videos_are_cut_as_the_index_was_begun(tmp_path: Path, run: Callable[..., Report]) -> None:
    clip(tmp_path / "videos", "long", frames=60)
    run(segment=2.0)
    assert [(row["start_seconds"], row["end_seconds"]) for row in rows(tmp_path / "index")] == [
        (pytest.approx(0), pytest.approx(5 / 3)),
        (pytest.approx(5 / 3), pytest.approx(10 / 3)),
        (pytest.approx(10 / 3), pytest.approx(5)),
    ]
    with pytest.raises(IndexFolderError, match=r"cuts videos by 2.0, not by 'auto'.*--segment"):
        run()


def test_another_model_is_refused_with_the_remedy(tmp_path: Path, run: Callable[..., Report]) -> None:
    clip(tmp_path / "videos", "a")
    run()
    with pytest.raises(
        IndexFolderError,
        match=r"another model: drl of .*, and drl has .*; use that model, or index the videos again",
    ):
        run(tiny.model(seed=9))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"fingerprint": "0" * 64, "model": "clip-b"},
            r"another model: clip-b of .*, and drl has .*; use that model, or index the videos again",
        ),
        ({"segment": 5.0}, r"cuts videos by 5.0, not by 'auto'.*--segment"),
    ],
)
def test_who_creates_an_index_that_another_creates_just_then_mixes_nothing_in(
    tmp_path: Path,
    run: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    other: dict[str, Any],
    message: str,
) -> None:
    """The other one comes between the look whether there is an index and the creation."""
    library(tmp_path / "videos", 2)
    create = Store.create

    def late(folder: Path, manifest: Manifest) -> Store:
        create(folder, replace(manifest, **other))
        return create(folder, manifest)

    monkeypatch.setattr(Store, "create", late)
    with pytest.raises(IndexFolderError, match=message):
        run()
    store = Store.open(tmp_path / "index")
    assert (rows(tmp_path / "index"), store.read_files(), store.read_folders()) == ([], {}, [])


@pytest.mark.parametrize("bundled", [False, True])
def test_a_model_that_changed_under_its_name_is_told_from_another_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, bundled: bool
) -> None:
    monkeypatch.setattr("vidsift.methods.model._ASSETS", tmp_path)
    place, videos, index = tmp_path / "shapes", library(tmp_path / "videos", 1), tmp_path / "index"
    name = "shapes" if bundled else place
    tiny.model().save(place)
    build_index([videos], index, name, workers=1)
    tiny.model(seed=9).save(place)
    since = "shapes came with another version of vidsift" if bundled else "has changed since"
    for use in (
        lambda: build_index([videos], index, workers=1),
        lambda: Index.open(index).model,
        lambda: Index.open(index, name).model,
    ):
        with pytest.raises(IndexFolderError, match=f"another model: .*{since} .*; delete .* and index the"):
            use()
    (problem,) = check_index(index).problems
    assert (problem.kind, problem.what) == ("model", str(name))
    assert ("install the version of vidsift" if bundled else "put the old model back") in problem.wrong

    other = tmp_path / "mine" / "shapes"
    tiny.model(seed=5).save(other)
    with pytest.raises(IndexFolderError, match=r"another model: .*shapes has .*; leave out --model"):
        Index.open(index, other)


def test_the_model_is_handed_out_once_it_is_loaded(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "videos", 1)
    model, handed = tiny.model(), list[Model]()
    run(model, on_model=handed.append)
    assert handed == [model]


def test_a_run_that_is_stopped_keeps_what_is_finished(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "videos", 4)
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        seen.append(progress.videos_done)

    stopped = run(on_progress=watch, should_stop=lambda: bool(seen) and seen[-1] >= 2)
    assert stopped.stopped
    assert stopped.added == 2
    assert len(rows(tmp_path / "index")) == 2
    rest = run()
    assert (rest.added, rest.unchanged, rest.stopped) == (2, 2, False)
    assert len(rows(tmp_path / "index")) == 4


def test_rows_do_not_depend_on_their_company(
    tmp_path: Path, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    library(tmp_path / "videos", 3)
    run()
    monkeypatch.setattr(build, "_COMMIT_VIDEOS", 1)
    model = tiny.model()
    for number in (2, 0, 1):
        path = tmp_path / "videos" / f"clip{number}.mp4"
        build_index([path], tmp_path / "one by one", model, workers=1)
    assert rows(tmp_path / "one by one") == rows(tmp_path / "index")


def test_a_damaged_file_gives_what_it_has(tmp_path: Path, run: Callable[..., Report], media: Any) -> None:
    (tmp_path / "videos").mkdir()
    shutil.copy(media("corrupted.mp4"), tmp_path / "videos")
    report = run()
    assert len(report.failed) + len(report.partial) == 1
    again = run()
    assert (again.partial, again.failed) == (report.partial, report.failed)
    for path in (tmp_path / "videos").iterdir():
        path.chmod(0o644)
        path.touch()
    assert run().partial == report.partial
    assert run().partial == report.partial


def test_a_missing_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such folder or file"):
        build_index([tmp_path / "nowhere"], tmp_path / "index", tiny.model())
    assert not (tmp_path / "index").exists()
    with pytest.raises(ValueError, match="no folder given"):
        build_index([], tmp_path / "index", tiny.model())
