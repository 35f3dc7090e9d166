"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vidsift

PUBLIC = {
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
}


def test_the_public_names_are_these_and_all_resolve() -> None:
    assert set(vidsift.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(vidsift, name) is not None, name


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="build_index"):
        _ = vidsift.loda


@pytest.mark.parametrize(
    "statement",
    [
        "import vidsift",
        "import vidsift.errors",
        "import vidsift.video",
        "import vidsift.types",
        "from vidsift.cli.main import app; app()",
    ],
)
def test_light_imports_do_not_import_torch(statement: str) -> None:
    heavy = "('torch', 'transformers', 'lancedb')"
    probe = f"import sys; {statement}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
