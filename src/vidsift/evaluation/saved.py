"""The folder that ``vidsift evaluate --save`` writes: everything that the numbers can be made of again.

    report.json                  the report: numbers, intervals, protocol
    similarity.npz               similarity (Q, V) fp32, video_ids (V,), caption_ids (Q,),
                                 video_of_caption (Q,), present (V,)
    ranks.parquet                a row for each question of both directions (and each post-processing)
    text_to_video.run.trec       the first 100 answers of each question, in TREC's format
    text_to_video.qrels.trec     the right answers, likewise; both read by pytrec_eval and ranx
    video_to_text.run.trec       the same with videos as questions; answers are captions, or with the protocol
    video_to_text.qrels.trec     "caption_groups" videos, which stand for their captions

A video is called by the id of its data set, else by its path below the folder that all of them share; a part
of a file by its seconds too; a caption by its video and ``#0``, ``#1``, ... Spaces in ids are
percent-encoded, as TREC's columns are parted by them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vidsift.data.entries import Entry, captions_of
from vidsift.errors import SavedResultError
from vidsift.evaluation.evaluate import Evaluation
from vidsift.evaluation.ranks import Ranks, VideoToText
from vidsift.evaluation.retrieval import BothWays, video_of_caption
from vidsift.files.whole import whole_folder, write_json_whole

__all__ = ["PLAIN", "TREC_DEPTH", "SavedResult", "load_result", "refuse_occupied", "save_result", "video_ids"]

PLAIN = "none"
"""What ``ranks.parquet`` calls the rows without post-processing."""

TREC_DEPTH = 100
"""Answers of a question in a run."""

_REPORT, _MATRIX, _RANKS = "report.json", "similarity.npz", "ranks.parquet"
_SAFE = "/:#@+,;=!$&'()*~[]"  # of what is allowed in paths, all but what parts columns and % itself


@dataclass(frozen=True, eq=False)
class SavedResult:
    """An evaluation as it was saved.

    Attributes:
        folder: where.
        report: numbers and protocol.
        similarity: every caption with every video, ``(Q, V)``.
        video_ids: names of the videos.
        caption_ids: names of the captions.
        captions: their sentences.
        video_of_caption: number of the video of each, ``(Q,)``.
        present: which videos were there, bool ``(V,)``.
        ranks: both directions, by post-processing; "none" is without.
    """

    folder: Path
    report: dict[str, Any]
    similarity: NDArray[np.float32]
    video_ids: list[str]
    caption_ids: list[str]
    captions: list[str]
    video_of_caption: NDArray[np.int64]
    present: NDArray[np.bool_]
    ranks: dict[str, BothWays]


def video_ids(entries: Sequence[Entry]) -> list[str]:
    """Name videos so that two evaluations of the same data, on two machines, give the same names.

    Example:
        >>> part = Entry(Path("/a/y z/1.mp4"), ("c",), start_seconds=2.0)
        >>> video_ids([Entry(Path("/a/x/1.mp4"), ("c",)), part])
        ['x/1.mp4', 'y%20z/1.mp4#2-inf']
    """
    paths = [entry.path for entry in entries]
    shared = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    names = [entry.id or entry.path.relative_to(shared).as_posix() for entry in entries]
    # One file of several parts, or two files of one id.
    names = [
        f"{name}#{entry.start_seconds:g}-{entry.end_seconds:g}" if entry.is_part else name
        for name, entry in zip(names, entries, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [f"{number}:{name}" for number, name in enumerate(names)]
    return [quote(name, safe=_SAFE) for name in names]


def refuse_occupied(folder: Path) -> None:
    """Refuse a folder that holds something: an evaluation of before is not overwritten in silence.

    Raises:
        SavedResultError: there is something in it, or it is no folder.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        what = "an evaluation of before" if (folder / _REPORT).is_file() else "something else"
        raise SavedResultError(f"{folder} holds {what}; name another folder, or remove it first")


