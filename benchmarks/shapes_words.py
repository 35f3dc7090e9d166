"""Whether a model's words mean something, where the truth is known: the Shapes world, both versions.

    PYTHONPATH=src python benchmarks/shapes_words.py runs/words runs/words-1 runs/words-2 --control runs/ti

Each model is measured as by ``vidsift evaluate --grounding`` on the 640 videos of Shapes that trained models
are judged on, and on clips of Shapes 2. Models given together are seeds of one recipe; controls stand beside
them, and ``--also NAME=MODEL`` adds points to the curve of accuracy against words. Writes the page
(``-o results/shapes-words.md``), the numbers beside it (.json) and the curve (``NAME-curve.png``, with what
it shows as .json).

What was rendered and measured stays in a folder (``--work``) and is used again; delete it after a change of
what is measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from measuring import command_line, features, machine
from shapes_words_page import draw_curve, page

from vidsift.data.entries import Entry
from vidsift.data.folder import CAPTIONS_FILE, read_folder
from vidsift.errors import VidsiftError
from vidsift.evaluation.evaluate import Evaluation, evaluate_model
from vidsift.evaluation.grounding_numbers import Ratios
from vidsift.evaluation.protocol import look_differently
from vidsift.evaluation.retrieval import video_of_caption
from vidsift.methods.model import load
from vidsift.search.grounding_evaluation import EXACT, evaluate_grounding
from vidsift.shapes.clip_library import write_clip_library
from vidsift.shapes.library import write_library
from vidsift.shapes.world import TAGS


class World(NamedTuple):
    """What models are measured on.

    Attributes:
        name: as the page calls it.
        library: folder of its files.
        frames: that a model looks at.
    """

    name: str
    library: Path
    frames: int


class Named(NamedTuple):
    """A model, and what the page calls it."""

    name: str
    place: str


def worlds(work: Path, videos: int, clips: int, clip_frames: int) -> list[World]:
    """Render the test videos of both versions, unless they are there."""
    return [
        rendered(World("Shapes", work / f"shapes-{videos}", 8), write_library, videos),
        rendered(World("Shapes 2", work / f"shapes2-{clips}", clip_frames), write_clip_library, clips),
    ]


def rendered(world: World, write: Callable[..., Any], count: int) -> World:
    """Render the videos of a world by its writer, unless they are there."""
    # Written after the videos: where it is, those are whole.
    if not (world.library / CAPTIONS_FILE).is_file():
        print(f"rendering {world.library}", flush=True)
        also: dict[str, Any] = {"grounding": True} if write is write_library else {}
        write(world.library, "test", count, workers=1, **also)
    return world


def measure(model: Named, world: World, work: Path) -> dict[str, Any]:
    """Measure a model on a world, or read what was measured before."""
    loaded = load(model.place, "cpu")
    look_differently(loaded, frames=world.frames)
    file = work / f"{loaded.fingerprint[:16]}-{world.library.name}-{world.frames}.json"
    if file.is_file():
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return known
    begin = time.process_time()
    entries = read_folder(world.library)
    # 0 workers: the benchmark is one process, whose time is taken.
    evaluation = evaluate_model(loaded, entries, split="test", workers=0, with_gallery=True)
    assert evaluation.gallery is not None
    grounding = evaluate_grounding(loaded, evaluation.gallery)
    if grounding["account"] != EXACT:
        # Its words are judged by leaving them out alone, which must not stand where the exact account does.
        about = {name: grounding.pop(name) for name in ("account", "why", "protocol")}
        grounding = about | {"leaving_out": grounding}
    measured = {
        "fingerprint": loaded.fingerprint,
        "method": loaded.method_name,
        "arguments": loaded.arguments,
        "frames": world.frames,
        "videos": len(entries),
        "R@1": recall_by_tag(evaluation, entries),
        "right among hard negatives": evaluation.report["choice"]["all"]["right"],
        "grounding": grounding,
        "cpu_s": round(time.process_time() - begin, 1),
    }
    file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return measured


def recall_by_tag(evaluation: Evaluation, entries: Sequence[Entry]) -> dict[str, Any]:
    """R@1 among all videos, of all captions and of those of each tag, with intervals over videos."""
    owner_Q = video_of_caption(entries)
    right_Q = 100 * evaluation.ranks.text_to_video.within(1)
    tag_Q = np.array([entries[place].tag for place in owner_Q.tolist()])
    ratios = Ratios(len(entries))
    ratios.mean("all", right_Q.tolist(), owner_Q.tolist())
    for tag in TAGS:
        ratios.mean(tag, right_Q[tag_Q == tag].tolist(), owner_Q[tag_Q == tag].tolist())
    return ratios.results()


def named(place: str) -> Named:
    """A model called by its folder."""
    return Named(Path(place).resolve().name, place)


def labelled(text: str) -> Named:
    """A model given as NAME=MODEL.

    Raises:
        ValueError: it is not.
    """
    name, equals, place = text.partition("=")
    if not (name and equals and place):
        raise ValueError(f"--also {text}: expected NAME=MODEL")
    return Named(name, place)


def refuse_doubles(models: Iterable[Named]) -> None:
    """Refuse two models of one name: the page could not tell them apart.

    Raises:
        ValueError: there are.
    """
    seen: dict[str, str] = {}
    for model in models:
        if seen.setdefault(model.name, model.place) != model.place:
            raise ValueError(
                f"{seen[model.name]} and {model.place} are both called {model.name}: rename a folder, or "
                "give one as --also NAME=MODEL"
            )


def options_of() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="a model folder of each seed, or shapes")
    parser.add_argument("--control", nargs="+", default=[], help="e.g. TI, whose words weigh alike")
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="NAME=MODEL", help="more points of the curve"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("results/shapes-words.md"))
    parser.add_argument("--videos", type=int, default=640, help="of Shapes, a multiple of 4")
    parser.add_argument("--clips", type=int, default=320, help="of Shapes 2, a multiple of 4")
    parser.add_argument("--clip-frames", type=int, default=16, help="that models see of a clip of Shapes 2")
    parser.add_argument("--work", type=Path, default=Path("runs/shapes-words"), help="what stays")
    options = parser.parse_args()
    if options.output.suffix != ".md":
        parser.error(f"--output {options.output}: expected a file that ends in .md")
    return options


def main() -> None:
    """Measure and write the results."""
    options = options_of()
    torch.set_num_threads(1)
    groups = {
        "models": [named(place) for place in options.models],
        "controls": [named(place) for place in options.control],
        "also": [labelled(text) for text in options.also],
    }
    refuse_doubles(model for group in groups.values() for model in group)
    both = worlds(options.work, options.videos, options.clips, options.clip_frames)
    measured: dict[str, Any] = {world.name: {} for world in both}
    for model in dict.fromkeys(model for group in groups.values() for model in group):
        for world in both:
            numbers = measured[world.name][model.name] = measure(model, world, options.work)
            share, seconds = numbers["R@1"]["all"]["value"], numbers["cpu_s"]
            print(f"{model.name}, {world.name}: R@1 {share:.1f}, {seconds} s", flush=True)
    facts = {
        "command": command_line(__file__, "PYTHONPATH=src"),
        **machine(),
        "able": features(),
        **{name: [model.name for model in group] for name, group in groups.items()},
        "measured": measured,
    }
    output: Path = options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    picture = output.with_name(f"{output.stem}-curve.png")
    draw_curve(facts).write(picture)
    text = page(facts, picture.name)
    output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    try:
        main()
    except (VidsiftError, ValueError, OSError) as problem:
        raise SystemExit(f"shapes_words: {problem}") from None
