"""Made-up accounts of scores that add up, as the service words them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

GRID, OBJECTS = (7, 7), 3
PLACES_ARE = (
    "Each square is one place of the picture, in all frames of the segment together. Its token has seen the "
    "other places and frames too; a place without a square was not kept by the model. What the places gave "
    "is part of the sum."
)
FRAMES = 12
"""Frames that are looked at in each segment."""


def explanation(
    query: str, segment_id: str, start: float, end: float, *, maps: bool = False
) -> dict[str, Any]:
    """An account that adds up: token-wise best matches of made-up similarities.

    "places" in the query adds a term whose tokens are places of the picture, "objects" one whose tokens are
    three objects of each frame, made of patches where ``maps`` are asked for. With "plain" the sentence is
    one token, with "blackbox" nothing is known of it but its score: words are left out in both.
    """
    rng = np.random.default_rng(hash_of(query + segment_id))
    times = start + (np.arange(FRAMES) + 0.5) * (end - start) / FRAMES
    terms: list[dict[str, Any]] = []
    words_of_query: list[dict[str, Any]] = []
    for sign, sentence in re.findall(r"(^| [+-] )(.+?)(?= [+-] |$)", query):
        weight = -1.0 if "-" in sign else 1.0
        if "plain" in query or "blackbox" in query:
            terms.append(_term("sentence-frame", sentence, [sentence], times, rng, weight))
        else:
            words = ["<|startoftext|>", *_pieces(sentence), "<|endoftext|>"]
            terms.append(_term("word-frame", sentence, words, times, rng, weight))
        words_of_part = _words(sentence, weight)
        terms[-1]["part"] = range(len(words_of_query), len(words_of_query) + len(words_of_part))
        words_of_query += words_of_part
    if "patches" in query:
        terms.append(_term("word-patch", query, words, np.repeat(times, 2), rng, 0.2, group=2))
        terms.append(_term("sentence-event", query, [query], None, rng, 1.0))
    if "places" in query:
        selected = sorted(rng.permutation(GRID[0] * GRID[1])[:20].tolist())
        term = _term("word-patch", query, words, None, rng, 0.2, tokens=len(selected))
        terms.append(term | {"group": selected, "grid": list(GRID), "map_note": PLACES_ARE})
    if "objects" in query:
        phrases = [f"phrase {number + 1}" for number in range(4)]
        term = _term("phrase-object", query, phrases, np.repeat(times, OBJECTS), rng, 1.0, group=OBJECTS)
        terms.append(term | (_patches(rng, len(term["group"])) if maps else {}))
    score = sum(np.sum(each["contributions"]) for each in terms)
    asked_for = {"maps_on_request": "objects" in query, "maps_missing": ""}
    account = {"query": query, "score": float(score), "terms": terms, "words": words_of_query} | asked_for
    carry = _sum_up_by_word(terms, words_of_query)
    missing = "this model compares whole sentences with videos and has no account of words and frames"
    return account | {
        "words_carry": carry,
        "account_missing": missing if "blackbox" in query else "",
        "leaving_out": None if carry else _falls(words_of_query, None if "blackbox" in query else times, rng),
    }


def _pieces(sentence: str) -> list[str]:
    """Text tokens: long words in two, marks apart."""
    pieces = []
    for piece in re.findall(r"[\w'<>()/-]+|[^\w\s]", sentence):
        pieces += [piece[:6], piece[6:]] if len(piece) > 9 else [piece]
    return pieces


def _words(sentence: str, weight: float) -> list[dict[str, Any]]:
    matches = re.finditer(r"\w[\w'-]*", sentence)
    return [
        {"word": it.group(), "start": it.start(), "end": it.end(), "sentence": sentence, "weight": weight}
        for it in matches
    ]


def _sum_up_by_word(terms: list[dict[str, Any]], words: list[dict[str, Any]]) -> bool:
    """Fill in which token is of which word, and what words gave; says whether they carry the score."""
    gave = np.zeros(len(words))
    rest = 0.0
    for term in terms:
        part = term.pop("part", range(len(words)))
        of_tokens = [_word_of_piece(term, token, words, part) for token in range(len(term["words"]))]
        one_of_words = any(word >= 0 for word in of_tokens)
        term["word_of_token"] = of_tokens if one_of_words else None
        for word, row in zip(of_tokens, term["contributions"], strict=True):
            if word >= 0:
                gave[word] += np.sum(row)
            else:
                rest += abs(np.sum(row))
    compared = any(term["word_of_token"] for term in terms)
    for each, value in zip(words, gave, strict=True):
        each["contribution"] = float(value) if compared else None
    return bool(np.abs(gave).sum() > rest)


def _word_of_piece(term: dict[str, Any], token: int, words: list[dict[str, Any]], part: Sequence[int]) -> int:
    """Which word of its part of the sum a text token is of; -1 for none."""
    pieces = term["words"]
    if pieces[0] != "<|startoftext|>" or token in (0, len(pieces) - 1):
        return -1
    at = sum(len(piece) for piece in pieces[1:token])
    for place in part:
        word = words[place]
        start = len(word["sentence"][: word["start"]].replace(" ", ""))
        if start <= at < start + len(word["word"]):
            return place
    return -1


def _falls(words: list[dict[str, Any]], times: Any, rng: np.random.Generator) -> dict[str, Any]:
    falls = []
    for word in words:
        frames = rng.normal(0.01, 0.02, FRAMES)
        alone = sum(other["sentence"] == word["sentence"] for other in words) == 1
        account = {key: word[key] for key in ("word", "start", "end", "sentence", "weight")} | {
            "without": " ".join(other["word"] for other in words if other is not word),
            "fall": None if alone else float(word["weight"] * frames.sum()),
            "frame_falls": None if alone or times is None else (word["weight"] * frames).tolist(),
            "untimed_fall": None,
        }
        falls.append(account)
    missing = "the model cannot say what each frame gave: only the fall of the score is known"
    return {
        "meaning": "how much the score falls without the word",
        "times_seconds": None if times is None else list(map(float, times)),
        "frames_missing": missing if times is None else "",
        "words": falls,
    }


def _patches(rng: np.random.Generator, tokens: int) -> dict[str, Any]:
    """Shares of the patches in each object; the first of each frame is the frame as a whole."""
    shares = rng.dirichlet(np.full(GRID[0] * GRID[1], 0.1), tokens).round(4)
    shares[::OBJECTS] = 0
    note = "Each square is the share of that patch in the object. The shares are no part of the sum."
    return {"grid": list(GRID), "patches": shares.tolist(), "map_note": note}


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
    tokens: int = 4,
) -> dict[str, Any]:
    tokens = tokens if times is None else len(times)
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
    if words[0] == "<|startoftext|>":
        given[[0, -1]] /= 5  # words carry the score
    return {
        "name": name,
        "words": words,
        "times_seconds": None if times is None else list(map(float, times)),
        "frame": None if times is None else [token // max(1, group) for token in range(tokens)],
        "group": [token % group for token in range(tokens)] if group else None,
        "values": values.tolist(),
        "contributions": (given * weight).tolist(),
        "text_weights": importance.tolist(),
        "video_weights": frames.tolist(),
        "best_video_token": values.argmax(1).tolist(),
        "best_text_token": values.argmax(0).tolist(),
        "sentence": sentence,
        "weight": weight,
        "grid": None,
        "patches": None,
        "map_note": "",
        "total": float(given.sum() * weight),
        "note": "",
    }


def shares_of(account: dict[str, Any]) -> tuple[list[float], list[float]]:
    """What each looked-at time gave to the score."""
    term = account["terms"][0]
    given = np.sum(term["contributions"], axis=0)
    return term["times_seconds"], given.tolist()
