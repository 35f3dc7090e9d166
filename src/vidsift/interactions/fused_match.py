"""Best matches of a batch and their gradients on a GPU, by kernels that never write the products.

A kernel makes a tile of products (words of one text with the frames of some videos) where it computes, keeps
its maxima and where they stood, and forgets it. The gradient is a product as well: of tokens with a matrix
that is nearly all zeros, made tile by tile of the places and gradients of the maxima. Nothing is sorted and
nothing is added atomically, so a step repeats bit for bit.

Importing this needs triton, which comes with PyTorch for CUDA on Linux. When it is used
:func:`~vidsift.interactions.best_match.fuses` decides; every other device has the same in plain PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from vidsift.interactions.best_match import BatchMatches

__all__ = ["best_of_all", "to_frames", "to_words"]

_PRECISION = "ieee" if torch.version.hip else "tf32x3"
"""How fp32 is multiplied: as it is, or as three products on tensor cores, 2e-7 off like fp32 itself."""


def best_of_all(
    words_PD: Tensor, starts: Tensor, frames_VFD: Tensor, mask_VF: Tensor, places: torch.dtype
) -> BatchMatches:
    """Find the best matches of all words and all frames, and where they stand.

    Args:
        words_PD: the real words of all texts, one text after the other, fp32, bf16 or fp16.
        starts: int32 ``(Q + 1,)``, where each text begins, and P; no text is empty.
        frames_VFD: tokens of the videos, of the same number format; channels lie side by side.
        mask_VF: True at real ones.
        places: integers that tell all frames and all words of a text apart.
    """
    videos, frames, dim = frames_VFD.shape
    text_best_PV = words_PD.new_empty(len(words_PD), videos)
    video_best_QVF = words_PD.new_empty(len(starts) - 1, videos, frames)
    found = BatchMatches(
        text_best_PV,
        torch.empty_like(text_best_PV, dtype=places),
        video_best_QVF,
        torch.empty_like(video_best_QVF, dtype=places),
    )
    side_by_side = 128 // frames_VFD.element_size()
    tile = _tile(frames, dim, together=128, channels=side_by_side, stages=3 if side_by_side > 32 else 2)
    sizes = videos, frames, dim, *frames_VFD.stride()[:2]
    with torch.cuda.device_of(words_PD):
        _maxima[len(starts) - 1, triton.cdiv(videos, tile["VIDEOS"])](
            words_PD, starts, frames_VFD, mask_VF.contiguous(), *found, *sizes, **tile
        )
    return found


def to_words(
    by_text_best_PV: Tensor,
    by_video_best_QVF: Tensor,
    found: BatchMatches,
    starts: Tensor,
    frames_VFD: Tensor,
    *,
    longest: int,
) -> Tensor:
    """Gradient of the words ``(P, D)`` by those of the maxima; no text has more words than ``longest``."""
    videos, frames, dim = frames_VFD.shape
    total_PD = frames_VFD.new_empty(len(by_text_best_PV), dim)
    tile = _tile(frames, dim, together=32, channels=256)
    grid = len(starts) - 1, triton.cdiv(longest, tile["WORDS"]), triton.cdiv(dim, tile["CHANNELS"])
    by = by_text_best_PV.contiguous(), by_video_best_QVF.contiguous(), found.frame, found.word
    with torch.cuda.device_of(frames_VFD):
        _to_words[grid](*by, starts, frames_VFD.contiguous(), total_PD, videos, frames, dim, **tile)
    return total_PD


def to_frames(
    by_text_best_PV: Tensor,
    by_video_best_QVF: Tensor,
    found: BatchMatches,
    starts: Tensor,
    words_PD: Tensor,
) -> Tensor:
    """Gradient of the frames ``(V, F, D)`` by those of the maxima."""
    (texts, videos, frames), dim = by_video_best_QVF.shape, words_PD.shape[1]
    total_VFD = words_PD.new_empty(videos, frames, dim)
    tile = _tile(frames, dim, together=128, channels=64)
    grid = triton.cdiv(videos, tile["VIDEOS"]), triton.cdiv(dim, tile["CHANNELS"])
    by = by_text_best_PV.contiguous(), by_video_best_QVF.contiguous(), found.frame, found.word
    with torch.cuda.device_of(words_PD):
        _to_frames[grid](*by, starts, words_PD, total_VFD, texts, videos, frames, dim, **tile)
    return total_VFD


def _tile(frames: int, dim: int, *, together: int, channels: int, stages: int = 2) -> dict[str, Any]:
    """Sizes of a tile, powers of two of at least 16; it has all frames of a video, which may be 256."""
    padded = max(16, triton.next_power_of_2(frames))
    return {
        "WORDS": 32,
        "VIDEOS": max(1, together // padded),
        "FRAMES": padded,
        "CHANNELS": max(16, min(channels * together // max(together, padded), triton.next_power_of_2(dim))),
        "PRECISION": _PRECISION,
        "num_warps": 4 if padded <= together else 8,
        "num_stages": stages,
    }


# Triton compiles the text of these functions. They call nothing of this file that is not compiled too; what
# is known when they are compiled stands in capitals.


@triton.jit
def _maxima(  # noqa: PLR0917
    words,
    starts,
    frames,
    mask,
    text_best,
    frame_place,
    video_best,
    word_place,
    videos,
    frame_count,
    dim,
    video_stride,
    frame_stride,
    WORDS: tl.constexpr,
    VIDEOS: tl.constexpr,
    FRAMES: tl.constexpr,
    CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One text with some videos: all of its words, a tile at a time."""
    text = tl.program_id(0)
    first, end = tl.load(starts + text), tl.load(starts + text + 1)
    column = tl.arange(0, VIDEOS * FRAMES)
    video, frame = (tl.program_id(1) * VIDEOS + column // FRAMES).to(tl.int64), column % FRAMES
    there = (video < videos) & (frame < frame_count)
    row = video * frame_count + frame
    tokens = frames + video * video_stride + frame * frame_stride
    real = tl.load(mask + row, mask=there, other=0) != 0
    best = tl.full((VIDEOS * FRAMES,), float("-inf"), tl.float32)
    place = tl.zeros((VIDEOS * FRAMES,), tl.int32)
    for at in range(first, end, WORDS):
        word = at + tl.arange(0, WORDS)
        products = tl.zeros((WORDS, VIDEOS * FRAMES), tl.float32)
        for channel in range(0, dim, CHANNELS):
            some = channel + tl.arange(0, CHANNELS)
            left = tl.load(
                words + word[:, None].to(tl.int64) * dim + some[None, :],
                mask=(word < end)[:, None] & (some < dim)[None, :],
                other=0.0,
            )
            right = tl.load(
                tokens[None, :] + some[:, None], mask=there[None, :] & (some < dim)[:, None], other=0.0
            )
            products = tl.dot(left, right, products, input_precision=PRECISION)
        value, index = tl.max(
            tl.where((word < end)[:, None], products, float("-inf")), axis=0, return_indices=True
        )
        place = tl.where(value > best, index + at - first, place)
        best = tl.maximum(value, best)
        shown = tl.reshape(tl.where(real[None, :], products, float("-inf")), (WORDS, VIDEOS, FRAMES))
        value, index = tl.max(shown, axis=2, return_indices=True)
        own = tl.program_id(1) * VIDEOS + tl.arange(0, VIDEOS)
        entry = word[:, None].to(tl.int64) * videos + own[None, :]
        kept = (word < end)[:, None] & (own < videos)[None, :]
        tl.store(text_best + entry, value, mask=kept)
        tl.store(frame_place + entry, index, mask=kept)
    entry = text.to(tl.int64) * videos * frame_count + row
    tl.store(video_best + entry, best, mask=there)
    tl.store(word_place + entry, place, mask=there)


@triton.jit
def _given(  # noqa: PLR0917
    by_word,
    by_frame,
    frame_place,
    word_place,
    text,
    first,
    at,
    end,
    first_video,
    videos,
    frame_count,
    WORDS: tl.constexpr,
    VIDEOS: tl.constexpr,
    FRAMES: tl.constexpr,
):
    """Gradient of a tile of products: words from ``at`` on with all frames of videos from a first one on."""
    word, video, frame = at + tl.arange(0, WORDS), first_video + tl.arange(0, VIDEOS), tl.arange(0, FRAMES)
    entry = word[:, None].to(tl.int64) * videos + video[None, :]
    met = (word < end)[:, None] & (video < videos)[None, :]
    given = tl.load(by_word + entry, mask=met, other=0.0).to(tl.float32)
    place = tl.load(frame_place + entry, mask=met, other=0).to(tl.int32)
    total = tl.where(place[:, :, None] == frame[None, None, :], given[:, :, None], 0.0)
    total = tl.reshape(total, (WORDS, VIDEOS * FRAMES))
    column = tl.arange(0, VIDEOS * FRAMES)
    video, frame = first_video + column // FRAMES, column % FRAMES
    entry = (text * videos + video.to(tl.int64)) * frame_count + frame
    there = (video < videos) & (frame < frame_count)
    given = tl.load(by_frame + entry, mask=there, other=0.0).to(tl.float32)
    place = tl.load(word_place + entry, mask=there, other=0).to(tl.int32)
    return total + tl.where(place[None, :] == (word - first)[:, None], given[None, :], 0.0)


@triton.jit
def _to_words(  # noqa: PLR0917
    by_word,
    by_frame,
    frame_place,
    word_place,
    starts,
    frames,
    total,
    videos,
    frame_count,
    dim,
    WORDS: tl.constexpr,
    VIDEOS: tl.constexpr,
    FRAMES: tl.constexpr,
    CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Some words of one text, some channels: from all videos."""
    text = tl.program_id(0)
    first, end = tl.load(starts + text), tl.load(starts + text + 1)
    at = first + tl.program_id(1) * WORDS
    some = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    column = tl.arange(0, VIDEOS * FRAMES)
    sums = tl.zeros((WORDS, CHANNELS), tl.float32)
    if at < end:
        for first_video in range(0, videos, VIDEOS):
            given = _given(
                by_word,
                by_frame,
                frame_place,
                word_place,
                text,
                first,
                at,
                end,
                first_video,
                videos,
                frame_count,
                WORDS,
                VIDEOS,
                FRAMES,
            )
            video, frame = first_video + column // FRAMES, column % FRAMES
            there = (video < videos) & (frame < frame_count)
            tokens = tl.load(
                frames + (video.to(tl.int64) * frame_count + frame)[:, None] * dim + some[None, :],
                mask=there[:, None] & (some < dim)[None, :],
                other=0.0,
            )
            sums = tl.dot(given.to(tokens.dtype), tokens, sums, input_precision=PRECISION)
        word = at + tl.arange(0, WORDS)
        tl.store(
            total + word[:, None].to(tl.int64) * dim + some[None, :],
            sums,
            mask=(word < end)[:, None] & (some < dim)[None, :],
        )


@triton.jit
def _to_frames(  # noqa: PLR0917
    by_word,
    by_frame,
    frame_place,
    word_place,
    starts,
    words,
    total,
    texts,
    videos,
    frame_count,
    dim,
    WORDS: tl.constexpr,
    VIDEOS: tl.constexpr,
    FRAMES: tl.constexpr,
    CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The frames of some videos, some channels: from all texts."""
    first_video = tl.program_id(0) * VIDEOS
    some = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    sums = tl.zeros((VIDEOS * FRAMES, CHANNELS), tl.float32)
    for text in range(texts):
        first, end = tl.load(starts + text), tl.load(starts + text + 1)
        for at in range(first, end, WORDS):
            given = _given(
                by_word,
                by_frame,
                frame_place,
                word_place,
                text,
                first,
                at,
                end,
                first_video,
                videos,
                frame_count,
                WORDS,
                VIDEOS,
                FRAMES,
            )
            word = at + tl.arange(0, WORDS)
            tokens = tl.load(
                words + word[:, None].to(tl.int64) * dim + some[None, :],
                mask=(word < end)[:, None] & (some < dim)[None, :],
                other=0.0,
            )
            sums = tl.dot(tl.trans(given).to(tokens.dtype), tokens, sums, input_precision=PRECISION)
    column = tl.arange(0, VIDEOS * FRAMES)
    video, frame = first_video + column // FRAMES, column % FRAMES
    there = (video < videos) & (frame < frame_count)
    tl.store(
        total + (video.to(tl.int64) * frame_count + frame)[:, None] * dim + some[None, :],
        sums,
        mask=there[:, None] & (some < dim)[None, :],
    )
