"""What an evaluation leaves on the disk, read back, and by others' formats."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.evaluation.evaluations import ENTRIES, SIM, evaluation

from vidsift.data.entries import Entry
from vidsift.errors import SavedResultError
from vidsift.evaluation.metrics import ndcg, recall, summary
from vidsift.evaluation.saved import load_result, save_result, video_ids


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    measured = evaluation(post_processing=("dsl",))
    save_result(measured, tmp_path / "new" / "folder")
    result = load_result(tmp_path / "new" / "folder")
    assert result.report == json.loads(json.dumps(measured.report))
    assert np.array_equal(result.similarity, SIM.astype(np.float32))
    assert result.video_ids == ["a", "b%20c", "d.mp4"]
    assert result.caption_ids == ["a#0", "a#1", "b%20c#0", "d.mp4#0"]
    assert result.captions == ["a first", "a second", "b", "d"]
    assert result.video_of_caption.tolist() == [0, 0, 1, 2]
    assert set(result.ranks) == {"none", "dsl"}
    for way in ("text_to_video", "video_to_text"):
        assert summary(getattr(result.ranks["none"], way)) == pytest.approx(result.report[way])
        assert summary(getattr(result.ranks["dsl"], way)) == pytest.approx(
            result.report["post_processed"]["dsl"][way]
        )


def test_the_table_of_ranks_has_a_row_for_each_question(tmp_path: Path) -> None:
    save_result(evaluation(), tmp_path / "saved")
    rows = pq.read_table(tmp_path / "saved" / "ranks.parquet").to_pylist()
    assert len(rows) == 4 + 3
    second = next(row for row in rows if row["text"] == "a second")
    assert (second["question"], second["video"], second["tag"]) == ("a#1", "a", "motion")
    assert (second["direction"], second["rank"], second["better"], second["tied"]) == (
        "text_to_video",
        2.0,
        1,
        1,
    )


def trec(folder: Path, name: str) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Read a run and its judgements as pytrec_eval's parsers do: six columns, and four."""
    run: dict[str, dict[str, float]] = defaultdict(dict)
    for line in (folder / f"{name}.run.trec").read_text("utf-8").splitlines():
        question, _, answer, rank, score, _ = line.split()
        assert int(rank) == len(run[question]) + 1
        run[question][answer] = float(score)
    right: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / f"{name}.qrels.trec").read_text("utf-8").splitlines():
        question, _, answer, relevance = line.split()
        right[question][answer] = int(relevance)
    return run, right


@pytest.mark.parametrize("protocol", ["closest_caption", "caption_groups"])
def test_trec_files_give_the_same_recall_and_ndcg(tmp_path: Path, protocol: str) -> None:
    measured = evaluation(video_to_text=protocol)
    save_result(measured, tmp_path / "saved")
    for way in ("text_to_video", "video_to_text"):
        run, right = trec(tmp_path / "saved", way)
        assert set(run) == set(right)
        hits, gains = [], []
        for question, scores in run.items():
            ranked = sorted(scores, key=scores.__getitem__, reverse=True)
            hits.append(ranked[0] in right[question])
            best = sum(1 / math.log2(place + 2) for place in range(len(right[question])))
            gains.append(
                sum(
                    1 / math.log2(place + 2)
                    for place, answer in enumerate(ranked)
                    if answer in right[question]
                )
                / best
            )
        ranks = getattr(measured.ranks, way)
        assert 100 * np.mean(hits) == pytest.approx(recall(ranks, 1))
        assert 100 * np.mean(gains) == pytest.approx(ndcg(ranks))


def test_a_missing_video_is_in_the_judgements_alone(tmp_path: Path) -> None:
    measured = evaluation(present=[True, False, True])
    save_result(measured, tmp_path / "saved")
    run, right = trec(tmp_path / "saved", "text_to_video")
    assert "b%20c#0" in right
    assert "b%20c#0" not in run
    assert all("b%20c" not in answers for answers in run.values())
    assert load_result(tmp_path / "saved").present.tolist() == [True, False, True]


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    save_result(evaluation(), tmp_path / "saved")
    before = (tmp_path / "saved" / "report.json").read_bytes()
    with pytest.raises(SavedResultError, match="holds an evaluation of before"):
        save_result(evaluation(), tmp_path / "saved")
    assert (tmp_path / "saved" / "report.json").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(SavedResultError, match="holds something else"):
        save_result(evaluation(), tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    save_result(evaluation(), tmp_path / "empty")
    assert load_result(tmp_path / "empty").video_ids


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidsift.evaluation.saved._write_trec", full)
    with pytest.raises(OSError, match="No space"):
        save_result(evaluation(), tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SavedResultError, match=r"holds no saved evaluation .* --save DIR"):
        load_result(tmp_path)
    save_result(evaluation(), tmp_path / "saved")
    for name in ("similarity.npz", "ranks.parquet", "report.json"):
        file = tmp_path / "saved" / name
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SavedResultError, match="cannot be read"):
            load_result(tmp_path / "saved")
        file.write_bytes(whole)
    load_result(tmp_path / "saved")


def test_files_of_several_evaluations_are_not_mixed(tmp_path: Path) -> None:
    save_result(evaluation(post_processing=("dsl",), videos=3, captions=4), tmp_path / "saved")
    fewer = evaluation(SIM[:3, :2], ENTRIES[:2], videos=2, captions=3)
    save_result(fewer, tmp_path / "fewer")
    for name in ("similarity.npz", "ranks.parquet", "report.json"):
        file = tmp_path / "saved" / name
        whole = file.read_bytes()
        file.write_bytes((tmp_path / "fewer" / name).read_bytes())
        with pytest.raises(SavedResultError, match="are of different evaluations; evaluate once more"):
            load_result(tmp_path / "saved")
        file.write_bytes(whole)
    report = tmp_path / "saved" / "report.json"
    for text in ("[]", "{}", '{"protocol": 3}'):
        report.write_text(text, encoding="utf-8")
        with pytest.raises(SavedResultError, match="it has no protocol"):
            load_result(tmp_path / "saved")


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_result(evaluation(), tmp_path / "saved")
    file = tmp_path / "saved" / "similarity.npz"
    with np.load(file) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    for name, value in (
        ("video_ids", held["video_ids"][:-1]),
        ("video_of_caption", held["video_of_caption"][::-1]),
        ("present", held["present"][:-1]),
        ("similarity", held["similarity"].T),
    ):
        np.savez(file, **(held | {name: value}))
        with pytest.raises(SavedResultError, match=r"similarity\.npz do not fit each other"):
            load_result(tmp_path / "saved")


def test_videos_have_the_same_names_on_every_machine() -> None:
    there = [Entry(Path(root) / "sub" / "1.mp4", ("x",)) for root in ("/data", "/home/me/data")]
    more = [Entry(Path(root) / "2.mp4", ("x",)) for root in ("/data", "/home/me/data")]
    assert video_ids([there[0], more[0]]) == video_ids([there[1], more[1]]) == ["sub/1.mp4", "2.mp4"]
    parts = [
        Entry(Path("/d/1.mp4"), ("x",), id="v1", start_seconds=start, end_seconds=start + 5)
        for start in (0, 5)
    ]
    assert video_ids(parts) == ["v1#0-5", "v1#5-10"]
    same = [Entry(Path(f"/d/{name}/1.mp4"), ("x",), id="v1") for name in "ab"]
    assert len(set(video_ids(same))) == 2
