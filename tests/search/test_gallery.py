from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.index.library import filled, lance_table
from tests.methods import tiny

from vidsift.errors import IndexFolderError
from vidsift.interactions.quantised import product
from vidsift.search import gallery as gallery_module
from vidsift.search.gallery import Gallery, ScanFormat, best_scan_format, right_scan_format
from vidsift.search.ranking import all_segments
from vidsift.types import TokenSet

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_module, "BLOCK", 3)


@pytest.mark.processor
@pytest.mark.parametrize("method", ["drl", "zero_shot"])
@pytest.mark.parametrize("scan_format", ["int8", "bf16", "fp32"])
def test_blocks_hold_the_stored_tokens_in_the_scan_format(
    tmp_path: Path, method: str, scan_format: ScanFormat
) -> None:
    model = tiny.model(method)
    store = filled(tmp_path / "index", model, COUNTS, order=[5, 2, 7, 0, 1, 6, 3, 4], commits=3)
    gallery = Gallery.read(store, model.method, scan_format)
    assert gallery.blocks == 3
    exact = gallery.exact(range(len(COUNTS)))
    compact = model.method.compact_video(exact)
    blocks = [gallery.block(number)["frame"] for number in range(3)]
    assert [len(block) for block in blocks] == [3, 3, 2]
    tolerance = {"int8": 0.01, "bf16": 0.01, "fp32": 0.0}[scan_format]
    for number, block in enumerate(blocks):
        expected = compact["frame"][number * 3 : number * 3 + 3]
        tokens = _tokens(block) * (1 if block.scale is None else block.scale[:, None, None])
        assert (tokens - expected.tokens).abs().max() <= tolerance
        assert torch.equal(block.mask, expected.mask)
        assert block.weights is not None
        assert expected.weights is not None
        assert torch.equal(block.weights, expected.weights)
    if method == "drl":
        assert blocks[0].tokens.dtype == (torch.int8 if scan_format == "int8" else torch.float32)


def test_a_format_that_is_wrong_on_a_device_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for right, best in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(gallery_module, "rounds_within_bound", lambda *_, right=right: right)
        assert best_scan_format("cuda") == right_scan_format("bf16", "cuda") == best
        # A CPU multiplies tokens kept in bf16 in fp32.
        assert right_scan_format("bf16", "cpu") == "bf16"
    with pytest.raises(ValueError, match="scan_format is 'fp16', expected one of int8, bf16, fp32"):
        right_scan_format("fp16", "cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(("vnni", "exact"), [(True, True), (True, False), (False, True)])
def test_int8_scans_by_default_where_it_is_right_and_fast(
    monkeypatch: pytest.MonkeyPatch, vnni: bool, exact: bool
) -> None:
    monkeypatch.setattr(gallery_module, "multiplies_bytes", lambda: vnni)
    monkeypatch.setattr(gallery_module, "packs", lambda: exact)
    assert best_scan_format("cpu") == ("int8" if vnni and exact else "fp32")


def _tokens(tokens: TokenSet) -> torch.Tensor:
    """The tokens of a block; packed ones have no values to read, but their products with unit vectors."""
    if tokens.packed is None:
        return tokens.tokens.float()
    videos, slots, dim = tokens.tokens.shape
    columns = product(
        torch.eye(dim, dtype=torch.int8), tokens.tokens.transpose(0, 1).flatten(0, 1), tokens.packed
    )
    return columns.t().reshape(slots, videos, dim).transpose(0, 1)


def test_a_packed_block_takes_no_more_memory_and_refuses_to_be_cut(tmp_path: Path) -> None:
    model = tiny.model("drl")
    gallery = Gallery.read(filled(tmp_path / "index", model, COUNTS), model.method, "int8")
    block = gallery.block(0)["frame"]
    if block.packed is None:
        pytest.skip("packed products are missing or wrong here")
    assert block.tokens.device.type == "meta"
    with pytest.raises(TypeError, match="as a whole"):
        block[:1]


def test_segments_of_many_tokens_stand_in_smaller_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_module, "_BLOCK_TOKENS", 10)  # two segments of five frames
    model = tiny.model("drl")
    gallery = Gallery.read(filled(tmp_path / "index", model, COUNTS), model.method, "fp32")
    assert gallery.block_size == 2
    assert [len(gallery.block(number)["frame"]) for number in range(gallery.blocks)] == [2, 2, 2, 2]
    assert torch.equal(gallery.block(3)["frame"].tokens, gallery.exact([6, 7])["frame"].tokens)


def test_rows_stand_in_the_order_of_ids_however_they_were_added(tmp_path: Path) -> None:
    model = tiny.model()
    first = Gallery.read(filled(tmp_path / "a", model, COUNTS), model.method, "fp32")
    other = filled(tmp_path / "b", model, COUNTS, order=[7, 6, 5, 4, 3, 2, 1, 0], commits=4)
    second = Gallery.read(other, model.method, "fp32")
    assert first.segment_ids == second.segment_ids == sorted(first.segment_ids)
    for row in ([3], [7, 0, 3], [2, 2]):
        assert torch.equal(first.exact(row)["frame"].tokens, second.exact(row)["frame"].tokens)
    assert first.columns([4, 1], ["thumbnail"])["thumbnail"].to_pylist() == [b"jpeg4", b"jpeg1"]
    assert first.durations.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def test_a_video_of_two_segments_is_one_video(tmp_path: Path) -> None:
    model = tiny.model()
    gallery = Gallery.read(filled(tmp_path / "a", model, COUNTS), model.method, "fp32")
    assert gallery.video_numbers.tolist() == [0, 1, 1, 2, 3, 3, 4, 5]
    assert gallery.spans[2].tolist() == [6.0, 12.0]


def test_what_is_added_later_is_not_seen(tmp_path: Path) -> None:
    model = tiny.model()
    store = filled(tmp_path / "a", model, COUNTS)
    gallery = Gallery.read(store, model.method, "fp32")
    before = gallery.exact([0])["frame"].tokens
    lance_table(store.folder).delete("true")
    assert len(gallery) == len(COUNTS)
    assert torch.equal(gallery.exact([0])["frame"].tokens, before)


def test_an_empty_index_reads_as_nothing(tmp_path: Path) -> None:
    model = tiny.model()
    store = filled(tmp_path / "a", model, [5])
    store.drop_videos(sorted(store.video_ids()))
    gallery = Gallery.read(store, model.method, "int8")
    assert (len(gallery), gallery.blocks) == (0, 0)
    assert all_segments(gallery, {}).shape == (0,)


def test_a_damaged_table_is_said(tmp_path: Path) -> None:
    model = tiny.model()
    store = filled(tmp_path / "a", model, COUNTS)
    for file in (store.folder / "segments.lance" / "data").iterdir():
        file.write_bytes(b"\0" * 100)
    with pytest.raises(IndexFolderError, match=r"is damaged.*delete the folder and index again"):
        Gallery.read(store, model.method, "int8")


def test_every_segment_is_a_candidate(tmp_path: Path) -> None:
    model = tiny.model()
    gallery = Gallery.read(filled(tmp_path / "a", model, COUNTS), model.method, "fp32")
    assert np.array_equal(all_segments(gallery, {}), np.ones(len(COUNTS), bool))
