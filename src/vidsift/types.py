"""The values that travel between the rooms, and the legend of shape letters.

Shape letters are suffixes in mathematical code (``text_QTD``, ``sim_QV``):

======  ==========================================================
``Q``   queries (texts)
``V``   videos (or segments of videos)
``B``   a batch of either, or of matched pairs
``T``   text tokens
``F``   frames
``P``   patches of a frame
``N``   tokens of any kind
``D``   channels of the shared space
======  ==========================================================

Time is seconds as float everywhere, counted on the video's own clock.
This module does not import torch: processes that only decode stay light.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict

from vidsift.errors import QueryError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = [
    "Alignment",
    "Features",
    "Filter",
    "FilterFields",
    "Frames",
    "GroupBy",
    "Hit",
    "PatchShares",
    "Span",
    "TokenSet",
]


class Span(NamedTuple):
    """A stretch of a video, from ``start_seconds`` to ``end_seconds``."""

    start_seconds: float
    end_seconds: float

    @property
    def duration_seconds(self) -> float:
        """Length of the span in seconds."""
        return self.end_seconds - self.start_seconds


# eq=False here and below: arrays compare element by element, so a generated == would raise.
@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures of one video with the times at which they are shown.

    Attributes:
        pixels: RGB, upright, uint8, ``(frames, height, width, 3)``.
        times_seconds: presentation time of each picture, float64, ``(frames,)``.
        damage: why the file gave less than it should have; None for a whole file.
        pixel_aspect: width of a pixel over its height as a player shows it; these pictures are not stretched.
    """

    pixels: NDArray[np.uint8]
    times_seconds: NDArray[np.float64]
    damage: str | None = None
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        """Refuse pixels and times that do not belong together."""
        if self.pixels.ndim != 4 or self.pixels.shape[-1] != 3:
            raise ValueError(
                f"Frames: pixels have shape {self.pixels.shape}, expected (frames, height, width, 3)"
            )
        if self.times_seconds.shape != self.pixels.shape[:1]:
            raise ValueError(
                f"Frames: {len(self.pixels)} pictures but times of shape {self.times_seconds.shape}; "
                "give one time for each picture"
            )

    def __repr__(self) -> str:
        """Return sizes and times in one line: ``Frames(12 of 640x360 px, 0.00 to 9.60 seconds)``."""
        pictures, height, width, _ = self.pixels.shape
        times = self.times_seconds
        when = f", {times[0]:.2f} to {times[-1]:.2f} seconds" if pictures else ""
        damage = f", damage {self.damage!r}" if self.damage else ""
        return f"Frames({pictures} of {width}x{height} px{when}{damage})"

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Tokens of a batch of sentences or videos.

    Attributes:
        tokens: ``(B, N, D)``; float, or int8 when ``scale`` is given.
        mask: bool ``(B, N)``, True where the token is real.
        weights: importance of each token ``(B, N)``, where that means something.
        times_seconds: when each token is seen ``(B, N)``; None for tokens without a time.
        frame: index of the frame that a token belongs to, int64 ``(B, N)``.
        group: index within the frame (object, patch), int64 ``(B, N)``.
        scale: ``(B,)``; the real tokens are ``tokens * scale`` (tokens kept in int8 for scanning).
            One for each row, so that maxima within a row can be taken before scaling.
        packed: int8 tokens of all rows in the form that multiplies fastest, see
            :func:`~vidsift.interactions.quantised.pack`; ``tokens`` then has a shape only (device "meta").
            Such a set is scored as a whole: its rows cannot be taken.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    weights: torch.Tensor | None = None
    times_seconds: torch.Tensor | None = None
    frame: torch.Tensor | None = None
    group: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    packed: torch.Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse parts whose shapes do not belong together."""
        if self.tokens.ndim != 3:
            raise ValueError(
                f"TokenSet: tokens have shape {tuple(self.tokens.shape)}, expected (batch, tokens, channels)"
            )
        for name, part in self.tensors().items():
            # Packed tokens are laid out for their kernel, in a shape of its own.
            expected = self.tokens.shape[:1] if name == "scale" else self.tokens.shape[:2]
            if name not in ("tokens", "packed") and part.shape != expected:
                raise ValueError(
                    f"TokenSet: {name} has shape {tuple(part.shape)}, expected {tuple(expected)} to suit "
                    f"tokens of shape {tuple(self.tokens.shape)}"
                )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that there are, by the name of their attribute."""
        tensors = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def __repr__(self) -> str:
        """Return shapes in one line: ``TokenSet(tokens 8x12x512 float32, 93 of 96 real, weights)``."""
        others = [name for name in self.tensors() if name not in ("tokens", "mask")]
        # A set on "meta" has shapes and no values to count.
        real = f"{int(self.mask.sum())} of {self.mask.numel()} real" if not self.mask.is_meta else "mask"
        return f"TokenSet({', '.join([f'tokens {_shape(self.tokens)}', real, *others])})"

    def __len__(self) -> int:
        """Return the number of sentences or videos."""
        return len(self.tokens)

    def __getitem__(self, index: slice | torch.Tensor) -> TokenSet:
        """Return the rows that ``index`` (a slice, indices or a mask) names."""
        # It would take the batch away, and the shapes would be blamed for it below.
        if isinstance(index, int):
            raise TypeError(f"TokenSet[{index}]: rows are taken by slice; write [{index}:{index + 1}]")
        if self.packed is not None:
            raise TypeError("TokenSet: packed tokens are scored as a whole; take rows before pack()")
        return TokenSet(**{name: part[index] for name, part in self.tensors().items()})

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> TokenSet:
        """Return the set on ``device``, tokens and weights in ``dtype``; the rest keeps its type."""
        moved: dict[str, Any] = {}
        for name, part in self.tensors().items():
            # Times stay fp64: a narrower type cannot tell frames of a long video apart.
            floating = name in ("tokens", "weights") and part.is_floating_point()
            moved[name] = part.to(device=device, dtype=dtype if floating else None)
        return TokenSet(**moved)

    def replace(self, **parts: torch.Tensor | None) -> TokenSet:
        """Return a copy in which the given parts are exchanged."""
        exchanged: dict[str, Any] = dict(parts)
        return replace(self, **exchanged)


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: torch.Tensor) -> str:
    """Shape, number type and, where it is not the CPU, the device: ``8x12x512 float32``."""
    device = "" if tensor.device.type == "cpu" else f" on {tensor.device}"
    return f"{'x'.join(map(str, tensor.shape))} {_dtype(tensor)}{device}"


