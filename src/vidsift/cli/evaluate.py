"""``vidsift evaluate``: how well a model finds videos by their captions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.grounding_scores import (
    Grounding,
    grounding_lines,
    refuse_without_grounding,
    score_grounding,
)
from vidsift.cli.moment_scores import Moments, moment_lines, refuse_without_moments, score_moments
from vidsift.cli.score_table import score_table
from vidsift.cli.text import (
    Annotations,
    CaptionedVideos,
    ComputeDevice,
    FrameSampling,
    ModelName,
    one_line,
    write_numbers,
)

if TYPE_CHECKING:
    from vidsift.data.entries import Entry
    from vidsift.data.source import DataSource
    from vidsift.errors import MissingVideosError
    from vidsift.evaluation.evaluate import Evaluation
    from vidsift.evaluation.post_processed import BankSource

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


class Post(StrEnum):
    """What is done to the similarities before they are ranked, in a row of its own."""

    dsl = "dsl"
    inverted_softmax = "inverted-softmax"
    qbnorm = "qbnorm"
    sinkhorn = "sinkhorn"
    tvh = "tvh"


Data = Annotated[
    str | None, typer.Option(metavar="NAME", help="A data set, such as msrvtt; the recipes' data.source.")
]
Split = Annotated[
    str | None, typer.Option(help="Which split; by default what the model's recipe names for this data set.")
]
Save = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep the matrix, each question's ranks, TREC files and report here."),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", "-o", "--output", help="Write all numbers and the protocol here.")
]
VideoToTextOption = Annotated[
    VideoToTextProtocol | None,
    typer.Option(
        help="Videos with several captions: the closest counts, or CLIP4Clip's groups. By default what the "
        "model's recipe says, else the closest."
    ),
]
PostOption = Annotated[
    list[Post] | None, typer.Option(help="Add a row with post-processed similarities; may be repeated.")
]
BankSplit = Annotated[
    str | None, typer.Option(help="Split whose captions are qbnorm's bank; by default the training split.")
]
BankCaptions = Annotated[int, typer.Option(min=1, help="Captions of the bank, drawn by seed.")]
BankVideos = Annotated[
    int, typer.Option(min=0, help="Videos of the bank, which video to text needs; drawn by seed.")
]
PositivesFile = Annotated[
    Path | None,
    typer.Option(help="Which further videos are right for captions (JSON lines); scored beside the rest."),
]
FrameCount = Annotated[int | None, typer.Option(min=1, help="Frames of a video, in place of the model's.")]
Seconds = Annotated[FrameSampling | None, typer.Option(help="Which seconds, in place of the model's.")]
MaxWords = Annotated[int | None, typer.Option(min=3, help="Longest text in tokens, in place of the model's.")]
Missing = Annotated[
    MissingVideos,
    typer.Option(
        help="Videos that are not there or cannot be read: refuse to evaluate, count their captions as "
        "not found (miss), or leave them out and say so (skip)."
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that decode; 0 for none but this one.")]


def evaluate(  # noqa: PLR0917 - the verb's options
    model: ModelName,
    videos: CaptionedVideos,
    data: Data = None,
    annotations: Annotations = None,
    split: Split = None,
    save: Save = None,
    json_file: JsonFile = None,
    video_to_text: VideoToTextOption = None,
    post: PostOption = None,
    bank_split: BankSplit = None,
    bank_captions: BankCaptions = 10_000,
    bank_videos: BankVideos = 0,
    positives: PositivesFile = None,
    frames: FrameCount = None,
    sampling: Seconds = None,
    max_words: MaxWords = None,
    missing: Missing = MissingVideos.refuse,
    moments: Moments = False,
    grounding: Grounding = False,
    workers: Workers = 1,
    device: ComputeDevice = "auto",
) -> None:
    """Measure retrieval both ways: recall, median and mean rank, by tag and among hard negatives."""
    from vidsift.cli.run_recipe import evaluation_defaults
    from vidsift.data.catalog import DEFAULT, open_source
    from vidsift.errors import MissingVideosError

    _refuse_places(save, json_file)
    source = open_source(data or DEFAULT, str(videos), None if annotations is None else str(annotations))
    defaults = evaluation_defaults(model, source)
    entries = source.entries(split or defaults.split)
    names = list(dict.fromkeys(kind.value for kind in post or ()))
    facts: dict[str, Any] = {
        "data": str(videos),
        "source": data,
        "annotations": annotations and str(annotations),
    }
    facts |= _trained_on(model, source, entries)
    facts |= {"caption_protocol": _caption_protocol(source, entries), "seeds": defaults.seeds}
    options = _right_videos(positives, entries, facts) | {
        "missing": missing.value,
        "video_to_text": video_to_text.value if video_to_text else defaults.video_to_text,
        "workers": workers,
        "post_processing": names,
        "facts": {name: value for name, value in facts.items() if value is not None},
    }
    if Post.qbnorm.value in names:
        options["bank"] = _bank(source, entries, bank_split, bank_captions, bank_videos)
    looking = {"frames": frames, "sampling": sampling and sampling.value, "max_words": max_words}
    try:
        also = {"moments": moments, "grounding": grounding}
        evaluation = _measured(model, entries, device, looking, options, **also)
    except MissingVideosError as problem:
        _refuse(problem, source.listed_in)
        raise typer.Exit(2) from None
    _show(evaluation, json_file, save)


def _refuse_places(save: Path | None, json_file: Path | None) -> None:
    """Refuse, before hours of work, places where their result cannot be written."""
    from vidsift.evaluation.saved import refuse_occupied
    from vidsift.files.disk_errors import refuse_unwritable

    if save is not None:
        refuse_occupied(save)
    for place in (save, json_file):
        if place is not None:
            refuse_unwritable(place)


def _show(evaluation: Evaluation, json_file: Path | None, save: Path | None) -> None:
    from vidsift.evaluation.saved import save_result
    from vidsift.files.disk_errors import saving

    for line in score_table(evaluation.report):
        typer.echo(line)
    for name, lines_of in (("moments", moment_lines), ("grounding", grounding_lines)):
        for line in lines_of(evaluation.report[name]) if name in evaluation.report else ():
            typer.echo(line)
    for kind, what in (("failed", "missing"), ("partial", "damaged, used as far as it goes")):
        _list(what, [(video["video"], video["reason"]) for video in evaluation.report[kind]])
    if json_file is not None:
        write_numbers(evaluation.report, json_file, "the report")
    if save is not None:
        with saving("the evaluation", save):
            save_result(evaluation, save)
        typer.echo(f"saved in {save}", err=True)


def _trained_on(model: str, source: DataSource, entries: list[Entry]) -> dict[str, Any]:
    """Say how many videos the model was trained on, where its recipe tells; the fact for the protocol."""
    from vidsift.cli.run_recipe import videos_trained_on

    seen = videos_trained_on(model, source, entries)
    if seen is None:
        return {}
    typer.echo(
        f"{seen['videos']:,} of {seen['of']:,} videos were trained on (split {seen['split']!r}): the numbers "
        "say nothing of unseen videos",
        err=True,
    )
    return {"trained_on": seen}


def _caption_protocol(source: DataSource, entries: list[Entry]) -> str | None:
    """Say what a query is: that of the data set, unless this split has several captions a video."""
    usual: str | None = getattr(source, "caption_protocol", None)
    several = any(len(entry.captions) > 1 for entry in entries)
    # MSR-VTT's 1k-A has one caption a video, its full test split 20.
    return "every caption" if usual == "one caption" and several else usual


def _right_videos(file: Path | None, entries: list[Entry], facts: dict[str, Any]) -> dict[str, Any]:
    """Read which further videos are right, and say in the protocol where that stands."""
    from vidsift.data.positives import read_positives

    if file is None:
        return {}
    right = read_positives(file, entries)
    facts["positives"] = {"file": str(file), "pairs": right.added}
    return {"positives": right.rows}


def _bank(
    source: DataSource, entries: list[Entry], bank_split: str | None, captions: int, videos: int
) -> BankSource:
    """Say where qbnorm's questions come from; they see the test where splits share videos (9k and test)."""
    from vidsift.data.summary import count_shared
    from vidsift.errors import CaptionsError
    from vidsift.evaluation.post_processed import BankSource

    named = bank_split or source.training_split
    try:
        others = source.entries(named)
    except CaptionsError as error:
        if bank_split is not None:
            raise
        raise CaptionsError(
            f"{error}. It is the bank of --post qbnorm; name another split with --bank-split"
        ) from error
    shared = count_shared(others, entries)
    return BankSource(others, named, captions, videos, transductive=shared > 0)


