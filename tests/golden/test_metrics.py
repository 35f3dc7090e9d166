"""Metrics and post-processing against what four projects' released code gives.

Where no scores tie, the released numbers are ours. Where some do, the released code counts every tied place
or none; there the expectation over all orders is asserted, and the released value is shown to differ.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden.conftest import Golden

from vidsift.errors import NonFiniteScoresError
from vidsift.evaluation.metrics import summary
from vidsift.evaluation.ranks import Ranks, VideoToText, text_to_video_ranks, video_to_text_ranks
from vidsift.postprocess.dual_softmax import dual_softmax
from vidsift.postprocess.query_bank import query_bank_norm

SQUARE = ("random", "rounded_ties", "constant", "diag_best", "nan_row", "nan_col", "dup_video")
MULTI = ("random", "ties", "even_count_median", "v1")
RELEASES = ("clip4clip", "xclip", "drl", "ts2net")
DUAL = ("scale1", "scale100", "positive_sims")
BANKS = ("k1_b20.000", "k3_b20.000", "k1_b0.503")
OVERFLOWING = ("scale100_float32_beta20", "scale100_float64_beta20")


@pytest.fixture
def released(golden: Golden) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(golden.path("metrics_postproc.json").read_text("utf-8"))
    return content


def array(golden: Golden, key: str) -> np.ndarray[Any, np.dtype[Any]]:
    values: np.ndarray[Any, np.dtype[Any]] = golden("metrics_postproc")[key].numpy()
    return values


def agrees(ours: dict[str, float], recorded: dict[str, Any], *, median: bool = True) -> None:
    """Compare all recalls, the mean and the median rank."""
    tolerance = 0.051 if "MedR" in recorded else 1e-4  # QB-Norm's numbers are rounded to one digit
    for k in (1, 5, 10):
        assert ours[f"R@{k}"] == pytest.approx(recorded[f"R{k}"], abs=tolerance)
    assert ours["MnR"] == pytest.approx(recorded["MeanR"], abs=tolerance)
    if median:
        assert ours["MdR"] == pytest.approx(recorded.get("MedianR", recorded.get("MedR")), abs=tolerance)
    for key in ("MR", "MedianR"):
        assert recorded.get(key, recorded.get("MedianR")) == recorded.get("MedianR"), "two names of one value"


def both_ways(sim: np.ndarray[Any, np.dtype[Any]]) -> dict[str, Ranks]:
    pairs = np.arange(len(sim))
    return {"t2v": text_to_video_ranks(sim, pairs), "v2t": video_to_text_ranks(sim, pairs)}


def test_the_cases_are_all_of_them(released: dict[str, Any]) -> None:
    assert set(released) == {"square", "multi", "dsl", "qbnorm"}
    assert set(released["square"]) == set(SQUARE)
    assert set(released["multi"]) == {*MULTI, "uniform_3_caps"}
    assert set(released["dsl"]) == set(DUAL)
    assert set(released["qbnorm"]) == {*BANKS, *OVERFLOWING}


@pytest.mark.parametrize("case", SQUARE)
def test_one_caption_each(golden: Golden, released: dict[str, Any], case: str) -> None:
    sim, recorded = array(golden, f"square.{case}"), released["square"][case]
    if not np.isfinite(sim).all():
        row = int(np.argwhere(~np.isfinite(sim))[0][0])
        with pytest.raises(NonFiniteScoresError, match=f"text {row} with video"):
            text_to_video_ranks(sim, np.arange(len(sim)))
        return
    for way, ranks in both_ways(sim).items():
        ours, tied = summary(ranks), bool((ranks.tied > 1).any())
        for release in RELEASES:
            row = recorded[f"{release}.compute_metrics.{way}"]
            if not tied:
                agrees(ours, row)
                places = np.asarray(row["cols"])
                assert ranks.better.tolist() == places.tolist()
            else:
                # Every tied place is counted there: more ranks than questions.
                assert len(row["cols"]) == ranks.tied.sum() > len(sim)
        if not tied:
            agrees(ours, recorded[f"qbnorm.{way}_metrics"])
        # QB-Norm's mean rank averages the tied places, as ours does; its recalls then compare the averages.
        assert ours["MnR"] == pytest.approx(recorded[f"qbnorm.{way}_metrics"]["MeanR"], abs=0.051)


def test_ties_give_the_expected_recall(golden: Golden, released: dict[str, Any]) -> None:
    constant = summary(both_ways(array(golden, "square.constant"))["t2v"])
    assert constant["R@1"] == pytest.approx(100 / 24)
    assert constant["MnR"] == constant["MdR"] == 12.5
    twins = both_ways(array(golden, "square.dup_video"))["t2v"]
    assert (twins.tied == 2).all()
    # A pair of equal videos at the top is half a hit; QB-Norm counts a miss.
    assert summary(twins)["R@1"] == pytest.approx(50.0 * float((twins.better == 0).mean()))
    assert released["square"]["dup_video"]["qbnorm.t2v_metrics"]["R1"] == 0.0


def owners(caps: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.repeat(np.arange(len(caps)), caps)


@pytest.mark.parametrize("case", MULTI)
def test_several_captions_each(golden: Golden, released: dict[str, Any], case: str) -> None:
    sim, caps = array(golden, f"multi.{case}.sim"), array(golden, f"multi.{case}.caps")
    padded, owner, recorded = array(golden, f"multi.{case}.padded"), owners(caps), released["multi"][case]
    assert np.array_equal(sim, np.concatenate([padded[v, :n] for v, n in enumerate(caps)]))
    there = text_to_video_ranks(sim, owner)
    if case == "v1":
        # With one video the released code fails; the answer is the only one.
        assert all(recorded[release] == "AxisError(1, 0, None)" for release in RELEASES)
        assert summary(there)["R@1"] == summary(video_to_text_ranks(sim, owner))["R@1"] == 100.0
        assert summary(there)["MdR"] == recorded["numpy_median_of_t2v_ranks_plus_1"]
        return
    back = video_to_text_ranks(sim, owner, "caption_groups")
    groups = array(golden, f"multi.{case}.v2t_sim")
    assert np.array_equal(groups.T, np.stack([sim[owner == v].max(axis=0) for v in range(len(caps))]))
    for release in RELEASES:
        row = recorded[release]
        if case == "ties":
            # Ties go by index there (texts) or are counted several times (videos).
            assert len(row["v2t"]["cols"]) == back.tied.sum() > len(caps)
            continue
        # torch.median takes the lower of two middle ranks.
        agrees(summary(there), row["t2v"], median=False)
        assert float(np.sort(there.expected())[(len(there) - 1) // 2]) == row["t2v"]["MedianR"]
        assert float(there.expected().std()) == pytest.approx(row["t2v"]["Std_Rank"], abs=1e-6)
        agrees(summary(back), row["v2t"])
        assert back.better.tolist() == row["v2t"]["cols"]
    if case != "ties":
        assert summary(there)["MdR"] == recorded["numpy_median_of_t2v_ranks_plus_1"]
    else:
        _is_between(there, recorded["numpy_median_of_t2v_ranks_plus_1"], recorded["clip4clip"]["t2v"])


def _is_between(ranks: Ranks, median: float, released: dict[str, float]) -> None:
    """Ties broken by index lie between right answers coming first and last; so does what is expected."""
    first, last = ranks.better + 1, ranks.better + ranks.tied
    ours = summary(ranks)
    assert np.median(first) <= median <= np.median(last)
    for mean_rank in (ours["MnR"], released["MeanR"]):
        assert first.mean() < mean_rank < last.mean()
    for k in (1, 5):
        for recall in (ours[f"R@{k}"], released[f"R{k}"]):
            assert 100 * (last <= k).mean() <= recall <= 100 * (first <= k).mean()


@pytest.mark.parametrize(
    ("protocol", "name"),
    [
        ("caption_groups", "clip4clip.v2t(max over own captions, ranks V groups)"),
        ("closest_caption", "qbnorm.v2t_metrics(closest GT among all captions)"),
    ],
)
def test_the_two_protocols_of_video_to_text(
    golden: Golden, released: dict[str, Any], protocol: VideoToText, name: str
) -> None:
    recorded, sim = released["multi"]["uniform_3_caps"], array(golden, "uniform.sim")
    owner = np.repeat(np.arange(6), 3)
    agrees(summary(video_to_text_ranks(sim, owner, protocol)), recorded[name])
    there = summary(text_to_video_ranks(sim, owner))
    agrees(there, recorded["qbnorm.t2v_metrics"])
    agrees(there, recorded["clip4clip.t2v"], median=False)
    assert set(recorded) == {
        "clip4clip.v2t(max over own captions, ranks V groups)",
        "qbnorm.v2t_metrics(closest GT among all captions)",
        "clip4clip.t2v",
        "qbnorm.t2v_metrics",
    }


@pytest.mark.parametrize("case", ["scale1", "scale100"])
def test_dual_softmax(golden: Golden, released: dict[str, Any], case: str) -> None:
    sim, recorded = golden("metrics_postproc")[f"dsl.{case}.sim"], released["dsl"][case]
    # As released: similarities come scaled, or not.
    ours = dual_softmax(sim, 1.0)
    assert torch.allclose(ours, golden("metrics_postproc")[f"dsl.{case}.out"], rtol=1e-9, atol=1e-12)
    pairs = np.arange(len(sim))
    agrees(summary(text_to_video_ranks(ours.numpy(), pairs)), recorded["t2v"])
    agrees(summary(text_to_video_ranks(ours.numpy(), pairs)), recorded["compute_dsl_metrics"])
    agrees(summary(video_to_text_ranks(ours.numpy(), pairs)), recorded["v2t_as_coded"])
    back = dual_softmax(sim, 1.0, direction="video_to_text")
    agrees(summary(video_to_text_ranks(back.numpy(), pairs)), recorded["v2t_if_softmax_over_videos"])
    agrees(summary(text_to_video_ranks(sim.numpy(), pairs)), recorded["raw_t2v"])
    agrees(summary(video_to_text_ranks(sim.numpy(), pairs)), recorded["raw_v2t"])


def test_the_released_dual_softmax_cannot_change_video_to_text(
    golden: Golden, released: dict[str, Any]
) -> None:
    sim, recorded = golden("metrics_postproc")["dsl.positive.sim"], released["dsl"]["positive_sims"]
    ranks = [
        video_to_text_ranks(similarities.numpy(), np.arange(len(sim)))
        for similarities in (sim, dual_softmax(sim, 1.0))
    ]
    for found_ranks, name in zip(ranks, ("raw_v2t", "v2t_as_coded"), strict=True):
        agrees(summary(found_ranks), recorded[name])
    assert ranks[0].better.tolist() == ranks[1].better.tolist() == recorded["raw_v2t"]["cols"]


@pytest.mark.parametrize("case", BANKS)
def test_query_bank(golden: Golden, released: dict[str, Any], case: str) -> None:
    file, recorded = golden("metrics_postproc"), released["qbnorm"][case]
    k, beta = int(case[1]), {"20.000": 20.0, "0.503": 1 / 1.99}[case.partition("_b")[2]]
    sim, before = file["qb.test"], file["qb.test"].clone()
    result = query_bank_norm(sim, file["qb.bank"], beta=beta, k=k)
    assert torch.equal(result.hubs, file[f"qb.{case}.activation_videos"])
    assert torch.equal(result.normalised, file[f"qb.{case}.normalised_rows"])
    assert len(result.normalised) == recorded["rows_normalised"]
    assert torch.allclose(result.similarities, file[f"qb.{case}.out"], rtol=1e-6)
    assert recorded["input_mutated"]
    assert recorded["output_is_input"]
    assert torch.equal(sim, before), "ours leaves its input alone"
    pairs = np.arange(len(sim))
    agrees(summary(text_to_video_ranks(sim.numpy(), pairs)), recorded["t2v_before"])
    agrees(summary(text_to_video_ranks(result.similarities.numpy(), pairs)), recorded["t2v_after"])


@pytest.mark.parametrize("case", OVERFLOWING)
def test_a_query_bank_over_scaled_similarities_stays_a_number(
    golden: Golden, released: dict[str, Any], case: str
) -> None:
    assert released["qbnorm"][case]["nan"] > 0 == released["qbnorm"][case]["inf"]
    kind = torch.float32 if "float32" in case else torch.float64
    file = golden("metrics_postproc")
    sim, bank = (file[f"qb.{name}"].to(kind) * 100 for name in ("test", "bank"))
    assert torch.isfinite(query_bank_norm(sim, bank, beta=20.0).similarities).all()


def test_clip4clip_evaluates_the_same_model_alike(golden: Golden) -> None:
    notes = json.loads(golden.path("clip4clip_notes.json").read_text("utf-8"))["eval_epoch_metrics"]
    file = golden("clip4clip_e2e_eval")
    single = file["single.sim"].numpy()
    for way, ranks in both_ways(single).items():
        agrees(summary(ranks), notes["single"][way])
    assert notes["single"]["R1"] == pytest.approx(summary(both_ways(single)["t2v"])["R@1"])
    owner, padded = file["in.caption_owner"].numpy(), file["multi.sim_padded"].numpy()
    caps = np.bincount(owner)
    sim = np.concatenate([padded[video, :count] for video, count in enumerate(caps)])
    there, back = text_to_video_ranks(sim, owner), video_to_text_ranks(sim, owner, "caption_groups")
    groups = np.stack([sim[owner == video].max(axis=0) for video in range(len(caps))])
    assert np.array_equal(groups.T, file["multi.v2t_sim"].numpy())
    agrees(summary(there), notes["multi"]["t2v"], median=False)
    agrees(summary(back), notes["multi"]["v2t"])
    assert back.better.tolist() == notes["multi"]["v2t"]["cols"]
    assert notes["multi"]["R1"] == pytest.approx(summary(there)["R@1"])


def test_every_recorded_value_was_used(golden: Golden, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, "metrics_postproc")
    golden.assert_all_used(request, "clip4clip_e2e_eval", "multi.", "single.", "in.caption_owner")