Features: TypeAlias = Mapping[str, TokenSet]
"""The named token sets of a batch of sentences or of videos, e.g. ``{"frame": ..., "patch": ...}``."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which token met which, for matched pairs: row i is text i with video i.

    Attributes:
        values: similarity of every text token with every video token, ``(B, T, N)``.
        contributions: the part of the score that each meeting gave, ``(B, T, N)``;
            they sum to the term's score over T and N.
        best_video_token: for each text token the video token it met best, int64 ``(B, T)``.
        best_text_token: for each video token the text token it met best, int64 ``(B, N)``.
        text_weights: weight of each text token ``(B, T)``, zero where masked.
        video_weights: weight of each video token ``(B, N)``, zero where masked.
    """

    values: torch.Tensor
    contributions: torch.Tensor
    best_video_token: torch.Tensor
    best_text_token: torch.Tensor
    text_weights: torch.Tensor
    video_weights: torch.Tensor

    def __repr__(self) -> str:
        """Return shapes in one line: ``Alignment(8 pairs, 5 text tokens with 12 video tokens, float32)``."""
        pairs, words, tokens = self.values.shape
        return (
            f"Alignment({pairs} pairs, {words} text tokens with {tokens} video tokens, {_dtype(self.values)})"
        )


@dataclass(frozen=True, eq=False)
class PatchShares:
    """Which patches of its frame each token of a video set was made from: to be looked at, not scored.

    Attributes:
        shares: ``(B, N, P)``, patches row by row; 0 to 1, and zero throughout for a token that comes from the
            frame as a whole, or is padded.
        note: what the shares are and what they are not, for people.
    """

    shares: torch.Tensor
    note: str

    def __repr__(self) -> str:
        """Return the shape and the note in one line."""
        return f"PatchShares({_shape(self.shares)}, note {self.note!r})"


Match: TypeAlias = Literal["good match", "possible match", "unlikely"]
"""How good a match a hit is, in a word: see :mod:`vidsift.search.match_quality`."""


