"""Video to captions: which of the sentences that an index holds fit a video best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question, one_thread
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.types import TokenSet

__all__ = ["Captions", "rank_captions"]

_AT_ONCE = 256
_SPARE = 16
"""Captions beyond those asked for that are scored exactly at once: they tell how far first scores are off."""


class Captions:
    """Sentences, encoded once; kept in fp16.

    Args:
        model: encodes them.
        sentences: each once, none that the model cannot read.
    """

    def __init__(self, model: Model, sentences: Sequence[str]) -> None:
        """See the class."""
        self.model = model
        # Of like length together: hardly anything is padded.
        self.sentences = sorted(dict.fromkeys(sentences), key=lambda sentence: (len(sentence), sentence))
        self._encoded = [
            {
                name: tokens.to(device="cpu", dtype=torch.float16)
                for name, tokens in model.encode_text(self.sentences[start : start + _AT_ONCE]).items()
            }
            for start in range(0, len(self.sentences), _AT_ONCE)
        ]

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self.sentences)

    def scores(self, terms: TermSum, video: dict[str, TokenSet]) -> NDArray[np.float64]:
        """Score every sentence with its best segment of a video, to rounding.

        Args:
            terms: a method, or the first stage of one.
            video: prepared sets of the segments, one row each.
        """
        seen = terms.adapt_video(video)
        parts: list[Tensor] = []
        for batch in self._encoded:
            texts = {
                name: tokens.to(device=self.model.device, dtype=torch.float32)
                for name, tokens in batch.items()
            }
            with torch.inference_mode():
                # (sentences, segments): a sentence counts as with its best segment
                parts.append(terms.similarity(terms.adapt_text(texts), seen).amax(dim=1).float().cpu())
        return torch.cat(parts).double().numpy() if parts else np.zeros(0)


def rank_captions(
    gallery: Gallery, captions: Captions, rows: Sequence[int], k: int, candidates: int
) -> list[tuple[str, float]]:
    """Rank sentences for a video: each counts as much as with its best segment.

    Args:
        gallery: holds the segments.
        captions: what is ranked.
        rows: the segments of the video.
        k: how many at most.
        candidates: how many sentences a method that cannot scan scores, those that lead by its first stage;
            ``k`` at least.

    Returns:
        Sentences with their exact scores, best first; equals in the order of the alphabet.
    """
    method = captions.model.method
    tokens = PrefetchedTokens(gallery, rows)
    first = captions.scores(method.scanned, tokens(rows))
    order = np.argsort(-first, kind="stable").tolist()

    # Encoded anew and alone, in fp32: what is held in fp16 finds the leaders and scores none.
    def exact(place: int) -> float:
        with one_thread():
            question = Question((captions.model.encode_text([captions.sentences[place]]),))
        return float(score_exactly(method, tokens, question, rows).max())

    count = k + _SPARE if method.scans else max(k, candidates)
    scores = {place: exact(place) for place in order[:count]}
    if method.scans:
        # First scores are off by rounding alone: whatever lies further below the worst hit is none.
        off = max((abs(score - first[place]) for place, score in scores.items()), default=0.0)
        for place in order[count:]:
            worst = sorted(scores.values(), reverse=True)[:k][-1]
            if first[place] < worst - 2 * off - 1e-6:
                break
            scores[place] = exact(place)
    ranked = [(captions.sentences[place], score) for place, score in scores.items()]
    return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))[:k]
