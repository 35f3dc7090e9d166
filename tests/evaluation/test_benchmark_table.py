"""Our results beside those of papers: who stands with whom, and what keeps two apart."""

from __future__ import annotations

from typing import Any

import pytest

from vidsift.evaluation.benchmark_table import (
    TableGroup,
    TableRow,
    benchmark_groups,
    protocol_differences,
    usual_backbone,
)
from vidsift.evaluation.published import Direction, benchmark_of

T2V: Direction = "text_to_video"
V2T: Direction = "video_to_text"


def report(**protocol: Any) -> dict[str, Any]:
    """What ``vidsift evaluate`` writes of a run on 1k-A."""
    usual = {
        "source": "msrvtt",
        "split": "1k-A",
        "videos": 1000,
        "captions": 1000,
        "missing_policy": "refuse",
        "missing": {"count": 0, "of": 1000, "videos": []},
        "video_to_text": "closest_caption",
        "frames": 12,
        "max_words": 32,
        "model": "runs/wti",
        "method": "drl",
        "backbone": "openai/clip-vit-base-patch32",
    }
    numbers = {"R@1": 46.0, "R@5": 73.0, "R@10": 83.0, "MdR": 2.0, "MnR": 13.5, "questions": 1000}
    return {
        "protocol": usual | protocol,
        "text_to_video": numbers,
        "video_to_text": numbers | {"R@1": 44.0},
        "rsum": 400.0,
    }


def groups_of(
    *reports: dict[str, Any], name: str = "msrvtt-1ka", direction: Direction = T2V
) -> list[TableGroup]:
    named = {f"{number}.json": value for number, value in enumerate(reports)}
    return benchmark_groups(benchmark_of(name), direction, named)


def ours(groups: list[TableGroup]) -> list[tuple[TableGroup, TableRow]]:
    return [(group, row) for group in groups for row in group.rows if row.measured_here and row.metrics]


def test_a_result_stands_beside_those_of_its_backbone() -> None:
    ((group, row),) = ours(groups_of(report()))
    assert (group.kind, group.backbone) == ("plain", "ViT-B/32")
    assert "PIDRo" in {other.method for other in group.rows}
    assert row is group.rows[-1]
    assert dict(row.metrics) == {"R@1": 46.0, "R@5": 73.0, "R@10": 83.0, "MdR": 2.0, "MnR": 13.5}
    assert (row.method, row.source, row.split, row.frames) == ("runs/wti (drl)", "0.json", "1k-A", 12)
    ((_, back),) = ours(groups_of(report(), direction=V2T))
    assert back.metrics["R@1"] == 44.0


def test_groups_where_we_have_nothing_end_with_a_blank() -> None:
    for group in groups_of(report()):
        blanks = [row for row in group.rows if row.measured_here and not row.metrics]
        is_ours = (group.kind, group.backbone) == ("plain", "ViT-B/32")
        assert len(blanks) == (0 if is_ours or group.backbone is None else 1)
        assert all(row.method == "not measured" for row in blanks)


def test_post_processed_rows_stand_apart_and_say_whether_they_saw_the_test_queries() -> None:
    groups = groups_of()
    for group in groups:
        assert {bool(row.post) for row in group.rows if row.metrics} == {group.kind == "post-processed"}
    post = {row.post: row.transductive for group in groups for row in group.rows if row.post}
    assert post == {"dsl": True, "inverted-softmax": True, "tvh": True, "qbnorm": False}
    assert all(row.transductive is False for row in groups[0].rows)


def test_post_processed_rows_of_ours_stand_among_those_of_papers() -> None:
    processed = report()
    numbers = processed["text_to_video"]
    processed["post_processed"] = {
        "dsl": {"transductive": True, "text_to_video": numbers | {"R@1": 50.0}, "video_to_text": numbers},
        # A bank drawn of the test split itself.
        "qbnorm": {"transductive": True, "text_to_video": numbers | {"R@1": 51.0}, "video_to_text": None},
    }
    rows = [(group.kind, row) for group, row in ours(groups_of(processed))]
    assert [(kind, row.post, row.transductive, row.metrics["R@1"]) for kind, row in rows] == [
        ("plain", "", False, 46.0),
        ("post-processed", "dsl", True, 50.0),
        ("post-processed", "qbnorm", True, 51.0),
    ]
    back = [row.post for _, row in ours(groups_of(processed, direction=V2T))]
    assert back == ["", "dsl"]


def test_groups_go_from_no_clip_to_larger_towers() -> None:
    assert [(group.kind, group.backbone) for group in groups_of()] == [
        ("plain", None),
        ("plain", "ViT-B/32"),
        ("plain", "ViT-B/16"),
        ("post-processed", None),
        ("post-processed", "ViT-B/32"),
        ("post-processed", "ViT-B/16"),
    ]


@pytest.mark.parametrize(
    ("protocol", "difference"),
    [
        ({"source": "folder"}, "data set folder, expected msrvtt"),
        ({"split": "validate"}, "split validate, expected 1k-A"),
        ({"videos": 997, "captions": 997}, "997 videos, expected 1000"),
        ({"frames": 8}, "8 frames, papers 12"),
        (
            {"missing_policy": "miss", "missing": {"count": 3, "of": 1000}},
            "3 of 1000 videos missing, counted as not found",
        ),
        (
            {"trained_on": {"split": "train", "videos": 40, "of": 1000}},
            "40 of 1000 videos were trained on",
        ),
    ],
)
def test_what_is_measured_otherwise_stands_apart(protocol: dict[str, Any], difference: str) -> None:
    groups = groups_of(report(**protocol))
    ((group, row),) = ours(groups)
    assert group.kind == "other protocol"
    assert row.differences == (difference,)
    assert groups[-1] is group


def test_a_report_that_names_no_data_set_is_none_of_a_benchmark() -> None:
    plain = report()
    del plain["protocol"]["source"]
    assert protocol_differences(plain, benchmark_of("msrvtt-1ka"), T2V) == [
        "data set folder, expected msrvtt"
    ]


def test_the_convention_with_several_captions_counts_from_video_to_text() -> None:
    several = report(source="msvd", split="test", videos=670, captions=27763)
    msvd = benchmark_of("msvd")
    assert protocol_differences(several, msvd, T2V) == []
    assert protocol_differences(several, msvd, V2T) == [
        "video to text by closest_caption, papers by caption_groups"
    ]
    several["protocol"]["video_to_text"] = "caption_groups"
    assert protocol_differences(several, msvd, V2T) == []


def test_ablations_are_shown_where_wanted() -> None:
    def methods(ablations: bool) -> set[str]:
        groups = benchmark_groups(benchmark_of("msrvtt-1ka"), T2V, {}, ablations=ablations)
        return {row.method for group in groups for row in group.rows}

    assert "DRL TI, with CDCR" in methods(True) - methods(False)
    assert "DRL WTI, with CDCR" in methods(False)


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("openai/clip-vit-base-patch32", "ViT-B/32"),
        ("openai/clip-vit-large-patch14-336", "ViT-L/14"),
        ("ViT-B-16", "ViT-B/16"),
        ("B/16", "ViT-B/16"),
        ("CLIP ViT, patches of 14 px, 24 blocks, width 1024; text width 768; shared 768", "ViT-L/14"),
        ("CLIP ViT, patches of 8 px, 6 blocks, width 192", "CLIP ViT, patches of 8 px, 6 blocks, width 192"),
        ("shapes", "shapes"),
        (None, None),
    ],
)
def test_backbones_are_called_as_papers_call_them(name: str | None, usual: str | None) -> None:
    assert usual_backbone(name) == usual
