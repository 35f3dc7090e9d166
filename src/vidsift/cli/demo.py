"""``vidsift demo``: the whole path on video files that it renders itself, offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidsift.types import Hit

__all__ = ["demo"]

_SHOWN = 3


def demo(
    folder: Annotated[Path, typer.Option(help="Where videos and index go.")] = Path("demo"),
    # At least a group of four for each of the four kinds of scenes.
    videos: Annotated[int, typer.Option(min=16, help="Videos to render, a multiple of 4.")] = 48,
    questions: Annotated[int, typer.Option(min=1, help="Sentences to search for.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another library.")] = 0,
) -> None:
    """Render a small library of videos, index it with the bundled model, and search it.

    The model knows the drawn world of Shapes and nothing else; your own footage needs a real CLIP.
    """
    if videos % 4:
        raise ValueError(f"--videos is {videos}; expected a multiple of 4 (groups of look-alikes)")

    from vidsift.index.build import build_index
    from vidsift.methods.model import BUNDLED
    from vidsift.search.searcher import Index

    library, where = folder / "videos", folder / "index"
    entries = _library(library, videos, seed)
    typer.echo(f"2. Indexing {library} with the bundled model ...")
    _drop_index_of_another_version(where, library)
    report = build_index([library], where, BUNDLED)
    typer.echo(
        f"   {report.added} added, {report.unchanged} unchanged, {report.updated} updated, "
        f"{report.removed} removed, {len(report.failed)} failed, in {report.seconds:.1f} s"
    )

    chosen = _spread(entries, questions)
    typer.echo(f"3. Searching for {len(chosen)} sentences; each fits one video of {len(entries)} ...\n")
    opened = Index.open(where)
    answers = opened.search_many([entry["captions"][0] for entry in chosen], k=_SHOWN)
    right = sum(_show(entry, hits) for entry, hits in zip(chosen, answers, strict=True))
    typer.echo(f"The right video came first for {right} of {len(chosen)} sentences.\n")
    option = f"--index {where}"
    typer.echo(
        "Next:\n"
        f'  vidsift search "{chosen[0]["captions"][0]}" {option}\n'
        f'  vidsift explain "{chosen[0]["captions"][0]}" {library / chosen[0]["video"]} {option}\n'
        f"  vidsift serve {option}\n"
        "Your own footage, with a CLIP that knows the world (from the hub, or a folder you downloaded):\n"
        "  vidsift index ~/Videos --model openai/clip-vit-base-patch32\n"
        '  vidsift search "a dog catches a frisbee"'
    )


def _drop_index_of_another_version(where: Path, library: Path) -> None:
    """Delete an index of nothing but the demo's videos that another version of the bundled model made."""
    from vidsift.files.paths import absolute
    from vidsift.index.manifest import MANIFEST
    from vidsift.index.storage import Store
    from vidsift.methods.model import BUNDLED, load

    if not (where / MANIFEST).is_file():
        return
    store = Store.open(where)
    if store.manifest.model != BUNDLED or store.manifest.fingerprint == load(BUNDLED).fingerprint:
        return
    if all(Path(file).is_relative_to(absolute(library)) for file in store.read_files()):
        typer.echo(f"   {where} was made by another version of the model, and is made anew.")
        shutil.rmtree(where)


def _library(folder: Path, videos: int, seed: int) -> list[dict[str, Any]]:
    """Render the library unless it is there, and return its captions."""
    from vidsift.files.whole import write_text_whole
    from vidsift.shapes.library import write_library

    listing, made_by = folder / "captions.jsonl", folder / "demo.json"
    wanted = json.dumps({"videos": videos, "seed": seed})
    if made_by.is_file() and made_by.read_text(encoding="utf-8") == wanted and listing.is_file():
        typer.echo(f"1. The {videos} videos in {folder} are there already.")
    else:
        typer.echo(f"1. Rendering {videos} videos of 4 s into {folder} ...")
        made_by.unlink(missing_ok=True)  # until all is rendered, the folder holds no library
        if listing.is_file():
            for entry in _read(listing):
                (folder / entry["video"]).unlink(missing_ok=True)
        write_library(folder, "test", videos, seed, spoken_names=True)
        write_text_whole(made_by, wanted)
    return _read(listing)


def _read(listing: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]


def _spread(entries: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Take entries from all over the library, each once, so that every kind of question is asked."""
    groups = len(entries) // 4
    count = min(count, len(entries))
    a_lap = min(count, groups)
    chosen = []
    for number in range(count):
        lap, place = divmod(number, a_lap)
        chosen.append(entries[4 * (place * groups // a_lap) + (place + lap) % 4])
    return chosen


def _show(entry: dict[str, Any], hits: Sequence[Hit]) -> bool:
    """Print a question with its answers; return whether the right video came first."""
    are_right = [Path(hit.path).name == entry["video"] for hit in hits]
    typer.echo(f'"{entry["captions"][0]}"')
    for hit, right in zip(hits, are_right, strict=True):
        start, end = hit.moment
        mark = "  <- the right one" if right else ""
        typer.echo(f"   {hit.score:.3f}  {Path(hit.path).name}  {start:.1f}-{end:.1f} s{mark}")
    first = bool(are_right) and are_right[0]
    typer.echo(f"   right video first: {'yes' if first else 'no'}\n")
    return first