def _measured(
    model: str,
    entries: list[Entry],
    device: str,
    looking: dict[str, Any],
    options: dict[str, Any],
    *,
    moments: bool,
    grounding: bool,
) -> Evaluation:
    """Load the model and evaluate it, with a bar; what is missing is refused before the model is loaded."""
    from vidsift.data.entries import absent_videos
    from vidsift.evaluation.evaluate import evaluate_model
    from vidsift.evaluation.missing import refuse_missing
    from vidsift.evaluation.protocol import look_differently
    from vidsift.index.plain_clip import for_footage
    from vidsift.methods.model import load

    if moments:
        refuse_without_moments(entries)
    if grounding:
        refuse_without_grounding(entries)
    if options["missing"] == MissingVideos.refuse.value:
        refuse_missing(absent_videos(entries), len(entries), "")
    loaded = load(model, device)
    changed = look_differently(loaded, **looking)
    if changed:
        options["facts"]["changed_by_hand"] = changed
    with typer.progressbar(length=len(entries), label="videos", file=sys.stderr) as bar:
        name = entries[0].split or "not named"
        options |= {"progress": bar.update, "with_gallery": grounding}
        evaluation = evaluate_model(loaded, entries, split=name, **options)
    if moments:
        # What a search shows; a way of looking that was chosen by hand stays.
        searched = loaded if changed else for_footage(loaded, model)
        scored = score_moments(searched, entries, missing=options["missing"], workers=options["workers"])
        evaluation.report["moments"] = scored
    if grounding:
        evaluation.report["grounding"] = score_grounding(loaded, evaluation)
    return evaluation


def _refuse(problem: MissingVideosError, listed_in: str) -> None:
    """Say which videos are missing, and what can be done."""
    _list("missing", problem.missing)
    typer.echo(
        f"vidsift: {len(problem.missing)} of {problem.total} videos missing, nothing was evaluated; "
        f"replace them or take them out of {listed_in}, or say what they count: --missing miss "
        "(their captions are not found) or --missing skip (left out, and the result says so)",
        err=True,
    )


def _list(what: str, videos: Sequence[tuple[str, str]]) -> None:
    """Name the first ones, and say where all of them are named."""
    from vidsift.evaluation.missing import LISTED

    for path, reason in videos[:LISTED]:
        typer.echo(f"{what}: {one_line(path)}: {one_line(reason)}", err=True)
    more = len(videos) - LISTED
    if more > 0:
        typer.echo(f"{what}: and {more} more (--missing skip --json FILE lists all of them)", err=True)
