"""Own data as JSON, CSV and Parquet: the same entries as from JSON lines, and the same errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from vidsift.data.catalog import open_source
from vidsift.data.entries import Entry, Moment
from vidsift.data.folder import read_folder
from vidsift.errors import CaptionsError

ROWS: list[dict[str, Any]] = [
    {"video": "a.mp4", "caption": "a dog, slowly", "split": "train", "tag": "t", "unseen": True},
    {"video": "sub/b.mp4", "caption": 'she says "no"', "split": "test", "start": 1.5, "end": 4.0, "id": "b1"},
    {"video": "a.mp4", "caption": "größe", "split": "train", "tag": "t", "unseen": True},
    {"video": "sub/b.mp4", "caption": "another part", "split": "test", "start": 4.0, "id": "b2"},
]
TABLE = (
    "\ufeffvideo,caption,split,tag,start,end,id,unseen\r\n"
    'a.mp4,"a dog, slowly",train,t,,,,true\r\n'
    'sub/b.mp4,"she says ""no""",test,,1.5,4,b1,\r\n'
    "a.mp4,größe,train,t,,,,yes\r\n"
    "sub/b.mp4,another part,test,,4,,b2,\r\n"
)


def expected(root: Path) -> list[Entry]:
    return [
        Entry(root / "a.mp4", ("a dog, slowly", "größe"), tag="t", split="train", unseen=True),
        Entry(
            root / "sub/b.mp4", ('she says "no"',), id="b1", split="test", start_seconds=1.5, end_seconds=4
        ),
        Entry(root / "sub/b.mp4", ("another part",), split="test", id="b2", start_seconds=4.0),
    ]


def write(folder: Path, kind: str, rows: list[dict[str, Any]] = ROWS, name: str = "captions") -> Path:
    file = folder / f"{name}.{kind}"
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows, schema=pa.schema([*_columns(rows).items()])), file)
    elif kind == "json":
        file.write_text(json.dumps(rows), encoding="utf-8")
    elif kind == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        file.write_bytes(TABLE.encode())
    return file


def _columns(rows: list[dict[str, Any]]) -> dict[str, pa.DataType]:
    return {name: pa.infer_type([row[name] for row in rows if name in row]) for row in rows for name in row}


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_every_kind_gives_the_same_entries(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    assert read_folder(tmp_path) == expected(tmp_path)


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_the_file_may_lie_elsewhere_under_any_name(tmp_path: Path, kind: str) -> None:
    videos, elsewhere = tmp_path / "videos", tmp_path / "elsewhere"
    videos.mkdir()
    elsewhere.mkdir()
    file = write(elsewhere, kind, name="mine")
    source = open_source("folder", str(videos), str(file))
    assert source.entries("train") == expected(videos)[:1]
    file.rename(elsewhere / f"captions.{kind}")
    assert open_source("folder", str(videos), str(elsewhere)).split_names() == ["train", "test"]


def test_lists_of_captions_and_moments_come_in_parquet_too(tmp_path: Path) -> None:
    moments = [{"caption": "he waves", "start": 1.0, "end": 2.5}]
    rows = [{"video": "a.mp4", "captions": ["x", "y"], "moments": moments}]
    write(tmp_path, "parquet", rows)
    (entry,) = read_folder(tmp_path)
    assert entry == Entry(tmp_path / "a.mp4", ("x", "y"), moments=(Moment("he waves", 1.0, 2.5),))
    (tmp_path / "captions.parquet").unlink()
    write(tmp_path, "jsonl", rows)
    assert read_folder(tmp_path) == [entry]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("video,sentence\na.mp4,x\n", "line 2: unknown key 'sentence'; known: video, captions, caption"),
        ("video,caption\na.mp4,x, y\n", "line 2: more or fewer values than columns"),
        ("video,caption,start\na.mp4,x\n", "line 2: more or fewer values than columns"),
        ("video,caption\na.mp4,\n", "line 2: captions is None, expected a list"),
        ("video,caption\n,x\n", "line 2: video is None"),
        ('video,caption\na.mp4,"x\n', "cannot be read: unexpected end of data"),
        ("video,caption,start\na.mp4,x,soon\n", "line 2: start is 'soon', expected a number of seconds"),
        ("video,caption,start,end\na.mp4,x,3,2\n", "line 2: .*a part from 3.0 to 2.0 s"),
        ("video,caption,unseen\na.mp4,x,maybe\n", "line 2: unseen is 'maybe', expected true or false"),
        (
            "video,caption,split\na.mp4,x,train\na.mp4,y,test\n",
            "line 3: a.mp4 is already on line 2 with another",
        ),
        ("video,caption\n", "is empty"),
        ("video,caption,caption\na.mp4,x,y\n", "line 1: two columns are called 'caption'"),
        ("video,caption\n../a.mp4,x\n", "line 2: video '../a.mp4' lies outside the folder"),
    ],
)
def test_tables_are_read_as_strictly_as_lines(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "captions.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CaptionsError, match=problem):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"video": "a.mp4", "captions": ["x"], "caption": "y"}, "object 1: has caption and captions"),
        ({"video": "a.mp4", "caption": ["x"]}, "object 1: caption .*expected a sentence"),
        (
            {"video": "a.mp4", "caption": "x", "moments": [{"caption": "y"}]},
            "with caption, start and end",
        ),
        ({"video": "a.mp4", "caption": "x", "moments": "y"}, "moments is 'y', expected a list"),
        (
            {"video": "a.mp4", "caption": "x", "moments": [{"caption": "y", "start": 2, "end": 1}]},
            "object 1: .*the moment of 'y' is from 2.0 to 1.0 s",
        ),
        (["x"], "object 1: holds list, expected an object"),
    ],
)
def test_objects_are_checked(tmp_path: Path, row: Any, problem: str) -> None:
    (tmp_path / "captions.json").write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(CaptionsError, match=problem):
        read_folder(tmp_path)


def test_files_that_are_none_or_too_many_are_refused(tmp_path: Path) -> None:
    (tmp_path / "captions.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(CaptionsError, match=r"captions.parquet cannot be read"):
        read_folder(tmp_path)
    (tmp_path / "captions.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        CaptionsError, match=r"several captions files, captions.json, captions.parquet; keep one"
    ):
        read_folder(tmp_path)
    (tmp_path / "captions.parquet").unlink()
    with pytest.raises(CaptionsError, match="holds dict, expected a list of objects"):
        read_folder(tmp_path)
    faults: list[str] = []
    (tmp_path / "captions.json").write_text('[{"video": "a.mp4", "caption": "x"}]', encoding="utf-8")
    assert read_folder(tmp_path, faults.append) == []
    assert "there is no file" in faults[0]
