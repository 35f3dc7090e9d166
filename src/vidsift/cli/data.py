"""``vidsift data``: look after data sets for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidsift.cli.data_cache import data_cache
from vidsift.cli.data_check import data_check
from vidsift.cli.data_summary import print_json, protocol_of, show_notes, split_title, summary_as_json
from vidsift.cli.plain import Group, program
from vidsift.cli.text import Annotations, show_table

__all__ = ["data", "data_convert", "data_info", "data_list"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def data() -> typer.Typer:
    """Build the group of verbs."""
    group = program(cls=Group, help="Look after data sets for training and evaluation.")
    group.command("list")(data_list)
    group.command("info")(data_info)
    group.command("check")(data_check)
    group.command("convert")(data_convert)
    group.command("cache")(data_cache)
    return group


def data_list(as_json: AsJson = False) -> None:
    """List the data sets that are known, with their splits and what papers look at."""
    from vidsift.data.catalog import SOURCES

    if as_json:
        print_json(
            {
                name: {"title": source.title, "splits": list(source.splits)} | protocol_of(source)
                for name, source in SOURCES.items()
            }
        )
        return
    rows = []
    for name, source in SOURCES.items():
        protocol = protocol_of(source)
        sizes = f"{protocol['max_words']}/{protocol['frames']}" if protocol else ""
        tests = protocol.get("tests", ())
        splits = ", ".join(split_title(split, split in tests) for split in source.splits)
        rows.append((name, source.title, sizes, protocol.get("caption_protocol", ""), splits))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())
    typer.echo("Columns: name, title, words/frames that papers look at, what a query is, splits.")


def data_info(
    name: Annotated[str, typer.Argument(help="The data set, such as msrvtt; the recipes' data.source.")],
    annotations: Annotations = None,
    as_json: AsJson = False,
) -> None:
    """Count the videos, captions and spans of each split, and say which splits share videos.

    The videos need not be there. Ends with status 1 where annotations cannot be read.
    """
    from vidsift.data.catalog import open_annotations, source_of
    from vidsift.data.summary import summarise

    title, protocol = source_of(name).title, protocol_of(source_of(name))
    if annotations is None:
        raise ValueError(f"{title} needs the folder of its annotation files: --annotations FOLDER")
    if not annotations.expanduser().exists():
        raise ValueError(f"--annotations: there is no {annotations}")
    summary = summarise(open_annotations(name, str(annotations)))
    if as_json:
        print_json({"data_set": name, "title": title} | protocol | summary_as_json(summary))
    else:
        if protocol:
            typer.echo(
                f"{title}: a query is {_QUERIES[protocol['caption_protocol']]}; papers look at "
                f"{protocol['max_words']} words and {protocol['frames']} frames; "
                f"validation: {protocol['validation_split'] or 'cut from training'}"
            )
        rows = [
            (split_title(held.split, held.test), held.videos, held.captions, held.spans)
            for held in summary.splits
        ]
        show_table(("split", "videos", "captions", "spans"), rows)
        show_notes(summary)
    if summary.broken or not summary.splits:
        raise typer.Exit(1)


_QUERIES = {
    "one caption": "a caption, one a video",
    "every caption": "a caption, each of every video's",
    "paragraph": "all sentences about a video as one paragraph",
}


def data_convert(
    pickle: Annotated[Path, typer.Argument(help="A pickle of captions, such as raw-captions.pkl.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The JSON file; the pickle's name by default.")
    ] = None,
) -> None:
    """Make JSON of a pickle that holds dictionaries, lists and strings, without running it.

    A pickle can run any program when it is loaded. This one is read instruction by instruction, and refused
    where it holds anything but plain values.
    """
    import json

    from vidsift.data.plain_pickle import read_plain_pickle
    from vidsift.errors import CaptionsError
    from vidsift.files.whole import write_text_whole

    target = pickle.with_suffix(".json") if output is None else output
    if target.exists():
        raise ValueError(f"{target} is there already; delete it, or name another file with --output")
    value = read_plain_pickle(pickle)
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise CaptionsError(f"{pickle} cannot be written as JSON: {error}") from error
    write_text_whole(target, text)
    held = f"{len(value):,} entries" if isinstance(value, dict | list) else "one value"
    typer.echo(f"{target}: {held}")