def save_result(evaluation: Evaluation, folder: Path) -> None:
    """Write an evaluation whole: the folder is there with all its files, or not at all.

    Args:
        evaluation: what was measured.
        folder: is not there, or empty.

    Raises:
        SavedResultError: the folder holds something.
        OSError: it cannot be written.
    """
    refuse_occupied(folder)
    if folder.is_dir():
        folder.rmdir()  # empty: a folder that is put in place must not meet it (Windows)
    videos = video_ids(evaluation.entries)
    owner_Q = video_of_caption(evaluation.entries)
    captions = _caption_ids(videos, owner_Q)
    with whole_folder(folder) as filling:
        write_json_whole(filling / _REPORT, evaluation.report)
        with (filling / _MATRIX).open("wb") as file:
            np.savez(
                file,
                similarity=evaluation.similarity.astype(np.float32, copy=False),
                video_ids=np.asarray(videos),
                caption_ids=np.asarray(captions),
                video_of_caption=owner_Q,
                present=evaluation.present,
            )
        ranks = {PLAIN: evaluation.ranks, **evaluation.post_processed}
        table = _ranks_table(evaluation, ranks, videos, captions, owner_Q)
        pq.write_table(table, filling / _RANKS, compression="zstd")
        _write_trec(filling, evaluation, videos, captions, owner_Q)


def load_result(folder: str | Path) -> SavedResult:
    """Read what :func:`save_result` wrote.

    Raises:
        SavedResultError: the folder holds no evaluation, or a file of it cannot be read.
    """
    place = Path(folder)
    if not (place / _REPORT).is_file():
        raise SavedResultError(
            f"{place} holds no saved evaluation (there is no {_REPORT}); make one with vidsift evaluate ... "
            "--save DIR"
        )
    try:
        report = json.loads((place / _REPORT).read_text(encoding="utf-8"))
        with np.load(place / _MATRIX, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        table = pq.read_table(place / _RANKS).to_pydict()
        _refuse_mixed(report, held, table)
        ranks, captions = _ranks_of_table(table)
        return SavedResult(
            folder=place,
            report=report,
            similarity=held["similarity"],
            video_ids=held["video_ids"].tolist(),
            caption_ids=held["caption_ids"].tolist(),
            captions=captions,
            video_of_caption=held["video_of_caption"],
            present=held["present"],
            ranks=ranks,
        )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, pa.ArrowException) as error:
        raise SavedResultError(f"{place} cannot be read: {error}; evaluate once more") from error


def _refuse_mixed(report: Any, held: Mapping[str, NDArray[Any]], table: Mapping[str, list[Any]]) -> None:
    """Refuse files that are not of one evaluation: numbers of one would stand under the name of another."""
    if not isinstance(report, dict) or not isinstance(report.get("protocol"), dict):
        raise ValueError(f"{_REPORT} is no report of vidsift evaluate: it has no protocol")
    videos, captions, owner_Q = (held[key] for key in ("video_ids", "caption_ids", "video_of_caption"))
    fits = (
        held["similarity"].shape == (len(captions), len(videos))
        and held["present"].shape == videos.shape
        and owner_Q.shape == captions.shape
        # Counting up: every video has captions, and they stand beside each other.
        and len(owner_Q) > 0
        and owner_Q[0] == 0
        and owner_Q[-1] == len(videos) - 1
        and set(np.diff(owner_Q).tolist()) <= {0, 1}
    )
    if not fits:
        raise ValueError(f"the arrays of {_MATRIX} do not fit each other")
    questions_of: dict[tuple[str, str], list[str]] = {}
    for row in zip(table["post_processing"], table["direction"], table["question"], strict=True):
        questions_of.setdefault(row[:2], []).append(row[2])
    questions = {"text_to_video": captions.tolist(), "video_to_text": videos.tolist()}
    kinds = dict.fromkeys([PLAIN, *table["post_processing"]])
    if any(questions_of.get((kind, way)) != names for kind in kinds for way, names in questions.items()):
        raise ValueError(f"{_RANKS} and {_MATRIX} are of different evaluations")
    counted = report["protocol"].get("videos"), report["protocol"].get("captions")
    if counted not in {(None, None), (len(videos), len(captions))}:
        raise ValueError(f"{_REPORT} and {_MATRIX} are of different evaluations")


def _caption_ids(videos: Sequence[str], owner_Q: NDArray[np.int64]) -> list[str]:
    first_V = np.searchsorted(owner_Q, np.arange(len(videos)))
    return [f"{videos[owner]}#{place - first_V[owner]}" for place, owner in enumerate(owner_Q)]


_COLUMNS = ("better", "tied", "right")


