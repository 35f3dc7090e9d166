"""Videos that are missing: what they count under each policy, by hand, as properties, and on real files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods import tiny
from tests.video.making import Recipe, make

from vidsift.data.entries import Entry
from vidsift.data.folder import read_folder
from vidsift.errors import MissingVideosError, NonFiniteScoresError
from vidsift.evaluation.evaluate import evaluate_entries, headline, retrieval_metrics, video_of_caption
from vidsift.evaluation.missing import LISTED, MissingPolicy, refuse_missing
from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.methods.model import Model

ENTRIES = [
    Entry(Path("a"), ("a1", "a2"), "motion", "g", unseen=False),
    Entry(Path("b"), ("b1",), "motion", "g", unseen=True),
    Entry(Path("c"), ("c1",), "detail", "h", unseen=False),
]
SIM = np.array([[0.9, 0.1, 0.2], [0.5, 0.6, 0.4], [0.3, 0.4, 0.9], [0.0, 0.1, 0.8]])
WITHOUT_B = [True, False, True]


def test_a_missing_video_is_found_by_no_caption_and_finds_none() -> None:
    report = retrieval_metrics(SIM, ENTRIES, present=WITHOUT_B)
    # a1 and a2 find a (b, which a2 likes better, stands behind), c1 finds c, and b1 takes the fourth place of
    # three: in no R@10 either.
    there = report["text_to_video"]
    assert (there["R@1"], there["R@10"], there["R@50"], there["nDCG@10"]) == (75.0, 75.0, 75.0, 75.0)
    assert (there["MdR"], there["MnR"], there["questions"]) == (1.0, 1.75, 4)
    # Asked for its captions, a finds a1 first; c finds b1 before c1, for captions of missing videos stay;
    # b takes the fifth place of four captions.
    back = report["video_to_text"]
    assert (back["R@1"], back["R@10"]) == (pytest.approx(100 / 3), pytest.approx(200 / 3))
    assert (back["MdR"], back["MnR"], back["questions"]) == (2.0, pytest.approx(8 / 3), 3)
    assert report["by_tag"]["motion"]["R@1"] == pytest.approx(200 / 3)
    unseen = report["by_novelty"]["unseen"]
    assert (unseen["R@10"], unseen["MdR"], unseen["MnR"], unseen["questions"]) == (0.0, 4.0, 4.0, 1)
    assert unseen["nDCG@10"] == 0.0
    # Of the group a, b only a can be picked, so its two captions are right, and so would be a guess.
    assert report["choice"]["all"] == {
        "right": pytest.approx(200 / 3),
        "chance": pytest.approx(200 / 3),
        "questions": 3,
    }


def test_groups_of_captions_of_a_missing_video_stay_too() -> None:
    back = retrieval_metrics(SIM, ENTRIES, present=WITHOUT_B, video_to_text="caption_groups")["video_to_text"]
    # a finds its own group, c finds b's first, b takes the fourth place of three groups.
    assert (back["R@1"], back["MnR"]) == (pytest.approx(100 / 3), pytest.approx((1 + 2 + 4) / 3))


def test_what_stands_in_the_column_of_a_missing_video_is_not_looked_at() -> None:
    holes = SIM.copy()
    holes[:, 1] = np.nan
    assert retrieval_metrics(holes, ENTRIES, present=WITHOUT_B) == retrieval_metrics(
        SIM, ENTRIES, present=WITHOUT_B
    )
    holes[2, 0] = np.inf
    with pytest.raises(NonFiniteScoresError, match="text 2 with video 0 is inf"):
        retrieval_metrics(holes, ENTRIES, present=WITHOUT_B)
    with pytest.raises(ValueError, match="neither empty"):
        retrieval_metrics(SIM, ENTRIES, present=[False] * 3)


@st.composite
def galleries(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], list[Entry], np.ndarray[Any, Any]]:
    """Similarities with ties, entries in groups of two, and which videos are there."""
    counts = draw(st.lists(st.integers(1, 3), min_size=2, max_size=6))
    entries = [
        Entry(Path(str(number)), tuple("x" * count), group=str(number // 2))
        for number, count in enumerate(counts)
    ]
    shape = (sum(counts), len(counts))
    scores = draw(st.lists(st.integers(0, 5), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    present = draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts)).filter(any))
    return np.array(scores, float).reshape(shape), entries, np.array(present)


@settings(max_examples=80, deadline=None)
@given(gallery=galleries())
def test_no_number_is_better_than_with_missing_videos_left_out(
    gallery: tuple[np.ndarray[Any, Any], list[Entry], np.ndarray[Any, Any]],
) -> None:
    sim_QV, entries, present = gallery
    asked_Q = present[video_of_caption(entries)]
    remaining = [entry for entry, there in zip(entries, present, strict=True) if there]
    miss = retrieval_metrics(sim_QV, entries, present=present)
    skip = retrieval_metrics(sim_QV[asked_Q][:, present], remaining)
    full = retrieval_metrics(sim_QV, entries)
    for name in ("R@1", "R@5", "R@10"):
        # The same captions are found, of more that are asked.
        assert miss["text_to_video"][name] == pytest.approx(skip["text_to_video"][name] * asked_Q.mean())
        # Captions are all still there, so a video that can be read finds its own no better than before.
        assert miss["video_to_text"][name] <= full["video_to_text"][name] + 1e-9
        assert miss["video_to_text"][name] <= skip["video_to_text"][name] + 1e-9
    for side in ("text_to_video", "video_to_text"):
        for name in ("MdR", "MnR"):
            assert miss[side][name] >= skip[side][name] - 1e-9
    for name in ("MdR", "MnR"):
        assert miss["video_to_text"][name] >= full["video_to_text"][name] - 1e-9
    # A caption gains the places of rivals that are missing, and no more.
    ranks = text_to_video_ranks(sim_QV, video_of_caption(entries))
    within = 100 * float(ranks.within(1 + int((~present).sum())).mean())
    assert miss["text_to_video"]["R@1"] <= within + 1e-9


@settings(max_examples=40, deadline=None)
@given(orders=st.lists(st.permutations(range(6)), min_size=6, max_size=6))
def test_a_missing_video_costs_its_captions_and_moves_others_up_by_one(orders: list[list[int]]) -> None:
    """Of V videos one is missing: 1 of V in the first K is lost, and K of V in the place behind move up."""
    entries = [Entry(Path(str(number)), ("x",)) for number in range(6)]
    sim_QV = np.array(orders, float)
    rank_Q = text_to_video_ranks(sim_QV, np.arange(6)).expected()
    of_each = [retrieval_metrics(sim_QV, entries, present=np.arange(6) != lost) for lost in range(6)]
    for k in (1, 5):
        mean = np.mean([metrics["text_to_video"][f"R@{k}"] for metrics in of_each])
        assert mean == pytest.approx(100 * (5 * (rank_Q <= k).mean() + k * (rank_Q == k + 1).mean()) / 6)


@settings(max_examples=40, deadline=None)
@given(gallery=galleries())
def test_a_guess_scores_what_it_would_with_all_videos_there(
    gallery: tuple[np.ndarray[Any, Any], list[Entry], np.ndarray[Any, Any]],
) -> None:
    sim_QV, entries, present = gallery
    one_each = [Entry(entry.path, ("x",), group=entry.group) for entry in entries]
    report = retrieval_metrics(np.zeros((len(entries), len(entries))), one_each, present=present)
    assert report["text_to_video"]["R@1"] == pytest.approx(100 / len(entries))
    assert report["choice"]["all"]["right"] == pytest.approx(report["choice"]["all"]["chance"])
    constant = retrieval_metrics(np.zeros_like(sim_QV), entries, present=present)["choice"]["all"]
    assert constant["right"] == pytest.approx(constant["chance"])


def test_a_refusal_names_what_is_missing_and_how_many() -> None:
    refuse_missing([], 3, "Mend them")
    missing = [(f"{number}.mp4", "there is no such file") for number in range(LISTED + 2)]
    with pytest.raises(MissingVideosError) as caught:
        refuse_missing(missing, 100, "Mend them")
    text = str(caught.value)
    assert text.startswith("26 of 100 videos missing: 0.mp4: there is no such file; 1.mp4: ")
    assert text.endswith(f"{LISTED - 1}.mp4: there is no such file; and 2 more. Mend them")
    assert caught.value.missing == tuple(missing)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips that can be read, one of them cut off in the middle, two that cannot, and two names."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(3):
        make(root, Recipe(frames=8 + 4 * number, fps=12, gop=4), f"clip{number}")
    cut = make(root, Recipe(suffix=".mkv", frames=60, fps=12, gop=4), "cut")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (root / "broken.mp4").write_text("no video", encoding="utf-8")
    (root / "empty.mp4").touch()
    names = ("clip0.mp4", "gone.mp4", "clip1.mp4", "broken.mp4", "cut.mkv", "away/gone.mp4", "clip2.mp4",
             "empty.mp4")  # fmt: skip
    lines = [
        {"video": name, "captions": [f"{tiny.CAPTIONS[number % 5]}", "circle"], "split": "val"}
        for number, name in enumerate(names)
    ]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


def evaluated(model: Model, folder: Path, missing: MissingPolicy) -> dict[str, Any]:
    return evaluate_entries(model, read_folder(folder), split="val", missing=missing, workers=0)


def named(videos: Sequence[dict[str, str]]) -> list[str]:
    return [Path(video["video"]).name for video in videos]


def test_files_that_are_not_there_are_refused_before_anything_is_decoded(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidsift.data.frame_cache.probe", lambda _path: pytest.fail("decoded"))
    with pytest.raises(
        MissingVideosError, match=r"2 of 8 videos missing: .*gone.mp4: there is no such"
    ) as caught:
        evaluate_entries(model, read_folder(folder), split="val", workers=0)
    assert [path for path, _ in caught.value.missing] == [
        str(folder / "gone.mp4"),
        str(folder / "away/gone.mp4"),
    ]
    assert 'missing="miss"' in str(caught.value)


def test_all_files_that_cannot_be_read_are_refused_together(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [entry for entry in read_folder(folder) if entry.path.is_file()]
    encoded: list[int] = []
    whole = Model.encode_frames

    def watched(self: Model, pixels: Any, *rest: Any, **options: Any) -> Any:
        encoded.append(len(pixels))
        return whole(self, pixels, *rest, **options)

    monkeypatch.setattr(Model, "encode_frames", watched)
    with pytest.raises(MissingVideosError, match=r"2 of 6 videos missing: .*broken\.mp4: .*; .*empty\.mp4: "):
        evaluate_entries(model, there, split="val", workers=0)
    assert encoded == []  # what is refused is not encoded


def test_what_is_missing_counts_or_is_left_out_and_the_report_says_so(model: Model, folder: Path) -> None:
    gone = ["gone.mp4", "broken.mp4", "gone.mp4", "empty.mp4"]
    miss, skip = (evaluated(model, folder, policy) for policy in ("miss", "skip"))
    for report, policy, words in ((miss, "miss", "counted as not found"), (skip, "skip", "left out")):
        protocol = report["protocol"]
        assert protocol["missing_policy"] == policy
        assert (protocol["missing"]["count"], protocol["missing"]["of"]) == (4, 8)
        assert named(protocol["missing"]["videos"]) == named(report["failed"]) == gone
        assert all(failure["reason"] for failure in report["failed"])
        assert named(report["partial"]) == ["cut.mkv"]  # used as far as it goes
        assert headline(report).startswith(f"4 of 8 videos missing, {words}: text to video R@1 ")
    assert (miss["protocol"]["videos"], miss["protocol"]["captions"]) == (8, 16)
    assert (skip["protocol"]["videos"], skip["protocol"]["captions"]) == (4, 8)
    assert "not found" in miss["protocol"]["missing_rule"]
    assert (miss["text_to_video"]["questions"], skip["text_to_video"]["questions"]) == (16, 8)
    # Four videos of eight, which their captions find within ten places of four.
    assert (miss["text_to_video"]["R@10"], skip["text_to_video"]["R@10"]) == (50.0, 100.0)
    assert miss["text_to_video"]["R@1"] == pytest.approx(skip["text_to_video"]["R@1"] / 2)
    assert miss["text_to_video"]["MnR"] == pytest.approx((skip["text_to_video"]["MnR"] + 9) / 2)


def test_a_path_that_the_system_refuses_costs_its_video_alone(model: Model, folder: Path) -> None:
    strange = [Entry(folder / name, ("circle",)) for name in (f"{'x' * 300}.mp4", "a\0b.mp4", "clip0.mp4")]
    report = evaluate_entries(model, strange, split="val", missing="skip", workers=0)
    assert (report["protocol"]["videos"], len(report["failed"])) == (1, 2)
    assert all(failure["reason"] for failure in report["failed"])
    with pytest.raises(MissingVideosError, match="2 of 3 videos missing"):
        evaluate_entries(model, strange, split="val", workers=0)


def test_where_nothing_is_missing_the_policies_agree(model: Model, folder: Path) -> None:
    good = [entry for entry in read_folder(folder) if entry.path.name.startswith(("clip", "cut"))]
    reports = [
        evaluate_entries(model, good, split="val", missing=policy, workers=0)
        for policy in ("refuse", "miss", "skip")
    ]
    for report in reports:
        assert report["protocol"].pop("missing_policy")
        assert report["protocol"].pop("missing_rule")
        assert set(report["protocol"].pop("seconds")) == {"videos", "texts", "similarity", "metrics"}
        assert report["protocol"]["missing"] == {"count": 0, "of": 4, "videos": []}
        assert headline(report).startswith("text to video")
    assert reports[0] == reports[1] == reports[2]


@pytest.mark.parametrize("policy", ["refuse", "miss", "skip"])
def test_where_all_are_missing_no_policy_makes_numbers(
    model: Model, folder: Path, policy: MissingPolicy
) -> None:
    bad = [entry for entry in read_folder(folder) if entry.path.name in ("broken.mp4", "empty.mp4")]
    with pytest.raises(ValueError, match=r"2 of 2 videos missing|not one of 2 videos can be read"):
        evaluate_entries(model, bad, split="val", missing=policy, workers=0)
