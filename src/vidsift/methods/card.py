"""The model card: what a saved model is, in words, for the person who finds the folder."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidsift.methods.base import Method
    from vidsift.methods.model import Model

__all__ = ["write_card"]


def write_card(model: Model) -> str:
    """Compose the card: the method and its source, how to load, how video is read, the model's own sections.

    Args:
        model: its ``card`` holds further sections, title -> text or table (a mapping).

    Returns:
        Markdown.
    """
    method, reading = model.method, model.reading
    about, source = _docstring(method)
    terms = ", ".join(f"{term.weight:g} x {term.name}" for term in method.terms)
    parameters = sum(value.numel() for value in method.parameters())
    arguments = ", ".join(f"{name}={value}" for name, value in model.arguments.items()) or "none"
    lines = [
        f"# {model.name}",
        "",
        f"A text-video retrieval model of vidsift: method `{model.method_name}`.",
        "",
        about,
        *(["", f"Source: {source}"] if source else []),
        "",
        "## Use",
        "",
        "```python",
        "import vidsift",
        "",
        'model = vidsift.load("path/to/this/folder")',
        'model.similarity(["a dog catches a frisbee"], ["video.mp4"])',
        "```",
        "",
        "## Facts",
        "",
        f"- Arguments: {arguments}",
        f"- Similarity: {terms}",
        f"- Parameters: {parameters:,}; shared space of {method.towers.dim} channels",
        f"- Video: at most {reading.frames} frames of {reading.size_px} px, sampling `{reading.sampling}`",
        f"- Text: at most {model.max_words} tokens, start and end included",
    ]
    for title, content in model.card.items():
        lines += ["", f"## {title}", "", *_section(content)]
    return "\n".join(lines) + "\n"


def _docstring(method: Method) -> tuple[str, str]:
    """What the paper's file says it is, and the source that its class names."""
    module = inspect.getdoc(sys.modules[type(method).__module__]) or ""
    text = inspect.getdoc(type(method)) or ""
    source = next((line for line in text.splitlines() if line.startswith("Source: ")), "")
    return module, source.removeprefix("Source: ")


def _section(content: Any) -> list[str]:
    if not isinstance(content, Mapping):
        return [str(content)]
    rows = [f"| {name} | {_cell(value)} |" for name, value in content.items()]
    return ["| | |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
