"""What ``vidsift evaluate --grounding`` adds: accounts of words, judged by what is known of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.score_table import aligned

if TYPE_CHECKING:
    from vidsift.data.entries import Entry
    from vidsift.evaluation.evaluate import Evaluation
    from vidsift.methods.model import Model

__all__ = ["Grounding", "grounding_lines", "refuse_without_grounding", "score_grounding"]

Grounding = Annotated[
    bool,
    typer.Option(
        "--grounding",
        help="Also judge which words the score comes from, where the data say when each word is true.",
    ),
]

_ROLES = ("start", "end", "marks", "function", "content")
_NOT_JUDGED = {
    "mostly_true": "true in more than half of the frames",
    "in_no_frame": "true in none of them",
    "not_read": "beyond the longest text that the model reads",
    "only_word": "the only one of its caption",
}
Row = Sequence[str]


def refuse_without_grounding(entries: Sequence[Entry]) -> None:
    """Refuse, before anything is encoded, to judge accounts of words that nothing is known of.

    Raises:
        ValueError: no word of the entries' captions has grounding.
    """
    if not any(words for entry in entries for words in entry.grounding):
        raise ValueError(
            "--grounding: the data say of no word when it is true; leave it out, take a Shapes 2 library "
            "(docs/shapes.md), or give grounding in captions.jsonl (docs/datasets.md)"
        )


def score_grounding(model: Model, evaluation: Evaluation) -> dict[str, Any]:
    """Judge the accounts of the videos that were evaluated, with a bar."""
    from vidsift.search.grounded_captions import grounded_captions
    from vidsift.search.grounding_evaluation import accounts_of, evaluate_grounding

    gallery = evaluation.gallery
    assert gallery is not None
    count = len(grounded_captions(gallery)) * len(accounts_of(model))
    with typer.progressbar(length=count, label="grounding", file=sys.stderr) as bar:
        return evaluate_grounding(model, gallery, progress=bar.update)


def grounding_lines(grounding: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person reads."""
    protocol, leaving_out = grounding["protocol"], grounding.get("leaving_out")
    judged = (
        f"grounding: {protocol['captions']:,} captions of {protocol['videos']:,} videos, "
        f"{protocol['content_words']:,} content words"
    )
    if "why" in grounding:
        account = f"by leaving words out ({grounding['why']})"
    else:
        account = f"by the exact account of {', '.join(protocol['terms'])}"
    rows: list[Row] = [["", "%", "95 % interval", "of"], *_rows(grounding)]
    if leaving_out is not None:
        rows += [["by leaving words out", "", "", ""], *_rows(leaving_out)]
    return [judged, account, *aligned(rows), *_sentences(grounding)]


def _rows(grounding: Mapping[str, Any]) -> list[Row]:
    rows = _pointing_rows("a word's best frame is right", grounding)
    kinds = grounding["by_kind"]
    for kind in kinds if len(kinds) > 1 else ():
        rows += [_row(f"  {kind}", kinds[kind]["pointing"]), _row("    chance", kinds[kind]["chance"])]
    if grounding.get("picture") is not None:
        of = "a word" if grounding["picture_of"] == "words" else "a sentence"
        rows += _pointing_rows(f"{of}'s best place in the picture is right", grounding["picture"])
    deletion = grounding["deletion"]
    # Of leaving out this is true by construction, and tells nothing.
    if not deletion.get("by_construction"):
        rows.append(_row("the word that gave most costs most", deletion))
        if deletion["permuted"] is not None:
            rows.append(_row("  contributions dealt out at random", deletion["permuted"]))
    without, difference = grounding.get("without_ends"), grounding.get("difference")
    if without is not None:
        rows += [
            _row("R@1 of the captions", without["R@1_whole"]),
            _row("  as if start and end of text were not there", without["R@1"]),
            _row("    less than that of the captions by", without["R@1_lost"]),
            _row("  by what words gave alone", without["R@1_of_words"]),
        ]
    if difference is not None:
        rows += [
            _row("start and end give of the lead on hard negatives", difference["start_and_end"]),
            _row("  by size", difference["start_and_end_by_size"]),
        ]
    return rows


def _pointing_rows(title: str, of: Mapping[str, Any]) -> list[Row]:
    rows = [_row(title, of["pointing"])]
    for label, name in (
        ("  chance", "chance"),
        ("  its words in random order", "shuffled_words"),
        ("  the words of another caption", "other_caption"),
    ):
        if name in of and of[name]["of"]:
            rows.append(_row(label, of[name]))
    return rows


def _row(title: str, measured: Mapping[str, Any]) -> Row:
    value, interval = measured["value"], measured["interval"]
    return [
        title,
        "-" if value is None else f"{value:.1f}",
        "-" if interval is None else f"{interval[0]:.1f}-{interval[1]:.1f}",
        f"{measured['of']:,}",
    ]


def _sentences(grounding: Mapping[str, Any]) -> list[str]:
    words = grounding["words"]["value"]
    has = "-" if words is None else f"{words:.1f}"
    lines = [f"effective words in the score: {_words(grounding)}; a caption has {has}"]
    counts = grounding["words_not_judged"]
    unjudged = [f"{counts[why]:,} {title}" for why, title in _NOT_JUDGED.items() if counts.get(why)]
    if unjudged:
        lines.insert(0, f"content words that point nowhere: {', '.join(unjudged)}")
    if grounding.get("difference") is not None:
        lines.append(f"effective words in the lead on hard negatives: {_words(grounding['difference'])}")
    if grounding.get("leaving_out") is not None:
        lines.append(f"effective words by leaving words out: {_words(grounding['leaving_out'])}")
    for name, title in (("weight", "weight"), ("score", "share of the score, by size")):
        shares = grounding.get(name)
        if shares:
            listed = ", ".join(f"{role} {shares[role]['value']:.1f} %" for role in _ROLES if role in shares)
            lines.append(f"{title}: {listed}")
    by_place = grounding.get("weights_by_place")
    if by_place is not None:
        places = [*by_place["by_place"], by_place["end_mean"]]
        names = ["start", *map(str, range(1, len(places) - 1)), "end"]
        shown = ", ".join(f"{name} {100 * weight:.1f}" for name, weight in zip(names, places, strict=True))
        lines.append(f"weight by place in the sentence, in %: {shown}")
    return lines


def _words(of: Mapping[str, Any]) -> str:
    """The effective number, start and end of text among the words, and that of words alone."""
    together, alone = of["effective_words"]["value"], of["effective_of_words"]["value"]
    if together is None or alone is None:
        return "-"
    # Leaving out has words alone.
    if together == alone:
        return f"{alone:.1f}"
    return f"{together:.1f} with start and end, {alone:.1f} of the words alone"
