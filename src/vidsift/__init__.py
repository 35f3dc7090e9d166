"""vidsift finds videos by what they show.

The walk, in the order in which data flows (each room imports only from rooms above it):

    errors         one tree, drawn in its docstring
    types          values that travel
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
videos, and :class:`Index` to search it. Whatever goes wrong is a :class:`VidsiftError` of some kind,
see :mod:`vidsift.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidsift import errors
from vidsift.errors import *  # noqa: F403 - the whole tree, as its __all__ says

if TYPE_CHECKING:
    from vidsift.index.build import build_index
    from vidsift.interactions.base import Interaction
    from vidsift.methods.base import Method, Term
    from vidsift.methods.model import Model, load
    from vidsift.search.explain import Explanation
    from vidsift.search.searcher import Index
    from vidsift.types import Alignment, Features, Filter, Frames, Hit, Span, TokenSet

__all__ = [
    "Alignment",
    "Explanation",
    "Features",
    "Filter",
    "Frames",
    "Hit",
    "Index",
    "Interaction",
    "Method",
    "Model",
    "Span",
    "Term",
    "TokenSet",
    "__version__",
    "build_index",
    "load",
]
__all__ += errors.__all__

__version__ = "0.1.0"

# Name -> module. Resolved on first use, so that `import vidsift` does not import torch.
_HOMES = {
    "Alignment": "vidsift.types",
    "Explanation": "vidsift.search.explain",
    "Features": "vidsift.types",
    "Filter": "vidsift.types",
    "Frames": "vidsift.types",
    "Hit": "vidsift.types",
    "Index": "vidsift.search.searcher",
    "Interaction": "vidsift.interactions.base",
    "Method": "vidsift.methods.base",
    "Model": "vidsift.methods.model",
    "Span": "vidsift.types",
    "Term": "vidsift.methods.base",
    "TokenSet": "vidsift.types",
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
