"""Best matches of a batch and their gradients on a GPU, by kernels that never write the products.

A kernel makes a tile of products (words of one text with the frames of some videos) where it computes, keeps
its maxima and where they stood, and forgets it. The gradient is a product as well: of tokens with a matrix
that is nearly all zeros, made tile by tile of the indices and gradients of the maxima. Nothing is sorted and
nothing is added atomically, so a step repeats bit for bit.

Importing this needs triton, which comes with PyTorch for CUDA on Linux. When it is used
:func:`~vidsift.interactions.best_match.can_fuse` decides; every other device has the same in plain PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from vidsift.interactions.matches import BatchMatches

__all__ = ["find_matches", "frame_gradients", "word_gradients"]

_PRECISION = "ieee" if torch.version.hip else "tf32x3"
"""How fp32 is multiplied: as it is, or as three products on tensor cores, 2e-7 off like fp32 itself."""


def find_matches(
    words_PD: Tensor, starts: Tensor, frames_VFD: Tensor, mask_VF: Tensor, *, longest_text: int
) -> BatchMatches:
    """Find the best matches of all words and all frames, and where they stand.

    Args:
        words_PD: the real words of all texts, one text after the other, fp32, bf16 or fp16.
        starts: int32 ``(Q + 1,)``, where each text begins, and P; no text is empty.
        frames_VFD: tokens of the videos, of the same number format; channels lie side by side.
        mask_VF: True at real ones.
        longest_text: no text has more words.
    """
    videos, frames, dim = frames_VFD.shape
    matches = BatchMatches.empty(
        words_PD.new_empty(len(words_PD), videos),
        words_PD.new_empty(len(starts) - 1, videos, frames),
        longest_text=longest_text,
    )
    # 128 bytes of a token at a time: one line of the GPU's memory.
    channels = 128 // frames_VFD.element_size()
    tile = _tile(frames, dim, columns=128, channels=channels, stages=3 if channels > 32 else 2)
    sizes = videos, frames, dim, *frames_VFD.stride()[:2]
    with torch.cuda.device_of(words_PD):
        _maxima[len(starts) - 1, triton.cdiv(videos, tile["VIDEOS"])](
            words_PD, starts, frames_VFD, mask_VF.contiguous(), *matches, *sizes, **tile
        )
    return matches


def word_gradients(
    text_best_grad_PV: Tensor,
    video_best_grad_QVF: Tensor,
    matches: BatchMatches,
    starts: Tensor,
    frames_VFD: Tensor,
    *,
    longest_text: int,
) -> Tensor:
    """Gradient of the words ``(P, D)`` from those of the maxima; no text has more words than the longest."""
    videos, frames, dim = frames_VFD.shape
    grad_PD = frames_VFD.new_empty(len(text_best_grad_PV), dim)
    tile = _tile(frames, dim, columns=32, channels=256)
    grid = len(starts) - 1, triton.cdiv(longest_text, tile["WORDS"]), triton.cdiv(dim, tile["CHANNELS"])
    maxima = text_best_grad_PV.contiguous(), video_best_grad_QVF.contiguous(), matches.frame, matches.word
    with torch.cuda.device_of(frames_VFD):
        _word_gradients[grid](*maxima, starts, frames_VFD.contiguous(), grad_PD, videos, frames, dim, **tile)
    return grad_PD


def frame_gradients(
    text_best_grad_PV: Tensor,
    video_best_grad_QVF: Tensor,
    matches: BatchMatches,
    starts: Tensor,
    words_PD: Tensor,
) -> Tensor:
    """Gradient of the frames ``(V, F, D)`` from those of the maxima."""
    (texts, videos, frames), dim = video_best_grad_QVF.shape, words_PD.shape[1]
    grad_VFD = words_PD.new_empty(videos, frames, dim)
    tile = _tile(frames, dim, columns=128, channels=64)
    grid = triton.cdiv(videos, tile["VIDEOS"]), triton.cdiv(dim, tile["CHANNELS"])
    maxima = text_best_grad_PV.contiguous(), video_best_grad_QVF.contiguous(), matches.frame, matches.word
    with torch.cuda.device_of(words_PD):
        _frame_gradients[grid](*maxima, starts, words_PD, grad_VFD, texts, videos, frames, dim, **tile)
    return grad_VFD


def _tile(frames: int, dim: int, *, columns: int, channels: int, stages: int = 2) -> dict[str, Any]:
    """Sizes of a tile, powers of two of at least 16; it has all frames of a video, which may be 256."""
    padded = max(16, triton.next_power_of_2(frames))
    return {
        "WORDS": 32,
        "VIDEOS": max(1, columns // padded),
        "FRAMES": padded,
        # A video longer than a tile is wide makes it wider: then it is as much flatter.
        "CHANNELS": max(16, min(channels * columns // max(columns, padded), triton.next_power_of_2(dim))),
        "PRECISION": _PRECISION,
        "num_warps": 4 if padded <= columns else 8,
        "num_stages": stages,
    }


# Triton compiles the text of these functions. They call nothing of this file that is not compiled too; what
# is known when they are compiled stands in capitals. Columns of a tile are the frames of its videos, video
# by video. Offsets are int64: words times videos times frames of a large batch exceed 2^31.


@triton.jit
def _maxima(  # noqa: PLR0917
    words,
    starts,
    frames,
    mask,
    text_best,
    best_frame,
    video_best,
    best_word,
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
    start, end = tl.load(starts + text), tl.load(starts + text + 1)
    column = tl.arange(0, VIDEOS * FRAMES)
    video, frame = (tl.program_id(1) * VIDEOS + column // FRAMES).to(tl.int64), column % FRAMES
    column_exists = (video < videos) & (frame < frame_count)
    row = video * frame_count + frame
    tokens = frames + video * video_stride + frame * frame_stride
    real = tl.load(mask + row, mask=column_exists, other=0) != 0
    best = tl.full((VIDEOS * FRAMES,), float("-inf"), tl.float32)
    best_index = tl.zeros((VIDEOS * FRAMES,), tl.int32)
    for first_word in range(start, end, WORDS):
        word = first_word + tl.arange(0, WORDS)
        products = tl.zeros((WORDS, VIDEOS * FRAMES), tl.float32)
        for first_channel in range(0, dim, CHANNELS):
            channel = first_channel + tl.arange(0, CHANNELS)
            left = tl.load(
                words + word[:, None].to(tl.int64) * dim + channel[None, :],
                mask=(word < end)[:, None] & (channel < dim)[None, :],
                other=0.0,
            )
            exists = column_exists[None, :] & (channel < dim)[:, None]
            right = tl.load(tokens[None, :] + channel[:, None], mask=exists, other=0.0)
            products = tl.dot(left, right, products, input_precision=PRECISION)
        # Rows past the end of the text hold zeros, which could win where all its products are negative.
        of_words = tl.where((word < end)[:, None], products, float("-inf"))
        value, index = tl.max(of_words, axis=0, return_indices=True)
        # Strictly greater: of equal products the first word stays, as max in PyTorch has it.
        best_index = tl.where(value > best, index + first_word - start, best_index)
        best = tl.maximum(value, best)
        of_real = tl.reshape(tl.where(real[None, :], products, float("-inf")), (WORDS, VIDEOS, FRAMES))
        value, index = tl.max(of_real, axis=2, return_indices=True)
        out_video = tl.program_id(1) * VIDEOS + tl.arange(0, VIDEOS)
        entry = word[:, None].to(tl.int64) * videos + out_video[None, :]
        entry_exists = (word < end)[:, None] & (out_video < videos)[None, :]
        tl.store(text_best + entry, value, mask=entry_exists)
        tl.store(best_frame + entry, index, mask=entry_exists)
    entry = text.to(tl.int64) * videos * frame_count + row
    tl.store(video_best + entry, best, mask=column_exists)
    tl.store(best_word + entry, best_index, mask=column_exists)


@triton.jit
def _product_gradients(  # noqa: PLR0917
    text_best_grad,
    video_best_grad,
    best_frame,
    best_word,
    text,
    start,
    first_word,
    end,
    first_video,
    videos,
    frame_count,
    WORDS: tl.constexpr,
    VIDEOS: tl.constexpr,
    FRAMES: tl.constexpr,
):
    """Gradient of a tile of products: words from a first one on with all frames of videos from a first on."""
    word, frame = first_word + tl.arange(0, WORDS), tl.arange(0, FRAMES)
    video = first_video + tl.arange(0, VIDEOS)
    entry = word[:, None].to(tl.int64) * videos + video[None, :]
    entry_exists = (word < end)[:, None] & (video < videos)[None, :]
    grad = tl.load(text_best_grad + entry, mask=entry_exists, other=0.0).to(tl.float32)
    index = tl.load(best_frame + entry, mask=entry_exists, other=0).to(tl.int32)
    # A word has one best frame in each video: all its other products have no gradient from it.
    total = tl.where(index[:, :, None] == frame[None, None, :], grad[:, :, None], 0.0)
    total = tl.reshape(total, (WORDS, VIDEOS * FRAMES))
    column = tl.arange(0, VIDEOS * FRAMES)
    video, frame = first_video + column // FRAMES, column % FRAMES
    entry = (text * videos + video.to(tl.int64)) * frame_count + frame
    column_exists = (video < videos) & (frame < frame_count)
    grad = tl.load(video_best_grad + entry, mask=column_exists, other=0.0).to(tl.float32)
    index = tl.load(best_word + entry, mask=column_exists, other=0).to(tl.int32)
    # A frame has one best word in each text; where both are each other's best, gradients add up.
    return total + tl.where(index[None, :] == (word - start)[:, None], grad[None, :], 0.0)


@triton.jit
def _word_gradients(  # noqa: PLR0917
    text_best_grad,
    video_best_grad,
    best_frame,
    best_word,
    starts,
    frames,
    word_grad,
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
    start, end = tl.load(starts + text), tl.load(starts + text + 1)
    first_word = start + tl.program_id(1) * WORDS
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    column = tl.arange(0, VIDEOS * FRAMES)
    sums = tl.zeros((WORDS, CHANNELS), tl.float32)
    # The grid has room for the longest text; a shorter one leaves programs without words.
    if first_word < end:
        for first_video in range(0, videos, VIDEOS):
            grad = _product_gradients(
                text_best_grad,
                video_best_grad,
                best_frame,
                best_word,
                text,
                start,
                first_word,
                end,
                first_video,
                videos,
                frame_count,
                WORDS,
                VIDEOS,
                FRAMES,
            )
            video, frame = first_video + column // FRAMES, column % FRAMES
            column_exists = (video < videos) & (frame < frame_count)
            # (VIDEOS * FRAMES, CHANNELS)
            tokens = tl.load(
                frames + (video.to(tl.int64) * frame_count + frame)[:, None] * dim + channel[None, :],
                mask=column_exists[:, None] & (channel < dim)[None, :],
                other=0.0,
            )
            # Tensor cores multiply a type with itself, so gradients are rounded to that of the tokens.
            sums = tl.dot(grad.to(tokens.dtype), tokens, sums, input_precision=PRECISION)
        word = first_word + tl.arange(0, WORDS)
        tl.store(
            word_grad + word[:, None].to(tl.int64) * dim + channel[None, :],
            sums,
            mask=(word < end)[:, None] & (channel < dim)[None, :],
        )


@triton.jit
def _frame_gradients(  # noqa: PLR0917
    text_best_grad,
    video_best_grad,
    best_frame,
    best_word,
    starts,
    words,
    frame_grad,
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
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    sums = tl.zeros((VIDEOS * FRAMES, CHANNELS), tl.float32)
    # One program sees all texts of its videos: nobody else adds to these frames, so nothing is atomic.
    for text in range(texts):
        start, end = tl.load(starts + text), tl.load(starts + text + 1)
        for first_word in range(start, end, WORDS):
            grad = _product_gradients(
                text_best_grad,
                video_best_grad,
                best_frame,
                best_word,
                text,
                start,
                first_word,
                end,
                first_video,
                videos,
                frame_count,
                WORDS,
                VIDEOS,
                FRAMES,
            )
            word = first_word + tl.arange(0, WORDS)
            # (WORDS, CHANNELS)
            tokens = tl.load(
                words + word[:, None].to(tl.int64) * dim + channel[None, :],
                mask=(word < end)[:, None] & (channel < dim)[None, :],
                other=0.0,
            )
            sums = tl.dot(tl.trans(grad).to(tokens.dtype), tokens, sums, input_precision=PRECISION)
    column = tl.arange(0, VIDEOS * FRAMES)
    video, frame = first_video + column // FRAMES, column % FRAMES
    column_exists = (video < videos) & (frame < frame_count)
    tl.store(
        frame_grad + (video.to(tl.int64) * frame_count + frame)[:, None] * dim + channel[None, :],
        sums,
        mask=column_exists[:, None] & (channel < dim)[None, :],
    )
