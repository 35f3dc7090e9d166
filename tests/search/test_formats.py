"""The hits of every number format are those of brute force in fp32, on whatever processor this is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.methods import tiny
from tests.soak.lives import count
from torch import Tensor
from torch.nn.functional import normalize

from vidsift.encoders.pixels import PixelNorm
from vidsift.index.encode import segment_table
from vidsift.index.manifest import Manifest
from vidsift.index.schema import FileRecord, layout_of
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.gallery import ScanFormat
from vidsift.search.searcher import Index
from vidsift.types import TokenSet

pytestmark = pytest.mark.processor

SEGMENTS, QUESTIONS = count("SEGMENTS", 300), count("QUESTIONS", 16)
FRAMES, WORDS, HITS, KNOWN, PART = 12, 8, 10, 64, 1000
SAME = 1e-6
"""Scores nearer than this may stand in either order."""

# Packed products are checked for up to 1,024 channels; wider ones are multiplied otherwise.
WIDTHS = (512, 1100) if SEGMENTS < PART else (512,)


def model_of(dim: int) -> Model:
    """A DRL with WTI; its towers are never run."""
    towers = tiny.towers(dim=dim)
    arguments = {"interaction": "wti", "temporal": "none"}
    return Model.create(
        "drl", towers, tiny.tokenizer(), PixelNorm(tiny.SIZE_PX), arguments=arguments, frames=FRAMES
    )


def videos(rows: range, dim: int) -> TokenSet:
    """Prepared segments in a common cone, as CLIP's tokens lie, each around a centre of its own."""
    rng = torch.Generator().manual_seed(rows.start)
    tokens = centres(rows, dim)[:, None] + torch.randn(len(rows), FRAMES, dim, generator=rng) / (2 * dim**0.5)
    weights = torch.randn(len(rows), FRAMES, generator=rng).softmax(dim=1)
    places = torch.arange(FRAMES).expand(len(rows), -1).contiguous()
    mask = torch.ones(len(rows), FRAMES, dtype=torch.bool)
    return TokenSet(cone(tokens), mask, weights, places.double(), places)


def questions(dim: int) -> list[dict[str, TokenSet]]:
    """Prepared questions, each vaguely about a segment of the first part."""
    rng = torch.Generator().manual_seed(7)
    about = torch.randint(min(PART, SEGMENTS), (QUESTIONS,), generator=rng)
    near = centres(range(min(PART, SEGMENTS)), dim)[about] * 0.35
    tokens = cone(near[:, None] + torch.randn(QUESTIONS, WORDS, dim, generator=rng) * (0.8 / dim**0.5))
    weights = torch.randn(QUESTIONS, WORDS, generator=rng).softmax(dim=1)
    every = TokenSet(tokens, torch.ones(QUESTIONS, WORDS, dtype=torch.bool), weights)
    return [{"word": every[row : row + 1]} for row in range(QUESTIONS)]


def centres(rows: range, dim: int) -> Tensor:
    rng = torch.Generator().manual_seed(1000 + rows.start)
    return normalize(torch.randn(len(rows), dim, generator=rng), dim=-1)


def cone(tokens: Tensor) -> Tensor:
    axis = torch.zeros(tokens.shape[-1])
    axis[0] = 0.6
    return normalize(tokens + axis, dim=-1)


def parts() -> Iterator[range]:
    for first in range(0, SEGMENTS, PART):
        yield range(first, min(first + PART, SEGMENTS))


def build(folder: Path, model: Model, dim: int) -> None:
    """An index of the made-up segments, in the order of their rows."""
    layout = layout_of({"frame": videos(range(4), dim)})
    preprocessing = model.preprocessing.to_dict()
    manifest = Manifest("", model.name, model.method_name, model.fingerprint, "auto", preprocessing, layout)
    store = Store.create(folder, manifest)
    for rows in parts():
        names = [f"{row:032x}" for row in rows]
        facts = [
            {
                "segment_id": f"{name}-0",
                "video_id": name,
                "start_seconds": 0.0,
                "end_seconds": 12.0,
                "duration_seconds": 12.0,
                "width_px": 64,
                "height_px": 48,
                "codec": "h264",
                "fps": 12.0,
                "thumbnail": b"",
            }
            for name in names
        ]
        records = [FileRecord(f"/videos/{name}.mp4", 1, 1, name) for name in names]
        store.commit(segment_table(facts, {"frame": videos(rows, dim)}, manifest.sets), records)


def truth(dim: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best rows of each question with their scores by the plain formula, in fp32."""
    words = [question["word"] for question in questions(dim)]
    words_PD = torch.cat([tokens.tokens[0] for tokens in words])
    word_weights_QT = torch.cat([tokens.weights for tokens in words if tokens.weights is not None])
    scores = []
    for rows in parts():
        video = videos(rows, dim)
        assert video.weights is not None
        frames_ND = video.tokens.half().float().flatten(0, 1)  # as stored
        products_QTVF = (words_PD @ frames_ND.t()).view(QUESTIONS, WORDS, len(rows), FRAMES)
        by_word_QV = torch.einsum("qt,qtv->qv", word_weights_QT, products_QTVF.amax(dim=3))
        by_frame_QV = torch.einsum("vf,qvf->qv", video.weights, products_QTVF.amax(dim=1))
        scores.append((by_word_QV + by_frame_QV) / 2)
    best = torch.cat(scores, dim=1).topk(KNOWN, dim=1)
    return best.indices.numpy(), best.values.numpy()


@pytest.fixture(scope="module", params=WIDTHS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Folder of an index and its true hits; where one is named, it stays for the next process."""
    named = os.environ.get("VIDSIFT_SOAK_LIBRARY")
    folder = Path(named) if named else tmp_path_factory.mktemp("library")
    known = folder / f"truth-{request.param}.npz"
    if not known.exists():
        build(folder / f"index-{request.param}", model_of(request.param), request.param)
        rows, scores = truth(request.param)
        np.savez(known, rows=rows, scores=scores)
    return folder, request.param


@pytest.mark.parametrize("scan_format", [None, "int8", "bf16"] if SEGMENTS < PART else [None, "int8"])
def test_the_top_ten_are_those_of_brute_force(
    library: tuple[Path, int], scan_format: ScanFormat | None
) -> None:
    folder, dim = library
    index = Index(Store.open(folder / f"index-{dim}"), model_of(dim), device="cpu", scan_format=scan_format)
    assert len(index.gallery) == SEGMENTS
    best = np.load(folder / f"truth-{dim}.npz")
    answers = index.rank(questions(dim), HITS, np.ones(SEGMENTS, bool))
    for answer, true_rows, true_scores in zip(answers, best["rows"], best["scores"], strict=True):
        known = dict(zip(true_rows.tolist(), true_scores.tolist(), strict=True))
        assert len({row for row, _ in answer}) == HITS
        assert all(known.get(row, -1.0) >= true_scores[HITS - 1] - SAME for row, _ in answer)
        assert all(known[a] >= known[b] - SAME for (a, _), (b, _) in pairwise(answer))
        assert max(abs(known[row] - score) for row, score in answer) < 1e-5
