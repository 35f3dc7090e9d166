"""What the words of captions weigh: by their place in the sentence, and which weigh most (DRL Fig. 8).

DRL (appendix 6) says of its model on MSR-VTT's 1k-A: the end-of-text token has the largest weight in
98.7 % of the pairs and .2838 on average, other tokens .0674.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.data.entries import captions_of
from vidsift.evaluation.evaluate import EncodedGallery
from vidsift.evaluation.retrieval import video_of_caption
from vidsift.evaluation.weights_by_place import WordWeights, sum_weights
from vidsift.figures.page import COLOURS, Drawing, new_page
from vidsift.methods.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WordWeights", "draw_weights_by_place", "draw_word_cloud", "weigh_words"]

_AT_ONCE = 64
_LARGEST, _SMALLEST = 30.0, 7.0
_WIDTH, _HEIGHT = 6.0, 3.2


def weigh_words(model: Model, gallery: EncodedGallery) -> WordWeights:
    """Weigh every token of every caption, as the score with its own video does.

    Args:
        model: whose method has an account with words.
        gallery: videos with their captions; captions of missing videos are left out.

    Raises:
        NoAlignmentError: the method has no account.
        ValueError: no term of the method has weights of words.
    """
    owner_Q = video_of_caption(gallery.entries)
    # Videos that are there have a row each, in order.
    row_V = np.cumsum(gallery.present) - 1
    counted = [place for place, video in enumerate(owner_Q) if gallery.present[video]]
    every = captions_of(gallery.entries)
    captions = [every[place] for place in counted]
    rows = torch.as_tensor(row_V[owner_Q[counted]])
    pieces = model.tokenize(captions).pieces
    term = _term_with_words(model, captions[0])
    weights: list[NDArray[np.float64]] = []
    for start in range(0, len(captions), _AT_ONCE):
        text = model.encode_text(captions[start : start + _AT_ONCE])
        video = {name: tokens[rows[start : start + _AT_ONCE]] for name, tokens in gallery.videos.items()}
        with torch.inference_mode():
            account = model.method.align(text, video)[term]
        for row, words in enumerate(pieces[start : start + _AT_ONCE]):
            weights.append(account.text_weights[row, : len(words)].double().cpu().numpy())
    return sum_weights(pieces, weights)


def _term_with_words(model: Model, caption: str) -> str:
    """Name of the first term whose text tokens are the words, start and end of text included."""
    words, text = model.tokenize([caption]).pieces[0], model.encode_text([caption])
    for term in model.method.terms:
        tokens = text[term.text]
        if tokens.group is None and int(tokens.mask[0].sum()) == len(words):
            return term.name
    raise ValueError(
        f"{model.name} ({model.method_name}) compares no words, so none has a weight; draw a model that "
        "does, such as drl or pidro"
    )


def draw_weights_by_place(weights: WordWeights) -> Drawing:
    """Draw the mean weight of the start, of each place of a sentence, and of the end."""
    bars = [*weights.by_place, weights.end_mean]
    labels = ["start", *(str(place) for place in range(1, len(weights.by_place))), "end"]
    with new_page(5.4, 2.8) as page:
        axes = page.subplots()
        axes.bar(range(len(bars)), bars, color=[COLOURS[0]] * (len(bars) - 1) + [COLOURS[1]])
        axes.set_xticks(range(len(bars)), labels)
        axes.set_xlabel("place in the sentence")
        axes.set_ylabel("mean weight")
        axes.set_title(
            f"end of text: largest in {100 * weights.end_first:.1f} % of {weights.captions} captions, mean "
            f"{weights.end_mean:.4f}; others {weights.others_mean:.4f}",
            fontsize=8,
        )
    return Drawing(page, asdict(weights))


def _crop(page: Figure, bottom: float) -> None:
    """Cut off what is empty below; places of texts are shares of the page's height."""
    left = 1 - max(bottom, 0.0)
    for text in page.texts:
        x, y = text.get_position()
        text.set_position((x, 1 - (1 - y) / left))
    page.set_size_inches(_WIDTH, _HEIGHT * left)


def draw_word_cloud(weights: WordWeights, most: int = 60) -> Drawing:
    """Draw the words that weigh most in their captions, larger the oftener they do.

    Args:
        weights: see :func:`weigh_words`.
        most: words.

    Raises:
        ValueError: the captions hold no words.
    """
    chosen = list(weights.heaviest.items())[:most]
    if not chosen:
        raise ValueError("no caption has a word: there is nothing to draw")
    largest = chosen[0][1]
    with new_page(_WIDTH, _HEIGHT) as page:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        # matplotlib has no types for it.
        renderer = FigureCanvasAgg(page).get_renderer()  # type: ignore[no-untyped-call]
        x, line, height = 0.02, 0.97, 0.0
        for number, (word, count) in enumerate(chosen):
            size = _SMALLEST + (_LARGEST - _SMALLEST) * (count / largest) ** 0.5
            text = page.text(
                x, line, word, fontsize=size, color=COLOURS[number % len(COLOURS)], va="top", in_layout=False
            )
            box = text.get_window_extent(renderer).transformed(page.transFigure.inverted())
            # Like words on a page: a line that is full is followed by the next.
            if box.x1 > 0.99 and x > 0.02:
                x, line, height = 0.02, line - height - 0.015, 0.0
                text.set_position((x, line))
            if line - box.height < 0:
                text.remove()
                break
            x, height = x + box.width + 0.015, max(height, box.height)
        _crop(page, line - height - 0.03)
    return Drawing(page, asdict(weights))
