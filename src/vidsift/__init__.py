"""vidsift finds videos by what they show.

The walk, in the order in which data flows (each room imports only from rooms above it):

    files          bytes on disk, whole
    workers        processes with limits
    video          file -> frames with times
    encoders       frames, words -> tokens and mask
    interactions   tokens x tokens -> similarity
    losses         similarity -> scalar
    postprocess    similarity -> similarity
    methods        a paper a file: which token sets exist and which are compared
    shapes         facts -> clips and captions: the controlled world
    data           captions and videos -> batches
    evaluation     similarity and truth -> numbers
    training       the loop
    index          videos -> files on disk
    search         question -> hits
    service        hits over HTTP
    cli            one verb a file

Three names are enough to use it from Python: :func:`load` a model, :func:`build_index` over folders of
videos, and :class:`Index` to search it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidsift.index.build import build_index
    from vidsift.methods.model import Model, load
    from vidsift.search.searcher import Index
    from vidsift.types import Alignment, Features, Frames, Hit, Span, TokenSet
    from vidsift.video import VideoReadError

__all__ = [
    "Alignment",
    "Features",
    "Frames",
    "Hit",
    "Index",
    "Model",
    "Span",
    "TokenSet",
    "VideoReadError",
    "__version__",
    "build_index",
    "load",
]

__version__ = "0.1.0"

# Name -> module. Resolved on first use, so that `import vidsift` does not import torch.
_HOMES = {
    "Alignment": "vidsift.types",
    "Features": "vidsift.types",
    "Frames": "vidsift.types",
    "Hit": "vidsift.types",
    "Index": "vidsift.search.searcher",
    "Model": "vidsift.methods.model",
    "Span": "vidsift.types",
    "TokenSet": "vidsift.types",
    "VideoReadError": "vidsift.video",
    "build_index": "vidsift.index.build",
    "load": "vidsift.methods.model",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vidsift' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
