"""An encrypted file is said to be so by whoever tells of it: a run, the check, the library of the page."""

from __future__ import annotations

from pathlib import Path

from tests.index.library import clip
from tests.methods import tiny
from tests.video.test_encrypted import mp4

from vidsift.index.build import build_index
from vidsift.index.check import check_index
from vidsift.index.library import Library
from vidsift.index.storage import Store


def test_a_run_the_check_and_the_library_say_encrypted(tmp_path: Path) -> None:
    videos, index = tmp_path / "videos", tmp_path / "index"
    clip(videos, "clip")
    locked = mp4(videos)
    (videos / "broken.mp4").write_text("no video")
    report = build_index([videos], index, tiny.model(), workers=1)
    words = "is encrypted (Common Encryption, cenc); only a copy without that protection can be read"
    reasons = {failure.path: failure.reason for failure in report.failed}
    assert reasons[str(locked)] == words
    assert "encrypted" not in reasons[str(videos / "broken.mp4")]
    checked = check_index(index)
    assert checked.problems == []
    assert "2 files could not be read, 1 of them because of encryption" in "\n".join(checked.sentences())
    failures = {record.path: record.reason for record in Library.read(Store.open(index)).failures}
    assert failures == reasons