@dataclass(frozen=True)
class Hit:
    """One answer to a question: a segment of a video, and the moment in it.

    Attributes:
        rank: 1 for the best.
        score: similarity by the trained interaction, in fp32.
        path: the video file.
        video_id: identity of the file's content.
        segment: the stretch of the video that was scored.
        moment: the stretch within it around the frames that matched best.
        candidates: how many were scored where others were left out, of which this is one of the best:
            segments that a cheap first stage left for a method that cannot scan; for sentences in order,
            videos. None where nothing that was left out can be better.
        segment_id: identity of the segment; of a question of several sentences, that of the first one's.
        confidence: the share of unrelated questions of its kind whose best answer in the whole index is
            worse, 0 to 1, and no probability that this is right; None where that is not known, as for sums of
            sentences, and for the parts of a question of several sentences.
        match: what that is worth, in a word for people; None where the confidence is, and for the segments
            of one video, asked for by themselves.
        times_seconds: when each frame that was looked at is shown, ascending.
        shares: what each of these frames gave to the score; empty, like the times, where the method has no
            account.
        kind: "text", or "similar footage" where footage was the question; their scores are no one scale.
        parts: of a question of several sentences, the hit of each of them in this video.
    """

    rank: int
    score: float
    path: str
    video_id: str
    segment: Span
    moment: Span
    candidates: int | None = None
    segment_id: str = ""
    confidence: float | None = None
    match: Match | None = None
    times_seconds: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    kind: Literal["text", "similar footage"] = "text"
    parts: tuple[Hit, ...] = ()


GroupBy = Literal["segment", "video"]


@dataclass(frozen=True)
class Filter:
    """Which hits a search gives: of which videos, how good, and which page of them.

    The one value that carries these conditions from the command line, HTTP and Python to the scan. What is
    left out does not narrow.

    Attributes:
        under: only videos in this folder, its folders included; or only this one file.
        name: only videos with a file whose name, its ending included, holds this text, in small letters or
            large.
        min_duration_seconds: only videos at least this long.
        max_duration_seconds: only videos at most this long.
        modified_after: only videos with a file that was last written at this time or later; a time without a
            zone is local.
        modified_before: only videos with a file that was last written earlier.
        tags: only videos that carry all of these; held ascending, each once.
        min_score: only hits that score at least this.
        group_by: "video" keeps only the best segment of each video.
        candidates: how many segments a method that cannot scan scores, ``skip`` and the number of hits at
            least; :data:`~vidsift.search.candidates.CANDIDATES` when None. As many as there are make its
            hits exact. Other methods score every segment, and refuse it.
        skip: leave out so many of the best: the page that follows them. Pages of candidates fit each other
            where ``candidates`` is the same for all and reaches to the end of the last.

    Raises:
        QueryError: a value makes no sense.

    Example:
        >>> Filter(tags=["sea", "holiday", "sea"]).tags
        ('holiday', 'sea')
    """

    under: str | Path | None = None
    name: str | None = None
    min_duration_seconds: float | None = None
    max_duration_seconds: float | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    tags: Sequence[str] = ()
    min_score: float | None = None
    group_by: GroupBy = "segment"
    candidates: int | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense, and bring equal filters into one form."""
        # A string is a sequence too: each of its letters would be a tag.
        if isinstance(self.tags, str):
            raise QueryError(f"tags is {self.tags!r}, expected a list of tags: [{self.tags!r}]", field="tags")
        # Equal questions are answered together, so the order of tags must not tell filters apart.
        object.__setattr__(self, "tags", tuple(sorted(set(self.tags))))
        if self.name is not None and not self.name.strip():
            raise QueryError(
                f"name is {self.name!r}, expected a part of a file's name, or None for any", field="name"
            )
        for name in ("min_duration_seconds", "max_duration_seconds"):
            seconds = getattr(self, name)
            # NaN orders with no length; infinity may be, as a limit that nothing reaches.
            if seconds is not None and math.isnan(seconds):
                raise QueryError(f"{name} is {seconds}, expected seconds, or None for no limit", field=name)
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise QueryError(
                f"min_score is {self.min_score}, expected a number, or None for no limit", field="min_score"
            )
        if self.group_by not in ("segment", "video"):
            raise QueryError(
                f"group_by is {self.group_by!r}, expected 'segment' or 'video'", field="group_by"
            )
        if self.candidates is not None and self.candidates < 1:
            raise QueryError(f"candidates is {self.candidates}, expected at least 1", field="candidates")
        if self.skip < 0:
            raise QueryError(f"skip is {self.skip}, expected 0 or more", field="skip")

    @property
    def narrows(self) -> bool:
        """Whether there are videos that may not be found at all."""
        limits = (self.min_duration_seconds, self.max_duration_seconds)
        dates = (self.modified_after, self.modified_before)
        return bool(self.tags) or any(value is not None for value in (self.under, self.name, *limits, *dates))


class FilterFields(TypedDict, total=False):
    """The fields of a :class:`Filter` as keyword arguments: ``index.search("a dog", tags=["holiday"])``."""

    under: str | Path | None
    name: str | None
    min_duration_seconds: float | None
    max_duration_seconds: float | None
    modified_after: datetime | None
    modified_before: datetime | None
    tags: Sequence[str]
    min_score: float | None
    group_by: GroupBy
    candidates: int | None
    skip: int
