"""The values that travel between the rooms."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import get_type_hints

import numpy as np
import pytest
import torch

from vidsift.errors import QueryError
from vidsift.types import Alignment, Filter, FilterFields, Frames, Hit, PatchShares, Span, TokenSet


def tokens(batch: int = 3, width: int = 4, dim: int = 2) -> TokenSet:
    """A set with every part that has rows, all of whose values differ."""
    count = batch * width
    return TokenSet(
        tokens=torch.arange(count * dim, dtype=torch.float32).reshape(batch, width, dim),
        mask=torch.arange(count).reshape(batch, width) % 3 != 2,
        weights=torch.arange(count, dtype=torch.float32).reshape(batch, width) / 10,
        times_seconds=torch.arange(count, dtype=torch.float64).reshape(batch, width) + 1 / 3,
        frame=torch.arange(count).reshape(batch, width),
        group=torch.arange(count).reshape(batch, width) + 100,
        scale=torch.arange(batch, dtype=torch.float32) + 1,
    )


def parts(of: TokenSet) -> dict[str, torch.Tensor]:
    return {part.name: getattr(of, part.name) for part in dataclasses.fields(of) if part.name != "packed"}


def test_a_span_is_a_pair_of_seconds_with_a_length() -> None:
    span = Span(2.5, 10.0)
    assert span == (2.5, 10.0)
    assert span.duration_seconds == 7.5
    start, end = span
    assert (start, end) == (span.start_seconds, span.end_seconds)
    assert span < Span(3.0, 4.0)
    assert len({span, Span(2.5, 10.0)}) == 1


def test_frames_count_their_pictures() -> None:
    frames = Frames(np.zeros((3, 8, 6, 3), np.uint8), np.array([0.0, 0.5, 1.0]))
    assert len(frames) == 3
    assert frames.damage is None
    assert len(Frames(np.zeros((0, 8, 6, 3), np.uint8), np.zeros(0))) == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        frames.damage = "none"  # type: ignore[misc]


@pytest.mark.parametrize("shape", [(8, 6, 3), (3, 8, 6, 4), (3, 3, 8, 6), (1, 3, 8, 6, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(frames, height, width, 3\)") as caught:
        Frames(np.zeros(shape, np.uint8), np.zeros(shape[0]))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), ()])
def test_every_picture_needs_one_time(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"3 pictures but times of shape .*; give one time for each picture"):
        Frames(np.zeros((3, 8, 6, 3), np.uint8), np.zeros(shape))


def test_a_token_set_counts_its_rows_and_may_have_tokens_and_mask_alone() -> None:
    bare = TokenSet(torch.zeros(5, 2, 7), torch.ones(5, 2, dtype=torch.bool))
    assert len(bare) == 5
    assert [name for name, part in parts(bare).items() if part is None] == [
        "weights",
        "times_seconds",
        "frame",
        "group",
        "scale",
    ]
    assert len(bare[:0]) == 0


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 2, 1)])
def test_tokens_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(batch, tokens, channels\)") as caught:
        TokenSet(torch.zeros(shape), torch.ones(3, 4, dtype=torch.bool))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("name", ["mask", "weights", "times_seconds", "frame", "group"])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4), (3, 4, 2)])
def test_a_part_that_does_not_suit_the_tokens_is_named(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"TokenSet: {name} has shape .*, expected \(3, 4\)") as caught:
        tokens().replace(**{name: torch.zeros(shape)})
    assert str(shape) in str(caught.value)
    assert "(3, 4, 2)" in str(caught.value)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (3, 4)])
def test_there_is_one_scale_for_each_row(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"TokenSet: scale has shape .*, expected \(3,\)"):
        tokens().replace(scale=torch.ones(shape))


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2]),
        (slice(-1, None), [2]),
        (torch.tensor([2, 0, 2]), [2, 0, 2]),
        (torch.tensor([True, False, True]), [0, 2]),
        (slice(3, 9), []),
    ],
)
def test_rows_are_taken_from_every_part(index: slice | torch.Tensor, rows: list[int]) -> None:
    whole = tokens()
    taken = whole[index]
    assert len(taken) == len(rows)
    for name, part in parts(taken).items():
        assert torch.equal(part, parts(whole)[name][rows]), name


def test_a_single_row_is_asked_for_as_a_slice() -> None:
    with pytest.raises(TypeError, match=r"TokenSet\[1\]: rows are taken by slice; write \[1:2\]"):
        tokens()[1]  # type: ignore[index]


def test_packed_tokens_are_not_taken_apart() -> None:
    whole = tokens().replace(packed=torch.zeros(1))
    assert len(whole) == 3
    with pytest.raises(TypeError, match=r"packed tokens are scored as a whole; take rows before pack"):
        whole[1:]


def test_a_slice_is_a_view() -> None:
    whole = tokens()
    assert whole[1:].tokens.data_ptr() == whole.tokens[1:].data_ptr()


def test_to_changes_the_type_of_tokens_and_weights_alone() -> None:
    whole = tokens()
    half = whole.to(dtype=torch.bfloat16)
    assert {name: part.dtype for name, part in parts(half).items()} == {
        "tokens": torch.bfloat16,
        "mask": torch.bool,
        "weights": torch.bfloat16,
        "times_seconds": torch.float64,
        "frame": torch.int64,
        "group": torch.int64,
        "scale": torch.float32,
    }
    assert torch.equal(half.tokens, whole.tokens.bfloat16())
    assert half.times_seconds is not None
    assert torch.equal(half.times_seconds, parts(whole)["times_seconds"])


def test_to_leaves_tokens_in_int8_as_they_are() -> None:
    int8_tokens = tokens().replace(tokens=torch.ones(3, 4, 2, dtype=torch.int8))
    assert int8_tokens.to(dtype=torch.float32).tokens.dtype == torch.int8


def test_to_moves_every_part() -> None:
    there = tokens().to(device="meta")
    assert {part.device.type for part in parts(there).values()} == {"meta"}
    bare = TokenSet(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool)).to(device="meta")
    assert bare.weights is None


def test_replace_exchanges_what_is_named_and_leaves_the_rest() -> None:
    whole = tokens()
    other = whole.replace(weights=None, tokens=torch.zeros(3, 4, 9))
    assert other.weights is None
    assert other.tokens.shape == (3, 4, 9)
    assert other.mask is whole.mask
    assert whole.weights is not None
    with pytest.raises(TypeError, match="weight"):
        whole.replace(weight=None)


def test_values_print_their_shapes_in_one_line() -> None:
    assert repr(tokens()) == (
        "TokenSet(tokens 3x4x2 float32, 8 of 12 real, weights, times_seconds, frame, group, scale)"
    )
    whole = TokenSet(torch.zeros(1, 2, 3, dtype=torch.bfloat16), torch.ones(1, 2, dtype=torch.bool))
    assert repr(whole) == "TokenSet(tokens 1x2x3 bfloat16, 2 of 2 real)"
    assert repr(whole.to(device="meta")) == "TokenSet(tokens 1x2x3 bfloat16 on meta, mask)"
    pairs = torch.zeros(8, 5, 12)
    alignment = Alignment(pairs, pairs, *(torch.zeros(8, 1) for _ in range(4)))
    assert repr(alignment) == "Alignment(8 pairs, 5 text tokens with 12 video tokens, float32)"
    shares = PatchShares(torch.zeros(2, 12, 49), "attention, not truth")
    assert repr(shares) == "PatchShares(2x12x49 float32, note 'attention, not truth')"
    frames = Frames(np.zeros((3, 8, 6, 3), np.uint8), np.array([0.0, 0.5, 1.25]))
    assert repr(frames) == "Frames(3 of 6x8 px, 0.00 to 1.25 seconds)"
    assert repr(dataclasses.replace(frames, damage="cut")).endswith("1.25 seconds, damage 'cut')")
    assert repr(Frames(np.zeros((0, 8, 6, 3), np.uint8), np.zeros(0))) == "Frames(0 of 6x8 px)"


def test_values_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        tokens().mask = torch.zeros(3, 4)  # type: ignore[misc]
    alignment = Alignment(*(torch.zeros(1, 2, 3) for _ in dataclasses.fields(Alignment)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        alignment.values = torch.ones(1, 2, 3)  # type: ignore[misc]


def test_hits_with_the_same_values_are_equal() -> None:
    hit = Hit(1, 0.5, "a.mp4", "id", Span(0.0, 30.0), Span(4.0, 6.0))
    assert hit == dataclasses.replace(hit)
    assert hit != dataclasses.replace(hit, score=0.25)
    assert len({hit, dataclasses.replace(hit)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        hit.rank = 2  # type: ignore[misc]


def test_a_filter_takes_by_name_what_it_holds() -> None:
    assert get_type_hints(FilterFields) == get_type_hints(Filter)


def test_filters_that_ask_the_same_are_equal() -> None:
    wanted = Filter(tags=["sea", "holiday", "sea"], under="/videos")
    assert wanted == Filter(under="/videos", tags=("holiday", "sea"))
    assert len({wanted, dataclasses.replace(wanted)}) == 1
    assert wanted.tags == ("holiday", "sea")


@pytest.mark.parametrize(
    ("filter", "narrows"),
    [
        (Filter(), False),
        (Filter(min_score=0.5, group_by="video", candidates=7, skip=3), False),
        (Filter(under="."), True),
        (Filter(min_duration_seconds=0.0), True),
        (Filter(max_duration_seconds=float("inf")), True),
        (Filter(modified_after=datetime(2024, 5, 1, tzinfo=UTC)), True),
        (Filter(modified_before=datetime(2024, 5, 1, tzinfo=UTC)), True),
        (Filter(tags=["sea"]), True),
        (Filter(name="beach"), True),
    ],
)
def test_a_filter_narrows_where_videos_may_not_be_found(filter: Filter, narrows: bool) -> None:
    assert filter.narrows is narrows


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"skip": -1}, "skip is -1, expected 0 or more"),
        ({"min_score": float("inf")}, "min_score is inf, expected a number, or None for no limit"),
        ({"max_duration_seconds": float("nan")}, "max_duration_seconds is nan, expected seconds"),
        ({"group_by": "folder"}, "group_by is 'folder', expected 'segment' or 'video'"),
        ({"name": "  "}, "name is '  ', expected a part of a file's name, or None for any"),
        ({"candidates": 0}, "candidates is 0, expected at least 1"),
        ({"tags": "sea"}, r"tags is 'sea', expected a list of tags: \['sea'\]"),
    ],
)
def test_a_filter_refuses_what_makes_no_sense(fields: FilterFields, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Filter(**fields)
