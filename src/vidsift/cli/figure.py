"""``vidsift figure``: draw the figures of papers from saved results and models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.plain import Group, program
from vidsift.cli.text import Annotations, CaptionedVideos, ComputeDevice, ModelName

if TYPE_CHECKING:
    from vidsift.evaluation.evaluate import EncodedGallery
    from vidsift.figures.page import Drawing
    from vidsift.methods.model import Model

__all__ = ["figure"]

Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="The picture: png, pdf, svg, jpg or webp; its numbers go beside it."),
]
DataName = Annotated[str | None, typer.Option("--data", metavar="NAME", help="A data set, such as msrvtt.")]
Split = Annotated[str | None, typer.Option(help="Which split; needed where there are several.")]
Most = Annotated[int | None, typer.Option("--videos", min=1, help="Only so many videos, the first ones.")]


def figure() -> typer.Typer:
    """Build the group of figures."""
    group = program(
        cls=Group,
        no_args_is_help=True,
        help="Draw the figures of papers from saved results and models; docs/figures.md shows each.",
    )
    for name, draw in _FIGURES.items():
        group.command(name)(draw)
    return group


def _write(drawing: Drawing, output: Path) -> None:
    beside = drawing.write(output)
    typer.echo(f"drawn to {output}, its numbers to {beside}")


def _sweep(  # noqa: PLR0917 - the options of the verb
    grid: Annotated[Path, typer.Argument(help="The grid that was run, e.g. recipes/shapes/sweeps.yaml.")],
    results: Annotated[
        Path, typer.Argument(help="Its numbers: the .json of its report, or the folder of its runs.")
    ],
    argument: Annotated[
        list[str],
        typer.Option(help="What rows differ in: an argument of a method, or a key such as model.frames."),
    ],
    output: Output,
    setting: Annotated[
        str | None, typer.Option(help="Of the grid.", show_default="its only one, or its first")
    ] = None,
    metric: Annotated[str, typer.Option(help="Of text to video.")] = "R@1",
    ignoring: Annotated[
        list[str] | None, typer.Option(help="An argument in which rows of a curve may differ, too.")
    ] = None,
    about: Annotated[str, typer.Option(help="A line below the picture: where the numbers come from.")] = "",
) -> None:
    """Recall over an argument, with the spread of seeds (PIDRo Fig. 2-4, DRL Fig. 4 and 5b)."""
    from vidsift.figures.sweep import draw_sweep, read_records, sweep_curves
    from vidsift.training.grid import read_grid

    read = read_grid(grid)
    records = read_records(read, results)
    where = next(iter(read.settings)) if setting is None else setting
    panels = {
        name: sweep_curves(read, records, name, setting=where, metric=metric, ignoring=ignoring or ())
        for name in argument
    }
    _write(draw_sweep(panels, metric=metric, about=about), output)


def _training_loss(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or their metrics.jsonl.")],
    output: Output,
    part: Annotated[str, typer.Option(help="loss, or a part of it that the method logs.")] = "loss",
    smooth: Annotated[int, typer.Option(min=1, help="Lines of the log that are averaged.")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="A name for each run, in order.")] = None,
) -> None:
    """Losses over steps, a line for each run (DRL Fig. 5a)."""
    from vidsift.figures.training_loss import draw_training_loss, read_losses

    names = label or [_run_name(run) for run in runs]
    if len(names) != len(runs) or len(set(names)) != len(names):
        raise ValueError(f"{len(runs)} runs and the names {', '.join(names)}; give each a --label of its own")
    losses = {name: read_losses(run, part) for name, run in zip(names, runs, strict=True)}
    _write(draw_training_loss(losses, part=part, smooth=smooth), output)


def _run_name(run: Path) -> str:
    folder = run if run.is_dir() else run.parent
    return folder.resolve().name


def _word_frames(
    models: Annotated[list[str], typer.Argument(help="One model or several, side by side.")],
    video: Annotated[list[Path], typer.Option(help="A video file; several make several rows.")],
    text: Annotated[list[str], typer.Option(help="The sentence for each video, in order.")],
    output: Output,
    device: ComputeDevice = "auto",
) -> None:
    """Which words met which frames, as coloured lines (PIDRo Fig. 5)."""
    from vidsift.figures.pairs import explain_pair
    from vidsift.figures.word_frames import draw_word_frames, word_frames
    from vidsift.methods.model import load

    if len(video) != len(text):
        raise ValueError(f"{len(video)} videos and {len(text)} sentences; give each --video its --text")
    loaded = [load(model, device) for model in models]
    rows = [
        [word_frames(*explain_pair(model, path, sentence)) for model in loaded]
        for path, sentence in zip(video, text, strict=True)
    ]
    _write(draw_word_frames(rows, [Path(model).name for model in models]), output)


def _meetings(
    model: ModelName,
    video: Annotated[Path, typer.Option(help="A video file.")],
    text: Annotated[str, typer.Option(help="The sentence.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="png, jpg, webp, tif, pdf or svg.")],
    device: ComputeDevice = "auto",
) -> None:
    """How words and frames met, their weights, and what that gave to the score (DRL Fig. 6, 10, 11)."""
    from vidsift.figures.pairs import explain_pair
    from vidsift.files.disk_errors import saving
    from vidsift.files.whole import write_json_whole
    from vidsift.methods.model import load
    from vidsift.search.explain_picture import frames_of, write_picture

    explanation, _ = explain_pair(load(model, device), video, text)
    beside = output.with_suffix(".json")
    with saving("the figure", output):
        write_picture(explanation, output, frames_of(explanation))
        write_json_whole(beside, explanation.to_dict(), indent=None)
    typer.echo(f"drawn to {output}, its numbers to {beside}")


def _word_weights(  # noqa: PLR0917 - the options of the verb
    model: ModelName,
    data: CaptionedVideos,
    output: Output,
    source: DataName = None,
    annotations: Annotations = None,
    split: Split = None,
    most: Most = None,
    device: ComputeDevice = "auto",
) -> None:
    """What tokens weigh by their place in the sentence, the end of text apart (DRL appendix 6)."""
    from vidsift.figures.word_weights import draw_weights_by_place, weigh_words

    loaded, gallery = _encoded(model, data, source, annotations, split, most, device)
    _write(draw_weights_by_place(weigh_words(loaded, gallery)), output)


def _word_cloud(  # noqa: PLR0917 - the options of the verb
    model: ModelName,
    data: CaptionedVideos,
    output: Output,
    source: DataName = None,
    annotations: Annotations = None,
    split: Split = None,
    most: Most = None,
    device: ComputeDevice = "auto",
) -> None:
    """The words that weigh most in their captions, larger the oftener they do (DRL Fig. 8)."""
    from vidsift.figures.word_weights import draw_word_cloud, weigh_words

    loaded, gallery = _encoded(model, data, source, annotations, split, most, device)
    _write(draw_word_cloud(weigh_words(loaded, gallery)), output)


def _encoded(  # noqa: PLR0917 - the options of the verb
    model: str,
    data: Path,
    source: str | None,
    annotations: Path | None,
    split: str | None,
    most: int | None,
    device: str,
) -> tuple[Model, EncodedGallery]:
    """Load a model and let it look at videos with captions, those left out that cannot be read."""
    from vidsift.data.catalog import DEFAULT, open_source
    from vidsift.evaluation.evaluate import encode_gallery
    from vidsift.methods.model import load

    opened = open_source(source or DEFAULT, str(data), None if annotations is None else str(annotations))
    entries = opened.entries(split)[:most]
    loaded = load(model, device)
    gallery = encode_gallery(loaded, entries, missing="skip")
    if gallery.failed:
        first, reason = gallery.failed[0]
        typer.echo(f"{len(gallery.failed)} videos left out, the first: {first}: {reason}", err=True)
    return loaded, gallery


def _prototypes(
    model: ModelName,
    video: Annotated[Path, typer.Option(help="A video file.")],
    output: Output,
    objects: Annotated[int, typer.Option(min=1, help="How many objects to show.")] = 4,
    device: ComputeDevice = "auto",
) -> None:
    """Where in the picture objects are, and when events look (ProST supplement, Fig. 1)."""
    from vidsift.figures.pairs import frames_seen
    from vidsift.figures.prototypes import draw_prototypes, video_prototypes
    from vidsift.methods.model import load

    loaded = load(model, device)
    frames = frames_seen(loaded, video)
    _write(draw_prototypes(video_prototypes(loaded, frames), frames, objects=objects), output)


def _retrieved(
    results: Annotated[list[Path], typer.Argument(help="What evaluate --save wrote: one folder, or two.")],
    output: Output,
    caption: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Row of a caption.", show_default="those that tell most"),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many captions, where none is named.")] = 3,
    shown: Annotated[int, typer.Option(min=1, help="How many videos of each.")] = 3,
) -> None:
    """What was found: mistakes of one model, or what a second one finds (PIDRo Fig. 6, ProST Fig. 2)."""
    from vidsift.evaluation.comparison import refuse_other_questions
    from vidsift.evaluation.saved import load_result
    from vidsift.figures.results import scores_of, videos_of
    from vidsift.figures.retrieved import draw_retrieved, failed_captions, rescued_captions, retrieved

    if len(results) > 2:
        raise ValueError(f"{len(results)} folders; give one for its mistakes, or two to compare")
    loaded = [load_result(folder) for folder in results]
    refuse_other_questions(loaded[0], loaded[-1])
    entries, scores = videos_of(loaded[0]), [scores_of(result) for result in loaded]
    rows = caption
    if not rows and len(scores) == 2:
        rows = rescued_captions(scores[0], scores[1], entries, count)
    rows = rows or failed_captions(scores[-1], entries, count)
    names = [folder.resolve().name for folder in results]
    drawn = [
        retrieved(matrix, entries, row, model=name, videos=shown)
        for row in rows
        for name, matrix in zip(names, scores, strict=True)
    ]
    _write(draw_retrieved(drawn, entries), output)


def _gain_by_scenes(
    first: Annotated[Path, typer.Argument(metavar="DIR_A", help="What evaluate --save wrote.")],
    second: Annotated[Path, typer.Argument(metavar="DIR_B", help="Of the same videos and captions.")],
    output: Output,
) -> None:
    """What the second model gains over the first by the number of scenes in a video (DRL Fig. 7)."""
    from vidsift.evaluation.comparison import refuse_other_questions
    from vidsift.evaluation.saved import load_result
    from vidsift.figures.results import recall_of_videos, videos_of
    from vidsift.figures.scenes import count_scenes, draw_gain_by_scenes
    from vidsift.video import probe

    before, after = load_result(first), load_result(second)
    refuse_other_questions(before, after)
    if (before.present != after.present).any():
        raise ValueError(f"{first} and {second} could not read the same videos; evaluate both once more")
    there = [entry for entry, present in zip(videos_of(before), before.present, strict=True) if present]
    scenes = []
    with typer.progressbar(there, label="videos", file=sys.stderr) as bar:
        for entry in bar:
            span = entry.span(probe(entry.path).duration_seconds)
            scenes.append(count_scenes(entry.path, span))
    names = (first.resolve().name, second.resolve().name)
    _write(
        draw_gain_by_scenes(scenes, recall_of_videos(before), recall_of_videos(after), names=names), output
    )


_FIGURES: dict[str, Callable[..., None]] = {
    "sweep": _sweep,
    "training-loss": _training_loss,
    "word-frames": _word_frames,
    "meetings": _meetings,
    "word-weights": _word_weights,
    "word-cloud": _word_cloud,
    "retrieved": _retrieved,
    "gain-by-scenes": _gain_by_scenes,
    "prototypes": _prototypes,
}
"""What ``vidsift figure`` draws, by name."""
