from __future__ import annotations

import dataclasses
import json

import pyarrow as pa
import pytest
import torch
from tests.methods import tiny

from vidsift.index.schema import (
    SetLayout,
    layout_of,
    segments_schema,
    set_to_columns,
    sets_from_table,
    token_columns,
)
from vidsift.types import TokenSet


def _prepared(counts: list[int], width: int) -> TokenSet:
    bare = tiny.token_set(counts, width)
    return bare.replace(
        weights=torch.rand(bare.mask.shape) * bare.mask,
        times_seconds=torch.rand(bare.mask.shape, dtype=torch.float64) * 5000,
        frame=torch.arange(width).expand(len(counts), -1).contiguous(),
    )


def _table(tokens: TokenSet, layout: SetLayout) -> pa.Table:
    return pa.table(set_to_columns("frame", tokens, layout))


def test_a_set_comes_back_as_fp16_holds_it() -> None:
    tokens = _prepared([3, 5, 1], 5)
    layout = layout_of({"frame": tokens})["frame"]
    back = sets_from_table(_table(tokens, layout), {"frame": layout})["frame"]

    assert torch.equal(back.tokens, tokens.tokens.half().float())
    assert torch.equal(back.mask, tokens.mask)
    assert back.weights is not None
    assert back.times_seconds is not None
    assert tokens.weights is not None
    assert tokens.times_seconds is not None
    assert torch.equal(back.weights, tokens.weights)
    assert torch.equal(back.times_seconds, tokens.times_seconds)
    assert back.frame is not None
    assert back.frame.dtype == torch.int64
    assert back.group is None


def test_a_part_of_a_table_is_read_from_its_own_place() -> None:
    tokens = _prepared([3, 5, 1, 2], 5)
    layout = layout_of({"frame": tokens})["frame"]
    batch = _table(tokens, layout).combine_chunks().to_batches()[0].slice(2, 2)
    back = sets_from_table(batch, {"frame": layout})["frame"]
    assert torch.equal(back.tokens, tokens.tokens[2:].half().float())
    assert torch.equal(back.mask, tokens.mask[2:])


def test_a_short_batch_is_padded_to_the_slots() -> None:
    layout = layout_of({"frame": _prepared([5], 5)})["frame"]
    short = _prepared([2, 1], 2)
    back = sets_from_table(_table(short, layout), {"frame": layout})["frame"]
    assert back.tokens.shape == (2, 5, 8)
    assert back.mask.sum(dim=1).tolist() == [2, 1]
    assert torch.equal(back.tokens[:, 2:], torch.zeros(2, 3, 8))


def test_more_tokens_than_slots_are_refused_by_name() -> None:
    layout = layout_of({"frame": _prepared([2], 2)})["frame"]
    with pytest.raises(ValueError, match=r"'frame' has 5 tokens of 8 channels.*room for 2 of 8"):
        set_to_columns("frame", _prepared([5], 5), layout)


def test_a_layout_survives_json() -> None:
    layout = layout_of({"frame": _prepared([2], 2)})["frame"]
    assert layout == SetLayout(2, 8, ("weights", "times_seconds", "frame"))
    assert SetLayout(**json.loads(json.dumps(dataclasses.asdict(layout)))) == layout


def test_an_impossible_layout_is_refused() -> None:
    with pytest.raises(TypeError, match="0 slots"):
        SetLayout(0, 8, ())
    with pytest.raises(TypeError, match="colour"):
        SetLayout(1, 8, ("colour",))


def test_the_table_has_a_column_for_every_part_of_every_set() -> None:
    sets = {"frame": SetLayout(3, 8, ("weights",)), "patch": SetLayout(6, 8, ("group",))}
    names = segments_schema(sets).names
    assert token_columns(sets) == [
        "frame_tokens",
        "frame_mask",
        "frame_weights",
        "patch_tokens",
        "patch_mask",
        "patch_group",
    ]
    assert set(token_columns(sets)) < set(names)
    assert {"segment_id", "video_id", "start_seconds", "thumbnail", "pooled"} < set(names)
