"""Whether training and test groups of Shapes and of Shapes 2 are equally hard: the right one among four.

    python benchmarks/shapes_groups.py [--model shapes] [--clips 1280] [--results results]

Writes ``shapes-groups.json`` and ``shapes-groups.md``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import vidsift
from vidsift.data.folder import read_folder
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.shapes.captions import describe_scene
from vidsift.shapes.clip_library import draw_clips
from vidsift.shapes.clip_stream import clip_batch
from vidsift.shapes.groups import GROUP_SIZE, hard_negative_group
from vidsift.shapes.library import draw_split, write_library
from vidsift.shapes.render import render
from vidsift.shapes.stream import clip_times, stream_batch
from vidsift.shapes.world import TAGS

SIDE_PX, CAPTIONS = 64, 3


class Shown(NamedTuple):
    """A clip as arrays, four in a row being a group, and what is said of it."""

    pixels: NDArray[np.uint8]
    times_seconds: NDArray[np.float64]
    captions: Sequence[str]
    tag: str


def free_groups(split: str, clips: int, frames: int) -> Iterator[Shown]:
    """Groups of version 1 as they are drawn, whatever stands beside them."""
    rng, times = np.random.default_rng([99, 5]), clip_times(frames)
    for number in range(clips // GROUP_SIZE):
        for scene in hard_negative_group(rng, split, TAGS[number % len(TAGS)]):
            captions = [describe_scene(scene, rng).text for _ in range(CAPTIONS)]
            yield Shown(render(scene, times, SIDE_PX), times, captions, scene.tag)


def split_of_version_1(split: str, clips: int, frames: int) -> Iterator[Shown]:
    """A split of version 1, whose captions hold of no other of its videos."""
    times = clip_times(frames)
    for video in draw_split(split, clips):
        yield Shown(render(video.scene, times, SIDE_PX), times, video.captions, video.scene.tag)


def stream(clips: int, frames: int, jitter: float) -> Iterator[Shown]:
    """Training batches of version 1."""
    for step in range(clips // 64):
        batch = stream_batch(1234, step, 64, frames, SIDE_PX, captions_each=CAPTIONS, jitter=jitter)
        for row, pixels in enumerate(batch.pixels):
            tag = TAGS[(step * 16 + row // GROUP_SIZE) % len(TAGS)]
            yield Shown(pixels, clip_times(frames), batch.captions[row::64], tag)


def split_of_version_2(split: str, clips: int, frames: int) -> Iterator[Shown]:
    """A split of Shapes 2."""
    for drawn in draw_clips(split, clips, captions_per_clip=CAPTIONS):
        times = clip_times(frames, "uniform", drawn.clip.duration_seconds)
        yield Shown(render(drawn.clip, times, SIDE_PX), times, drawn.texts, drawn.clip.tag)


def stream_of_version_2(clips: int, frames: int) -> Iterator[Shown]:
    """Training batches of Shapes 2."""
    for step in range(clips // 64):
        batch = clip_batch(77, step, 64, frames, SIDE_PX, captions_each=CAPTIONS)
        for row, (pixels, times) in enumerate(zip(batch.pixels, batch.times_seconds, strict=True)):
            tag = TAGS[(step * 16 + row // GROUP_SIZE) % len(TAGS)]
            yield Shown(pixels, times, batch.captions[row::64], tag)


def right_among_four(model: vidsift.Model, clips: Iterator[Shown]) -> dict[str, Any]:
    """Score every caption with the four of its group; the error is that of the mean over groups."""
    rights: list[float] = []
    tags: list[str] = []
    group: list[Shown] = []
    for clip in clips:
        group.append(clip)
        if len(group) < GROUP_SIZE:
            continue
        videos = model.encode_frames([c.pixels for c in group], [c.times_seconds for c in group])
        texts = model.encode_text([text for c in group for text in c.captions])
        best = model.similarity(texts, videos).argmax(dim=1).numpy()
        owner = np.repeat(np.arange(GROUP_SIZE), [len(c.captions) for c in group])
        rights.append(float((best == owner).mean()))
        tags.append(group[0].tag)
        group = []
    right = 100 * np.array(rights)
    by_tag = {tag: round(float(right[np.array(tags) == tag].mean()), 1) for tag in TAGS}
    error = float(right.std(ddof=1) / len(right) ** 0.5)
    return {
        "clips": 4 * len(right), "right": round(float(right.mean()), 1), "error": round(error, 1), **by_tag
    }  # fmt: skip


def files(model: vidsift.Model, clips: int) -> dict[str, Any]:
    """The test split of version 1 as files, by the evaluation itself."""
    with tempfile.TemporaryDirectory() as folder:
        write_library(folder, "test", clips, workers=1)
        choice = evaluate_entries(model, read_folder(folder), split="test", workers=0)["choice"]
    by_tag = {tag: round(choice["by_tag"][tag]["right"], 1) for tag in TAGS}
    return {"clips": clips, "right": round(choice["all"]["right"], 1), "error": None, **by_tag}


def measure(model: vidsift.Model, clips: int) -> dict[str, dict[str, Any]]:
    """Score all ways of drawing groups; half as many clips of version 1."""
    frames, half = model.preprocessing.frames, clips // 2
    ways: dict[str, Iterator[Shown]] = {
        "1: groups, train": free_groups("train", half, frames),
        "1: groups, test": free_groups("test", half, frames),
        "1: batches": stream(half, frames, 0.0),
        "1: batches, jitter 0.5": stream(half, frames, 0.5),
        "1: split train": split_of_version_1("train", half, frames),
        "1: split test": split_of_version_1("test", half, frames),
    }
    for fewer in (1, 2, 4):
        for split in ("train", "test"):
            ways[f"1: groups, {split}, {fewer} frames"] = free_groups(split, half, fewer)
    ways["2: batches"] = stream_of_version_2(clips, frames)
    for split in ("train", "val", "test"):
        ways[f"2: split {split}"] = split_of_version_2(split, clips, frames)
    scores = {}
    for name, shown in ways.items():
        scores[name] = right_among_four(model, shown)
        print(name, scores[name], flush=True)
    scores["1: split test, files of 128 px"] = files(model, half)
    return dict(sorted(scores.items()))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--clips", type=int, default=1280)
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    model = vidsift.load(options.model)
    scores = measure(model, options.clips)
    options.results.mkdir(parents=True, exist_ok=True)
    about = {"model": options.model, "fingerprint": model.fingerprint, "scores": scores}
    (options.results / "shapes-groups.json").write_text(json.dumps(about, indent=2) + "\n")
    (options.results / "shapes-groups.md").write_text(
        _page(options.model, model.preprocessing.frames, scores)
    )


def _page(name: str, frames: int, scores: dict[str, dict[str, Any]]) -> str:
    """The scores as a page."""
    rows = []
    for way, score in scores.items():
        error = "" if score["error"] is None else f" ± {score['error']}"
        by_tag = " | ".join(str(score[tag]) for tag in TAGS)
        rows.append(f"| {way} | {score['clips']} | {score['right']}{error} | {by_tag} |")
    return (
        "# Are test groups easier than training groups?\n\n"
        f"`python benchmarks/shapes_groups.py --model {name}`: how often that model is right among\n"
        f"the four of a group, in percent (chance 25), {CAPTIONS} captions a clip, arrays of {SIDE_PX} px,\n"
        f"{frames} frames where nothing else is said; ± is the standard error of the mean over groups. 1 is\n"
        "Shapes, 2 is Shapes 2.\n\n"
        f"| groups | clips | right | {' | '.join(TAGS)} |\n|---|---|---|---|---|---|---|\n"
    ) + "\n".join([*rows, ""])


if __name__ == "__main__":
    main()
