"""``vidsift info``: what a model or an index is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.text import show_facts

if TYPE_CHECKING:
    from vidsift.methods.base import Method

__all__ = ["info"]


def info(
    target: Annotated[
        str,
        typer.Argument(metavar="MODEL_OR_INDEX", help="A model folder, CLIP name, 'shapes', or an index."),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the weights and check them against the fingerprint.")
    ] = False,
) -> None:
    """Say what a model or an index is: method, token sets, terms, size, fingerprint."""
    facts = _index_facts(Path(target)) or _model_facts(target, verify=verify)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    show_facts(facts)


def _model_facts(target: str, *, verify: bool) -> dict[str, Any]:
    from vidsift.methods.model import load

    model = load(target, device="cpu")
    method = model.method
    facts: dict[str, Any] = {
        "model": model.name,
        "method": model.method_name,
        "arguments": model.arguments,
        "text sets": sorted(method.text_preparers),
        "video sets": sorted(method.video_preparers),
        "similarity": [
            f"{term.weight:g} x {term.name} ({type(term.interaction).__name__})" for term in method.terms
        ],
        "explains": method.explains,
        "searches": _searching(method),
        "parameters": sum(value.numel() for value in method.parameters()),
        "channels": method.towers.dim,
        "longest text": f"{model.max_words} tokens",
        "reading": model.preprocessing.to_dict(),
        "fingerprint": model.fingerprint,
    }
    if Path(target).is_dir():
        facts["bytes on disk"] = sum(file.stat().st_size for file in Path(target).iterdir() if file.is_file())
    if verify:
        facts["verified"] = _verified(model)
    return facts


def _searching(method: Method) -> str:
    """What a search scores: everything, or the candidates of a first stage; and what gives the moments."""
    stage = method.first_stage
    if not method.scans and stage is None:
        return "not at all: too slow to score every segment, and without a first stage"
    scored = "every segment" if method.scans or stage is None else f"candidates found by {stage.label}"
    if method.explains:
        return scored
    if stage is None:
        return f"{scored}; a hit's moment is the whole segment"
    moments = (
        f"; the moments are those of {stage.label}" if method.scans else ", which also gives the moments"
    )
    return scored + moments


def _verified(model: Any) -> str:
    """Compare the weights as loaded with the fingerprint that the folder states."""
    stated = model.fingerprint
    actual = model.compute_fingerprint()
    if stated != actual:
        raise ValueError(
            f"{model.name}: the weights give fingerprint {actual}, config.json states {stated}; the files "
            "do not belong together: copy the folder again"
        )
    return "the weights match the fingerprint"


def _index_facts(folder: Path) -> dict[str, Any] | None:
    """Facts of an index; None where the folder is none."""
    from vidsift.index.library import describe
    from vidsift.index.manifest import MANIFEST

    return describe(folder) if (folder / MANIFEST).is_file() else None
