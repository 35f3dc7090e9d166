"""Made-up accounts of scores that add up, as the service words them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

FRAMES = 12
"""Frames that are looked at in each segment."""


def explanation(query: str, segment_id: str, start: float, end: float) -> dict[str, Any]:
    """An account that adds up: token-wise best matches of made-up similarities."""
    rng = np.random.default_rng(hash_of(query + segment_id))
    times = start + (np.arange(FRAMES) + 0.5) * (end - start) / FRAMES
    terms = []
    for sign, sentence in re.findall(r"(^| [+-] )(.+?)(?= [+-] |$)", query):
        words = ["<|startoftext|>", *sentence.split(), "<|endoftext|>"]
        terms.append(_term("word-frame", sentence, words, times, rng, -1.0 if "-" in sign else 1.0))
    if "patches" in query:
        terms.append(_term("word-patch", query, words, np.repeat(times, 2), rng, 0.2, group=2))
        terms.append(_term("sentence-event", query, [query], None, rng, 1.0))
    score = sum(np.sum(one["contributions"]) for one in terms)
    return {"query": query, "score": float(score), "terms": terms}


def hash_of(text: str) -> int:
    """A number of a text, the same in every process."""
    return int.from_bytes(text.encode()[:64], "little") % (2**32)


def _term(
    name: str,
    sentence: str,
    words: list[str],
    times: Any,
    rng: np.random.Generator,
    weight: float,
    group: int = 0,
) -> dict[str, Any]:
    tokens = 4 if times is None else len(times)
    peak = rng.uniform(0.2, 0.8) * tokens
    near = np.exp(-(((np.arange(tokens) - peak) / (tokens / 6)) ** 2))
    values = (
        0.12 + 0.3 * near * rng.uniform(0.3, 1, (len(words), 1)) + rng.normal(0, 0.03, (len(words), tokens))
    )
    importance = rng.dirichlet(np.full(len(words), 3.0))
    frames = rng.dirichlet(1 + 3 * near)
    given = np.zeros_like(values)
    for word, best in enumerate(values.argmax(1)):
        given[word, best] += importance[word] * values[word, best] / 2
    for token, best in enumerate(values.argmax(0)):
        given[best, token] += frames[token] * values[best, token] / 2
    return {
        "name": name,
        "words": words,
        "times_seconds": None if times is None else list(map(float, times)),
        "frame": None if times is None else [one // max(1, group) for one in range(tokens)],
        "group": [one % group for one in range(tokens)] if group else None,
        "values": values.tolist(),
        "contributions": (given * weight).tolist(),
        "text_weights": importance.tolist(),
        "video_weights": frames.tolist(),
        "best_video_token": values.argmax(1).tolist(),
        "best_text_token": values.argmax(0).tolist(),
        "sentence": sentence,
        "weight": weight,
        "grid": None,
        "total": float(given.sum() * weight),
        "note": "",
    }


def shares_of(account: dict[str, Any]) -> tuple[list[float], list[float]]:
    """What each looked-at time gave to the score."""
    term = account["terms"][0]
    given = np.sum(term["contributions"], axis=0)
    return term["times_seconds"], given.tolist()
