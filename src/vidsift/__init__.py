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
videos, and :class:`Index` to search it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidsift.errors import (
        CaptionsError,
        CheckpointError,
        ClipTooLargeError,
        DataError,
        DiskError,
        EvaluationError,
        FolderBusyError,
        FrameCacheError,
        GridBusyError,
        IndexFolderError,
        IndexVersionGoneError,
        IndexWriteError,
        LockHeldError,
        MissingVideosError,
        ModelError,
        ModelFolderError,
        NoAlignmentError,
        NonFiniteGradientError,
        NonFiniteLossError,
        NonFiniteScoresError,
        NonFiniteStateError,
        NonFiniteWeightsError,
        NotSavedError,
        NotSearchableError,
        PictureError,
        PrecisionError,
        QueryError,
        RecipeError,
        SandboxError,
        SearchError,
        SelectionOnTestError,
        ServiceError,
        SeveralProcessesError,
        TooFewVideosError,
        TrainingError,
        VideoChangedError,
        VideoError,
        VideoReadError,
        VidsiftError,
        WeightsError,
        WorkerEndedError,
    )
    from vidsift.index.build import build_index
    from vidsift.interactions.base import Interaction
    from vidsift.methods.base import Method, Term
    from vidsift.methods.model import Model, load
    from vidsift.search.explain import Explanation
    from vidsift.search.searcher import Index
    from vidsift.types import Alignment, Features, Frames, Hit, Span, TokenSet

__all__ = [
    "Alignment",
    "CaptionsError",
    "CheckpointError",
    "ClipTooLargeError",
    "DataError",
    "DiskError",
    "EvaluationError",
    "Explanation",
    "Features",
    "FolderBusyError",
    "FrameCacheError",
    "Frames",
    "GridBusyError",
    "Hit",
    "Index",
    "IndexFolderError",
    "IndexVersionGoneError",
    "IndexWriteError",
    "Interaction",
    "LockHeldError",
    "Method",
    "MissingVideosError",
    "Model",
    "ModelError",
    "ModelFolderError",
    "NoAlignmentError",
    "NonFiniteGradientError",
    "NonFiniteLossError",
    "NonFiniteScoresError",
    "NonFiniteStateError",
    "NonFiniteWeightsError",
    "NotSavedError",
    "NotSearchableError",
    "PictureError",
    "PrecisionError",
    "QueryError",
    "RecipeError",
    "SandboxError",
    "SearchError",
    "SelectionOnTestError",
    "ServiceError",
    "SeveralProcessesError",
    "Span",
    "Term",
    "TokenSet",
    "TooFewVideosError",
    "TrainingError",
    "VideoChangedError",
    "VideoError",
    "VideoReadError",
    "VidsiftError",
    "WeightsError",
    "WorkerEndedError",
    "__version__",
    "build_index",
    "load",
]

__version__ = "0.1.0"

# Name -> module. Resolved on first use, so that `import vidsift` does not import torch.
_HOMES = {
    "Alignment": "vidsift.types",
    "CaptionsError": "vidsift.errors",
    "CheckpointError": "vidsift.errors",
    "ClipTooLargeError": "vidsift.errors",
    "DataError": "vidsift.errors",
    "DiskError": "vidsift.errors",
    "EvaluationError": "vidsift.errors",
    "Explanation": "vidsift.search.explain",
    "Features": "vidsift.types",
    "FolderBusyError": "vidsift.errors",
    "FrameCacheError": "vidsift.errors",
    "Frames": "vidsift.types",
    "GridBusyError": "vidsift.errors",
    "Hit": "vidsift.types",
    "Index": "vidsift.search.searcher",
    "IndexFolderError": "vidsift.errors",
    "IndexVersionGoneError": "vidsift.errors",
    "IndexWriteError": "vidsift.errors",
    "Interaction": "vidsift.interactions.base",
    "LockHeldError": "vidsift.errors",
    "Method": "vidsift.methods.base",
    "MissingVideosError": "vidsift.errors",
    "Model": "vidsift.methods.model",
    "ModelError": "vidsift.errors",
    "ModelFolderError": "vidsift.errors",
    "NoAlignmentError": "vidsift.errors",
    "NonFiniteGradientError": "vidsift.errors",
    "NonFiniteLossError": "vidsift.errors",
    "NonFiniteScoresError": "vidsift.errors",
    "NonFiniteStateError": "vidsift.errors",
    "NonFiniteWeightsError": "vidsift.errors",
    "NotSavedError": "vidsift.errors",
    "NotSearchableError": "vidsift.errors",
    "PictureError": "vidsift.errors",
    "PrecisionError": "vidsift.errors",
    "QueryError": "vidsift.errors",
    "RecipeError": "vidsift.errors",
    "SandboxError": "vidsift.errors",
    "SearchError": "vidsift.errors",
    "SelectionOnTestError": "vidsift.errors",
    "ServiceError": "vidsift.errors",
    "SeveralProcessesError": "vidsift.errors",
    "Span": "vidsift.types",
    "Term": "vidsift.methods.base",
    "TokenSet": "vidsift.types",
    "TooFewVideosError": "vidsift.errors",
    "TrainingError": "vidsift.errors",
    "VideoChangedError": "vidsift.errors",
    "VideoError": "vidsift.errors",
    "VideoReadError": "vidsift.errors",
    "VidsiftError": "vidsift.errors",
    "WeightsError": "vidsift.errors",
    "WorkerEndedError": "vidsift.errors",
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
