"""``vidsift evaluate``: how well a model finds videos by their captions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.text import Annotations, one_line

if TYPE_CHECKING:
    from vidsift.data.entries import Entry
    from vidsift.errors import MissingVideosError

__all__ = ["evaluate"]


class VideoToTextProtocol(StrEnum):
    """Which rank a video with several captions gets."""

    closest = "closest_caption"
    groups = "caption_groups"


class MissingVideos(StrEnum):
    """What a video counts that is not there or cannot be read."""

    refuse = "refuse"
    miss = "miss"
    skip = "skip"


def evaluate(  # noqa: PLR0917 - the verb's options
    model: Annotated[str, typer.Argument(help="A model folder, a CLIP on the hub, or shapes.")],
    videos: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder of videos with captions.jsonl; or of the data set that --data names.",
        ),
    ],
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="A data set, such as msrvtt; the recipes' data.source.")
    ] = None,
    annotations: Annotations = None,
    split: Annotated[
        str | None, typer.Option(help="Which split; needed where the captions name several.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", "-o", "--output", help="Write all numbers and the protocol here.")
    ] = None,
    video_to_text: Annotated[
        VideoToTextProtocol,
        typer.Option(help="Videos with several captions: the closest counts, or CLIP4Clip's groups."),
    ] = VideoToTextProtocol.closest,
    missing: Annotated[
        MissingVideos,
        typer.Option(
            help="Videos that are not there or cannot be read: refuse to evaluate, count their captions as "
            "not found (miss), or leave them out and say so (skip)."
        ),
    ] = MissingVideos.refuse,
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode; 0 for none but this one.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for a GPU where there is one.")] = "auto",
) -> None:
    """Measure retrieval both ways: recall, median and mean rank, by tag and among hard negatives."""
    from vidsift.data.catalog import DEFAULT, open_source
    from vidsift.errors import MissingVideosError

    source = open_source(data or DEFAULT, str(videos), None if annotations is None else str(annotations))
    entries = source.entries(split)
    options = {"missing": missing.value, "video_to_text": video_to_text.value, "workers": workers}
    try:
        report = _measured(model, entries, device, options)
    except MissingVideosError as problem:
        _refuse(problem, source.listed_in)
        raise typer.Exit(2) from None
    report["protocol"]["data"] = str(videos)
    if data is not None:
        report["protocol"]["source"] = data
    if annotations is not None:
        report["protocol"]["annotations"] = str(annotations)
    for line in _lines(report):
        typer.echo(line)
    for kind, what in (("failed", "missing"), ("partial", "damaged, used as far as it goes")):
        _list(what, [(video["video"], video["reason"]) for video in report[kind]])
    if json_file is not None:
        _write(report, json_file)


def _write(report: dict[str, Any], file: Path) -> None:
    from vidsift.files.disk_errors import saving
    from vidsift.files.whole import write_json_whole

    with saving("the report", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json_whole(file, report)
    typer.echo(f"written to {file}", err=True)


def _measured(model: str, entries: list[Entry], device: str, options: dict[str, Any]) -> dict[str, Any]:
    """Load the model and evaluate it, with a bar; what is missing is refused before the model is loaded."""
    from vidsift.data.entries import absent_videos
    from vidsift.evaluation.evaluate import evaluate_entries
    from vidsift.evaluation.missing import refuse_missing
    from vidsift.methods.model import load

    if options["missing"] == MissingVideos.refuse.value:
        refuse_missing(absent_videos(entries), len(entries), "")
    loaded = load(model, device)
    with typer.progressbar(length=len(entries), label="videos", file=sys.stderr) as bar:
        name = entries[0].split or "not named"
        return evaluate_entries(loaded, entries, split=name, progress=bar.update, **options)


def _refuse(problem: MissingVideosError, listed_in: str) -> None:
    """Say which videos are missing, and what can be done."""
    from vidsift.evaluation.missing import LISTED

    _list("missing", problem.missing[:LISTED])
    more = len(problem.missing) - LISTED
    if more > 0:
        typer.echo(f"missing: and {more} more (--missing skip --json FILE lists all of them)", err=True)
    typer.echo(
        f"vidsift: {len(problem.missing)} of {problem.total} videos missing, nothing was evaluated; "
        f"replace them or take them out of {listed_in}, or say what they count: --missing miss "
        "(their captions are not found) or --missing skip (left out, and the result says so)",
        err=True,
    )


def _lines(report: Mapping[str, Any]) -> list[str]:
    """Return the lines that a person reads."""
    from vidsift.evaluation.missing import missing_note

    protocol, note = report["protocol"], missing_note(report)
    lines = [
        (
            f"{note}{'; ' if note else ''}"
            f"{protocol['model']} ({protocol['method']}), {protocol['frames']} frames; "
            f"split {protocol['split']}: {protocol['videos']} videos, {protocol['captions']} captions; "
            f"video to text: {protocol['video_to_text']}"
        ),
        f"{'':24}{'R@1':>7}{'R@5':>7}{'R@10':>7}{'MdR':>7}{'MnR':>8}{'questions':>11}",
        _row("text to video", report["text_to_video"]),
        _row("video to text", report["video_to_text"]),
    ]
    for kind in ("by_tag", "by_novelty"):
        lines += [_row(f"  {name}", values) for name, values in report.get(kind, {}).items()]
    choice = report.get("choice")
    if choice:
        parts = {"all": choice["all"], **choice.get("by_tag", {})}
        lines.append(
            f"right among hard negatives (chance {choice['all']['chance']:.0f} %): "
            + ", ".join(f"{name} {values['right']:.1f} %" for name, values in parts.items())
        )
    return lines


def _list(what: str, videos: Sequence[tuple[str, str]]) -> None:
    for path, reason in videos:
        typer.echo(f"{what}: {one_line(path)}: {one_line(reason)}", err=True)


def _row(name: str, values: Mapping[str, float]) -> str:
    return (
        f"{name:24}{values['R@1']:7.1f}{values['R@5']:7.1f}{values['R@10']:7.1f}"
        f"{values['MdR']:7.1f}{values['MnR']:8.1f}{values['questions']:11.0f}"
    )
