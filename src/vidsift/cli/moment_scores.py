"""What ``vidsift evaluate --moments`` adds: the moments that a search shows, scored."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.score_table import aligned

if TYPE_CHECKING:
    from vidsift.data.entries import Entry
    from vidsift.methods.model import Model

__all__ = ["Moments", "moment_lines", "refuse_without_moments", "score_moments"]

Moments = Annotated[
    bool,
    typer.Option("--moments", help="Also score the moments that a search shows, where the data have spans."),
]


def refuse_without_moments(entries: Sequence[Entry]) -> None:
    """Refuse, before anything is encoded, to score moments that the data do not have.

    Raises:
        ValueError: no sentence of the entries has a moment.
    """
    if not any(entry.moments for entry in entries):
        raise ValueError(
            "--moments: the data say of no sentence when it is seen; leave it out, or give moments in "
            'captions.jsonl: "moments": [{"caption": "a dog runs", "start": 2.5, "end": 6}]'
        )


def score_moments(model: Model, entries: Sequence[Entry], *, missing: str, workers: int) -> dict[str, Any]:
    """Index the videos beside the evaluation, and score the moments, with a bar."""
    from vidsift.evaluation.moments import timed_sentences
    from vidsift.search.moment_evaluation import evaluate_moments

    count = len(timed_sentences(entries))
    with typer.progressbar(length=count, label="moments", file=sys.stderr) as bar:
        # An index is always read by processes of its own, one at least.
        return evaluate_moments(
            model,
            entries,
            missing=missing,  # type: ignore[arg-type] # the names of the option are those of the policy
            workers=max(1, workers),
            progress=bar.update,
        )


def moment_lines(moments: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person reads."""
    protocol, chance = moments["protocol"], moments["chance"]
    longest = {"auto": "of at most 30 s", None: "as long as the videos"}
    segments = longest.get(protocol["segment"], f"of at most {protocol['segment']} s")
    rows = [
        ("given the video", moments["given_video"]),
        ("  a random stretch", chance["given_video"]),
        ("  the whole video", chance["whole_video"]),
        ("in the whole corpus", moments["whole_corpus"]),
        ("  a random stretch", chance["whole_corpus"]),
    ]
    names = ("R@1 IoU 0.3", "R@1 IoU 0.5", "R@1 IoU 0.7", "mIoU")
    return [
        f"moments: {protocol['sentences']} sentences, {protocol['videos']} videos, segments {segments}",
        *aligned([["", *names], *([label, *(f"{of[name]:.1f}" for name in names)] for label, of in rows)]),
    ]
