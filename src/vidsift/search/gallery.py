"""What a search reads: every segment in memory in the form that scans fastest, and exact rows from disk.

Rows stand in the order of their ids, whatever the order in which they were added. Tokens are kept in blocks
of up to :data:`BLOCK` videos, frames outermost, so that the maxima of a token-wise score run along memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.encoders.device import multiplies_bytes
from vidsift.index.schema import ROW_ID, SetLayout, parts_from_table, sets_from_table, token_columns
from vidsift.index.storage import Store
from vidsift.index.versions import TableReader
from vidsift.interactions.product_checks import rounds_within_bound
from vidsift.interactions.quantised import pack, packs, quantise
from vidsift.methods.base import Method, TermSum
from vidsift.types import Features, TokenSet

__all__ = [
    "BLOCK",
    "Gallery",
    "ScanFormat",
    "ScanSet",
    "best_scan_format",
    "block_of",
    "right_scan_format",
]

BLOCK = 4096
"""Segments in a block at most: few operations for one question, and 20 MB of products for eight of them."""

GPU_BLOCK = 8 * BLOCK
"""The same on a GPU, where few operations count for more."""

_BLOCK_TOKENS = 12 * BLOCK
"""Tokens of a set in a block at most: where segments have many, a block has fewer segments."""

_READ_ROWS = 2048
ScanFormat = Literal["int8", "bf16", "fp32"]


def best_scan_format(device: torch.device | str) -> ScanFormat:
    """The number format that scans fastest of those that are right on this machine.

    On a CPU int8 where packed products are whole sums (:func:`~vidsift.interactions.quantised.packs`) and the
    processor has an instruction for them (VNNI, AMX), without which they are wrong, or right and slow. On
    other devices bf16 where it rounds within its bound
    (:func:`~vidsift.interactions.product_checks.rounds_within_bound`). Else fp32.
    """
    kind = torch.device(device).type
    if kind != "cpu":
        return right_scan_format("bf16", device)
    return "int8" if multiplies_bytes() and packs() else "fp32"


def right_scan_format(wanted: ScanFormat, device: torch.device | str) -> ScanFormat:
    """The wanted number format where its products are right on this machine, else fp32.

    int8 is right everywhere: :func:`~vidsift.interactions.quantised.product` multiplies it by the fastest way
    that is. A CPU turns bf16 into fp32 and multiplies that; other devices multiply it as it is.

    Raises:
        ValueError: for another name.
    """
    if wanted not in get_args(ScanFormat):
        raise ValueError(f"scan_format is {wanted!r}, expected one of {', '.join(get_args(ScanFormat))}")
    kind = torch.device(device).type
    if wanted == "bf16" and kind != "cpu" and not rounds_within_bound(torch.bfloat16, kind):
        return "fp32"
    return wanted


def block_of(device: torch.device | str) -> int:
    """Segments in a block at most where scores are computed on this device."""
    return BLOCK if torch.device(device).type == "cpu" else GPU_BLOCK


class ScanSet:
    """One token set of all segments, in blocks.

    Args:
        rows: segments.
        first: compact prepared set of some of them; gives shape and parts.
        scan_format: how tokens are stored.
        device: where.
        block_size: segments in a block.
    """

    def __init__(
        self, rows: int, first: TokenSet, scan_format: ScanFormat, device: torch.device, block_size: int
    ) -> None:
        """Reserve the memory; :meth:`put` fills it."""
        kinds = {"int8": torch.int8, "bf16": torch.bfloat16, "fp32": torch.float32}
        _, slots, dim = first.tokens.shape
        blocks = [min(block_size, rows - at) for at in range(0, rows, block_size)]
        self._block_size = block_size
        self._quantised = scan_format == "int8"
        self._tokens = [torch.zeros(slots, n, dim, dtype=kinds[scan_format], device=device) for n in blocks]
        self._small: dict[str, list[Tensor]] = {}
        # Frame and group of a token are read by no term that scans int8.
        names = ("mask", "weights", "frame", "group") if not self._quantised else ("mask", "weights")
        for name in names:
            part = getattr(first, name)
            if part is not None:
                self._small[name] = [torch.zeros(slots, n, dtype=part.dtype, device=device) for n in blocks]
        self._scale = [torch.ones(n, device=device) for n in blocks]
        self._packed: list[Tensor] = []

    def put(self, places: Tensor, compact: TokenSet) -> None:
        """Write rows at their places (ascending or not), ``compact`` row i at ``places[i]``."""
        stored = quantise(compact) if self._quantised else compact
        numbers = places // self._block_size
        for block in np.unique(numbers.cpu().numpy()).tolist():
            chosen = numbers == block
            at = places[chosen] - block * self._block_size
            # (rows, slots, dim) to (slots, rows, dim), as the block lies
            self._tokens[block][:, at] = stored.tokens[chosen].transpose(0, 1).to(self._tokens[block])
            for name, parts in self._small.items():
                parts[block][:, at] = getattr(stored, name)[chosen].t().to(parts[block])
            if stored.scale is not None:
                self._scale[block][at] = stored.scale[chosen].to(self._scale[block])

    def finish(self) -> None:
        """Lay the tokens out for scanning, once all rows are there."""
        if not self._quantised:
            return
        for number, tokens_NVD in enumerate(self._tokens):
            packed = pack(tokens_NVD.flatten(0, 1))
            if packed is not None:
                # The packed form holds the values; of the plain one only the shape is still asked for.
                self._packed.append(packed)
                self._tokens[number] = tokens_NVD.to("meta")

    def block(self, number: int) -> TokenSet:
        """Return a block as views; only bf16 is copied, which a CPU scores in fp32."""
        tokens_NVD = self._tokens[number]
        # On a CPU bf16 saves memory and no time: it is multiplied as fp32.
        if tokens_NVD.dtype == torch.bfloat16 and tokens_NVD.device.type == "cpu":
            tokens_NVD = tokens_NVD.float()
        return TokenSet(
            tokens=tokens_NVD.transpose(0, 1),
            scale=self._scale[number] if self._quantised else None,
            packed=self._packed[number] if self._packed else None,
            **{name: parts[number].t() for name, parts in self._small.items()},
        )

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        # Tokens that were packed count here as well: they are on meta, and the packed form is as large.
        parts = [self._tokens, self._scale, *self._small.values()]
        return sum(block.numel() * block.element_size() for part in parts for block in part)


@dataclass(eq=False)
class Gallery:
    """All segments of an index at one version, ready to be searched.

    Attributes:
        segment_ids: ascending.
        video_ids: of each segment, and as numbers (``video_numbers``).
        spans: start and end in seconds, float64 ``(V, 2)``.
        durations: of each segment's video in seconds, float64 ``(V,)``.
        scan: token sets by name.
        block_size: segments in a block, the last one excepted.
        device: where they are scanned, and candidates scored.
    """

    segment_ids: list[str]
    video_ids: list[str]
    video_numbers: NDArray[np.int64]
    spans: NDArray[np.float64]
    durations: NDArray[np.float64]
    scan: dict[str, ScanSet]
    block_size: int
    device: torch.device
    _row_ids: NDArray[np.uint64]
    _segments: TableReader
    _sets: Mapping[str, SetLayout]
    _score_sets: Mapping[str, SetLayout]
    _known: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Columns held in memory, ``{column: (V, slots)}``: what a score reads of a segment beside its tokens."""

    @classmethod
    def read(cls, store: Store, method: Method, scan_format: ScanFormat) -> Gallery:
        """Read an index into memory.

        Raises:
            IndexVersionGoneError: it was opened so long ago that its version is cleaned up.
            IndexFolderError: its files cannot be read.
        """
        # One version throughout, whatever is added meanwhile.
        segments, sets = store.segment_reader(), store.manifest.sets
        names = ["segment_id", "video_id", "start_seconds", "end_seconds", "duration_seconds"]
        rows = segments.read(names).sort_by("segment_id")
        row_ids = rows[ROW_ID].to_numpy()
        videos = rows["video_id"].to_pylist()
        device = next(method.parameters()).device
        gallery = cls(
            segment_ids=rows["segment_id"].to_pylist(),
            video_ids=videos,
            # Numbers group segments by video within arrays, where comparing ids would be slow.
            video_numbers=np.unique(np.asarray(videos, object), return_inverse=True)[1].astype(np.int64)
            if videos
            else np.zeros(0, np.int64),
            spans=np.stack([rows["start_seconds"].to_numpy(), rows["end_seconds"].to_numpy()], axis=1),
            durations=rows["duration_seconds"].to_numpy(),
            scan={},
            block_size=block_of(device),
            device=device,
            _row_ids=row_ids,
            _segments=segments,
            _sets=sets,
            _score_sets={name: _for_score(layout) for name, layout in sets.items()},
        )
        gallery._fill(method.scanned, scan_format)
        return gallery

    def _fill(self, terms: TermSum, scan_format: ScanFormat) -> None:
        # Rows come in the order in which they were added; each goes where its id stands.
        order = np.argsort(self._row_ids)
        ascending = self._row_ids[order]
        for batch in self._segments.batches(token_columns(self._score_sets), _READ_ROWS):
            if not batch.num_rows:
                continue
            ids = batch.column(ROW_ID).to_numpy()
            rows = order[np.searchsorted(ascending, ids)]
            parts = parts_from_table(batch, self._score_sets)
            self._cache_rows(rows, parts)
            self._put(rows, sets_from_table(batch, self._score_sets, parts), terms, scan_format)
        for scan_set in self.scan.values():
            scan_set.finish()

    def _put(
        self, rows: NDArray[np.int64], features: Features, terms: TermSum, scan_format: ScanFormat
    ) -> None:
        """Hold some segments as terms scan them."""
        places = torch.from_numpy(rows)
        with torch.inference_mode():
            compact = terms.compact_video(terms.adapt_video(_on(features, self.device)))
        if not self.scan:
            # Known only now: of some terms a segment keeps a mean frame, of others hundreds of patches.
            most = max(tokens.tokens.shape[1] for tokens in compact.values())
            longest = block_of(self.device)
            self.block_size = min(longest, max(1, _BLOCK_TOKENS * longest // BLOCK // most))
        for name, tokens in compact.items():
            if name not in self.scan:
                chosen = right_scan_format(scan_format, self.device)
                chosen = chosen if chosen != "int8" or scans_int8(terms, name) else "fp32"
                self.scan[name] = ScanSet(len(self), tokens, chosen, self.device, self.block_size)
            self.scan[name].put(places.to(self.device), tokens)

    def _cache_rows(self, rows: NDArray[np.int64], parts: Mapping[str, NDArray[Any]]) -> None:
        for name, values in parts.items():
            if name not in self._known:
                self._known[name] = np.zeros((len(self), values.shape[1]), values.dtype)
            self._known[name][rows] = values

    def held_for(self, terms: TermSum, scan_format: ScanFormat) -> Gallery:
        """Return the same segments as other terms scan them; their tokens are read again.

        Args:
            terms: whose sets are among the stored ones.
            scan_format: as for :meth:`read`.

        Raises:
            IndexVersionGoneError, IndexFolderError: as for :meth:`read`.
        """
        # ids, spans and cached rows are shared; only the scan sets are others
        other = replace(self, scan={}, block_size=block_of(self.device))
        other._fill(terms, scan_format)
        return other

    def part(self, rows: Sequence[int], terms: TermSum) -> Gallery:
        """Return some of the segments by themselves: a question to them costs nothing for all the others.

        Args:
            rows: which segments, ascending.
            terms: that will scan them, in fp32.

        Raises:
            IndexVersionGoneError, IndexFolderError: as for :meth:`read`.
        """
        chosen = list(rows)
        part = replace(
            self,
            segment_ids=[self.segment_ids[row] for row in chosen],
            video_ids=[self.video_ids[row] for row in chosen],
            video_numbers=self.video_numbers[chosen],
            spans=self.spans[chosen],
            durations=self.durations[chosen],
            scan={},
            _row_ids=self._row_ids[chosen],
            _known={name: values[chosen] for name, values in self._known.items()},
        )
        for at in range(0, len(chosen), _READ_ROWS):
            places = np.arange(at, min(at + _READ_ROWS, len(chosen)))
            part._put(places, part.exact(places.tolist(), score_only=True), terms, "fp32")
        return part

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self.segment_ids)

    @property
    def version(self) -> int:
        """Version of the table of segments that was read."""
        return self._segments.version

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-len(self) // self.block_size)

    def block(self, number: int) -> dict[str, TokenSet]:
        """Return the scan sets of segments ``number * block_size`` onwards."""
        return {name: scan_set.block(number) for name, scan_set in self.scan.items()}

    def exact(self, rows: Sequence[int], *, score_only: bool = False) -> dict[str, TokenSet]:
        """Read prepared sets as stored.

        Args:
            rows: which segments.
            score_only: leave out the times, which no score reads.

        Returns:
            Sets in the order of ``rows``, ``{set: (rows, slots, dim)}`` in fp32.

        Raises:
            IndexVersionGoneError, IndexFolderError: as for :meth:`read`.
        """
        sets = self._score_sets if score_only else self._sets
        known = {name: values[list(rows)] for name, values in self._known.items()}
        # Every column read costs as much as the tokens of a dozen segments.
        wanted = [name for name in token_columns(sets) if name not in known]
        return sets_from_table(self.columns(rows, wanted), sets, known)

    def columns(self, rows: Sequence[int], names: Sequence[str]) -> pa.Table:
        """Read stored columns of some segments, in the order of ``rows``; raises as :meth:`exact`."""
        return self._segments.take(self._row_ids[list(rows)], names)


def scans_int8(terms: TermSum, name: str) -> bool:
    """Whether all terms that read a video set can score it in int8."""
    return all(term.interaction.scans_int8 for term in terms.terms if term.video == name)


def _for_score(layout: SetLayout) -> SetLayout:
    return replace(layout, parts=tuple(part for part in layout.parts if part != "times_seconds"))


def _on(features: Features, device: torch.device) -> dict[str, TokenSet]:
    return {name: tokens.to(device=device) for name, tokens in features.items()}
