"""The page of ``benchmarks/phrasing.py``: how far answers depend on phrasing, and what templates give."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from measuring import rows_of, where

TARGET = 0.95
WAYS = {"as_written": "as written", "normalised": "normalised"}


def page(measured: dict[str, Any]) -> str:
    every = [row for rows in measured["listed"].values() for row in rows]
    changed, alike = (sum(row["as_written"][name] for row in every) for name in ("changed", "to_look_alike"))
    counts, alone = measured["questions"], measured["alone"]
    lines = [
        "# Phrasing",
        "",
        *paragraph(
            f"""`{measured["command"]}`: {measured["videos"]} Shapes videos (test split, groups of four
            look-alikes) and the bundled model, from rendered pictures; {where(measured)};
            {measured["cpu_s"]:.0f} s of CPU.""",
            f"""{counts["caption"]} captions of these videos, {counts["name of a thing"]} names of things
            and {counts["everyday English"]} sentences of everyday English, each asked in every
            phrasing: exactly as written (`--verbatim`), and normalised, as a search takes it
            (`search/phrasing.py`). Percent of questions whose top hit is the video that the question
            alone finds (a look-alike is another); for which found or not found, and the word for how
            good the top hit is, are the same; and of captions whose top hit is their video. A question
            that a phrase makes longer than the model takes has no top hit.""",
        ),
        *summary(measured),
        "",
        *paragraph(
            f"""Target: {100 * TARGET:.0f} % of top hits unchanged, and found or not found alike. Captions
            alone are right in {percent(alone["as_written"]["right"])} %. Of the {changed:,} top hits
            that a phrase changes where it is taken as written, {percent(alike / changed)} % are
            look-alikes of the video before. Questions with nothing around them keep
            {percent(alone["normalised"]["same_top"])} % of their top hits when normalised (some
            captions of Shapes begin with "a video of" or "there is", of which a search takes off the
            first)."""
        ),
        *table(every),
        "",
        *paragraph(
            """Phrasings that no rule was written for. What is not taken off, or not all of it, is asked
            with the rest:"""
        ),
        *table(measured["others"]),
        *([] if measured["plain_clip"] is None else about_templates(measured["plain_clip"])),
    ]
    return "\n".join(lines) + "\n"


def summary(measured: dict[str, Any]) -> list[str]:
    listed, others = measured["listed"], measured["others"]
    kinds = [
        *listed.items(),
        ("all of these", [row for rows in listed.values() for row in rows]),
        ("that no rule was written for", others),
    ]
    numbers = ("same_top", "same_found", "same_word", "right")
    return rows_of(
        ["phrasings", "", "top hit unchanged", "found unchanged", "word unchanged", "right"],
        [
            [f"{name} ({len(rows)})", said, *(percent(mean_of(rows, way, number)) for number in numbers)]
            for name, rows in kinds
            for way, said in WAYS.items()
        ],
        left=2,
    )


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    titles = [f"{what}: {way}" for what in ("top hit unchanged", "found unchanged") for way in WAYS.values()]
    return rows_of(
        ["phrasing", "of a green heart, normalised", *titles],
        [
            [
                # A backtick within backticks, as Markdown has it.
                f"`` {row['phrasing']} ``",
                row["example"],
                *(percent(row[way][number]) for number in ("same_top", "same_found") for way in WAYS),
            ]
            for row in rows
        ],
        left=2,
    )


def about_templates(plain: dict[str, Any]) -> list[str]:
    ways: dict[str, dict[str, dict[str, float]]] = plain["ways"]
    helping = [
        f"`{template}` ({way})"
        for way, numbers in ways.items()
        for template, shares in numbers.items()
        if shares["more"] > 2 * shares["error"] > 0
    ]
    verdict = (
        f"More than two standard errors better: {', '.join(helping)}."
        if helping
        else (
            "No template is better than the caption alone by two standard errors, so none is put around "
            "questions."
        )
    )
    return [
        "",
        "## A template for plain CLIP",
        "",
        *paragraph(
            f"""The towers of `{plain["towers"]}` as a plain CLIP (`Model.save_backbone`): they have seen
            stills of Shapes alone (`recipes/shapes/stills.yaml`), and stand for a published CLIP.
            {plain["captions"]} captions, normalised, of the same videos. Percent whose top hit is their
            video, and how many more than without a template (in brackets the standard error of that
            difference, paired by caption):"""
        ),
        *rows_of(
            ["template", *(title for way in ways for title in (way, "more"))],
            [
                [
                    f"`{template}`",
                    *(cell for numbers in ways.values() for cell in cells_of(numbers[template])),
                ]
                for template in next(iter(ways.values()))
            ],
        ),
        "",
        *paragraph(
            f"""{verdict} Published CLIPs were trained on captions from the web, and may answer otherwise:
            none was at hand to measure."""
        )[:-1],
    ]


def cells_of(shares: dict[str, float]) -> list[str]:
    return [percent(shares["right"]), f"{100 * shares['more']:+.1f} ({100 * shares['error']:.1f})"]


def mean_of(rows: Sequence[dict[str, Any]], way: str, number: str) -> float:
    return float(np.mean([row[way][number] for row in rows]))


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def paragraph(*texts: str) -> list[str]:
    """Texts, each in lines of its own, and an empty line behind them."""
    lines = [textwrap.wrap(" ".join(text.split()), 118, break_on_hyphens=False) for text in texts]
    return [line for of_text in lines for line in of_text] + [""]