def _ranks_table(
    evaluation: Evaluation,
    ranks: Mapping[str, BothWays],
    videos: Sequence[str],
    captions: Sequence[str],
    owner_Q: NDArray[np.int64],
) -> pa.Table:
    texts = captions_of(evaluation.entries)
    tags = [evaluation.entries[owner].tag for owner in owner_Q]
    parts = []
    for name, both in ranks.items():
        for direction, side in both._asdict().items():
            to_video = direction == "text_to_video"
            columns = {
                "post_processing": [name] * len(side),
                "direction": [direction] * len(side),
                "question": list(captions) if to_video else list(videos),
                "text": texts if to_video else [None] * len(side),
                "video": [videos[owner] for owner in owner_Q] if to_video else list(videos),
                "tag": tags if to_video else [entry.tag for entry in evaluation.entries],
                **{column: getattr(side, column) for column in _COLUMNS},
                "rank": side.expected(),
                "ndcg_at_10": side.ndcg_at_10,
            }
            schema = {"text": pa.string()}
            parts.append(pa.table({key: pa.array(value, schema.get(key)) for key, value in columns.items()}))
    return pa.concat_tables(parts)


def _ranks_of_table(table: Mapping[str, list[Any]]) -> tuple[dict[str, BothWays], list[str]]:
    names = np.asarray(table["post_processing"])
    directions = np.asarray(table["direction"])
    columns = {name: np.asarray(table[name], np.int64) for name in _COLUMNS}
    ndcg = np.asarray(table["ndcg_at_10"], np.float64)

    def side(name: str, direction: str) -> Ranks:
        rows = (names == name) & (directions == direction)
        better, tied, right = (columns[column][rows] for column in _COLUMNS)
        return Ranks(better, tied, right, ndcg[rows])

    kinds = list(dict.fromkeys(table["post_processing"]))
    ranks = {name: BothWays(side(name, "text_to_video"), side(name, "video_to_text")) for name in kinds}
    plain = np.flatnonzero((names == PLAIN) & (directions == "text_to_video"))
    return ranks, [table["text"][row] for row in plain]


def _write_trec(
    folder: Path,
    evaluation: Evaluation,
    videos: Sequence[str],
    captions: Sequence[str],
    owner_Q: NDArray[np.int64],
) -> None:
    """Write runs and qrels; questions and answers of missing videos are in the qrels alone."""
    protocol: VideoToText = evaluation.report["protocol"]["video_to_text"]
    sim_QV, present_V = evaluation.similarity, evaluation.present
    there = np.flatnonzero(present_V)
    asked_Q = np.flatnonzero(present_V[owner_Q])
    tag = quote(str(evaluation.report["protocol"]["model"]), safe=_SAFE) or "vidsift"
    with (folder / "text_to_video.run.trec").open("w", encoding="utf-8", newline="\n") as file:
        for row in asked_Q.tolist():
            file.writelines(_run_lines(captions[row], sim_QV[row, there], there, videos, tag))
    owners = [videos[owner] for owner in owner_Q]
    _write_qrels(folder / "text_to_video.qrels.trec", zip(captions, owners, strict=True))
    groups = protocol == "caption_groups"
    starts = np.searchsorted(owner_Q, np.arange(len(videos)))
    answers, numbers = (videos, np.arange(len(videos))) if groups else (captions, np.arange(len(captions)))
    with (folder / "video_to_text.run.trec").open("w", encoding="utf-8", newline="\n") as file:
        for video in there.tolist():
            scores = sim_QV[:, video]
            scores = np.maximum.reduceat(scores, starts) if groups else scores
            file.writelines(_run_lines(videos[video], scores, numbers, answers, tag))
    pairs = zip(videos, videos, strict=True) if groups else zip(owners, captions, strict=True)
    _write_qrels(folder / "video_to_text.qrels.trec", pairs)


def _run_lines(
    question: str, scores: NDArray[Any], numbers: NDArray[np.int64], names: Sequence[str], tag: str
) -> Iterator[str]:
    depth = min(TREC_DEPTH, len(scores))
    best = np.argpartition(-scores, depth - 1)[:depth]
    # Ties by their place in the gallery, so that a file is the same each time.
    best = best[np.lexsort((best, -scores[best]))]
    for rank, place in enumerate(best, start=1):
        # Nine digits tell any two fp32 numbers apart.
        yield f"{question} Q0 {names[numbers[place]]} {rank} {scores[place]:.9g} {tag}\n"


def _write_qrels(file: Path, pairs: Iterator[tuple[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(f"{question} 0 {answer} 1\n" for question, answer in pairs)
