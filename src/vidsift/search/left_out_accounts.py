"""The account by leaving out, of many sentences with videos: how far scores and frames' shares fall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.evaluation.grounding import WordAccount
from vidsift.methods.model import Model
from vidsift.search.leaving_out import texts_without_words
from vidsift.search.moments import frame_shares
from vidsift.search.rescore import one_row
from vidsift.search.word_accounts import PairAccount
from vidsift.types import Features

__all__ = ["left_out_accounts"]

_AT_ONCE = 16


def left_out_accounts(
    model: Model, videos: Features, sentences: Sequence[str], rows: Sequence[int]
) -> Iterator[PairAccount]:
    """Leave each word out of its sentence, and score what is left with the sentence's video.

    Args:
        model: any.
        videos: prepared sets.
        sentences: as they stand.
        rows: of each sentence the row of its video.

    Yields:
        What each word gave is the fall of the score without it, and its evidence at a frame the fall of what
        the frame gave; without frames where the method cannot say what those gave. The only word of a
        sentence has no account.
    """
    for start in range(0, len(sentences), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        without = [_texts(model, sentence) for sentence in sentences[some]]
        # Those of several sentences at once, and equal ones once.
        texts = list(dict.fromkeys(text for of_sentence in without for text in of_sentence))
        place = {text: number for number, text in enumerate(texts)}
        encoded = model.encode_text(texts)
        for of_sentence, row in zip(without, rows[some], strict=True):
            index = torch.tensor([place[text] for text in of_sentence])
            text = {name: tokens[index] for name, tokens in encoded.items()}
            video = {name: tokens[row : row + 1].to(device=model.device) for name, tokens in videos.items()}
            score_B = model.similarity(text, video)[:, 0].double().cpu().numpy()
            times_F, shares_BF = _frames(model, text, video)
            words = WordAccount(
                evidence=shares_BF[0] - shares_BF[1:],
                gave=score_B[0] - score_B[1:],
                rest={},
                times_seconds=times_F,
            )
            yield PairAccount(list(range(len(of_sentence) - 1)), words, [], None)


def _texts(model: Model, sentence: str) -> list[str]:
    """The sentence, and it without each of its words where it has several."""
    _, reduced = texts_without_words(model, sentence)
    return [sentence, *filter(None, reduced)]


def _frames(model: Model, text: Features, video: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each frame gave to the scores of texts with one video: seconds ``(F,)``, shares ``(B, F)``."""
    method, count = model.method, len(next(iter(text.values())))
    if not method.explains:
        return np.zeros(0), np.zeros((count, 0))
    place_B = torch.zeros(count, dtype=torch.int64, device=model.device)
    repeated = {name: tokens[place_B] for name, tokens in video.items()}
    with torch.inference_mode():
        compared = method.adapt_video(repeated)
        account = method.align(text, compared)
    of_rows = [
        frame_shares(method.terms, {name: one_row(of, row) for name, of in account.items()}, compared)
        for row in range(count)
    ]
    return of_rows[0][0], np.stack([shares for _, shares in of_rows])
