"""The errors of the house, one tree.

Its kinds are for catching: ``except vidsift.ModelError`` takes whatever is wrong with a model. Each error is
also the built-in one in brackets, for ``except ValueError`` and ``except OSError``. The message names the
value, what was expected and the remedy; the command line prints it as one line and ends with status 2.

    VidsiftError
      x VideoError [ValueError]
        + VideoReadError            a file gives no picture
          + PictureError            a file is a picture, not a video
        + VideoChangedError         a file is not the one that was indexed
        + ClipTooLargeError         a clip to cut out would be larger than allowed
      x DataError [ValueError]
        + CaptionsError             captions, or what is said of them, cannot be read
          + AnnotationsMissingError an annotation file is not there
        + MissingVideosError        videos are missing, and what that counts is not settled
        + TooFewVideosError         fewer than two videos can be read
        + FrameCacheError           a cache of frames was made for something else
      x ModelError
        + ModelFolderError [ValueError]         a folder does not hold a model that can be loaded
        + WeightsError [ValueError]             a checkpoint cannot be found, is refused, or does not fit
        + NonFiniteWeightsError [ValueError]    weights hold NaN or infinity
        + PrecisionError [ValueError]           this machine cannot compute in the number type
        + NoAlignmentError [TypeError]          the method has no account of its score
      x TrainingError
        + RecipeError [ValueError]              a recipe cannot be followed
        + CheckpointError [ValueError]          a checkpoint cannot be read, or belongs to another run
        + NonFiniteLossError [ValueError]
        + NonFiniteGradientError [ValueError]
        + NonFiniteStateError [ValueError]
        + SeveralProcessesError [ValueError]    processes were started that cannot train together
        + ProcessEndedError [RuntimeError]      another process of the run ended
        + ProcessesDifferError [RuntimeError]   the processes of a run do not hold the same weights
        + WorkerEndedError [RuntimeError]       a process that makes batches ended by itself
        + FolderBusyError [OSError]             another process trains in the folder
          + GridBusyError                       another process runs a grid there
      x EvaluationError [ValueError]
        + SelectionOnTestError      a model would be chosen, or trained, on a test split
        + NonFiniteScoresError      a similarity is NaN or infinite
        + SavedResultError          a saved evaluation cannot be read, or one is in the way
        + NotComparableError        two evaluations were not asked the same
      x SearchError [ValueError]
        + IndexFolderError          a folder is no index, or not one that can be used
          + IndexVersionGoneError   the version that was open is cleaned up
        + NotSearchableError        nothing can find candidates for the method
        + QueryError                a question cannot be answered as it is
        + MissingSavedError [LookupError]       no saved search or collection has that identity
      x DiskError [OSError]
        + NotSavedError             something could not be written
        + IndexWriteError           the index could not be written
        + LockHeldError             another process holds a lock
      x SandboxError [ValueError]   what ran in a limited process crashed, or passed a limit
      x ProcessStartError [OSError] a process ended before it began
      x ServiceError [ValueError]   a service answered the client with a problem, or not at all

Elsewhere stand only what a request to the service is answered with (``service/problems.py``), and what is
caught before a caller could see it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = [
    "AnnotationsMissingError",
    "CaptionsError",
    "CheckpointError",
    "ClipTooLargeError",
    "DataError",
    "DiskError",
    "EvaluationError",
    "FolderBusyError",
    "FrameCacheError",
    "GridBusyError",
    "IndexFolderError",
    "IndexVersionGoneError",
    "IndexWriteError",
    "LockHeldError",
    "MissingSavedError",
    "MissingVideosError",
    "ModelError",
    "ModelFolderError",
    "NoAlignmentError",
    "NonFiniteGradientError",
    "NonFiniteLossError",
    "NonFiniteScoresError",
    "NonFiniteStateError",
    "NonFiniteWeightsError",
    "NotComparableError",
    "NotSavedError",
    "NotSearchableError",
    "PictureError",
    "PrecisionError",
    "ProcessEndedError",
    "ProcessStartError",
    "ProcessesDifferError",
    "QueryError",
    "RecipeError",
    "SandboxError",
    "SavedResultError",
    "SearchError",
    "SelectionOnTestError",
    "ServiceError",
    "SeveralProcessesError",
    "TooFewVideosError",
    "TrainingError",
    "VideoChangedError",
    "VideoError",
    "VideoReadError",
    "VidsiftError",
    "WeightsError",
    "WorkerEndedError",
]


def did_you_mean(name: str, known: Iterable[str], *, alike: float = 0.6) -> str:
    """Return a hint at what was meant, for a message behind an unknown name; "" where nothing is near.

    Args:
        name: what was given.
        known: the names that there are.
        alike: how near a name has to be, from 0 to 1.

    Example:
        >>> did_you_mean("lerning_rate", ["steps", "learning_rate"])
        " (did you mean 'learning_rate'?)"
        >>> did_you_mean("x", ["steps"])
        ''
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=alike)
    return f" (did you mean {close[0]!r}?)" if close else ""


class VidsiftError(Exception):
    """The base of every error that vidsift itself raises for what its caller can put right."""


# Videos


class VideoError(VidsiftError, ValueError):
    """The base of what is wrong with a video file."""


class VideoReadError(VideoError):
    """A video file gives no picture; the message is one line for the person whose file it is.

    Attributes:
        path: the file.
        reason: what is wrong with it, in plain words.
        at_seconds: where in the video it went wrong, when that is known.
    """

    def __init__(self, path: str | Path, reason: str, at_seconds: float | None = None) -> None:
        """Keep the parts and compose the line."""
        self.path = Path(path)
        self.reason = reason
        self.at_seconds = at_seconds
        where = "" if at_seconds is None else f" (at {at_seconds:.2f} s)"
        super().__init__(f"{path}: {reason}{where}")

    def __reduce__(self) -> tuple[type[VideoReadError], tuple[Path, str, float | None]]:
        """Travel whole between processes: pickle would pass the composed line as the path."""
        return type(self), (self.path, self.reason, self.at_seconds)


class PictureError(VideoReadError):
    """A file is a picture (JPEG, PNG, ...), whatever its name; no video is damaged."""


class VideoChangedError(VideoError):
    """The file is not the one that was indexed."""


class ClipTooLargeError(VideoError):
    """The clip would be larger than it may be."""


# Captions and sets of videos


class DataError(VidsiftError, ValueError):
    """The base of what is wrong with captions, annotations and sets of videos."""


class CaptionsError(DataError):
    """Captions, or what is said of them, that cannot be read; says where and what was expected."""


class AnnotationsMissingError(CaptionsError):
    """An annotation file of a data set is not there; says which one was looked for."""


class MissingVideosError(DataError):
    """Videos are missing, and nobody has said what that counts.

    Attributes:
        missing: path and reason of each.
        total: videos that were named, the missing ones included.
    """

    def __init__(self, message: str, missing: Sequence[tuple[str, str]], total: int) -> None:
        """Keep which are missing beside the message."""
        super().__init__(message)
        self.missing, self.total = tuple(missing), total


class TooFewVideosError(DataError):
    """Of all videos, fewer than two can be read; the message names those that cannot."""


class FrameCacheError(DataError):
    """A cache of decoded frames that was made for something else."""


# Models


class ModelError(VidsiftError):
    """The base of what is wrong with a model, or cannot be done with it."""


class ModelFolderError(ModelError, ValueError):
    """A folder does not hold a model that this version can load."""


class WeightsError(ModelError, ValueError):
    """A checkpoint cannot be found, is refused, or does not fit."""


class NonFiniteWeightsError(ModelError, ValueError):
    """Weights hold NaN or infinity, which every score would be; the message names them and the remedy."""


class PrecisionError(ModelError, ValueError):
    """A model or run was asked for in a number type that this machine gets wrong or has no kernel for."""


class NoAlignmentError(ModelError, TypeError):
    """The interaction is a black box: it has no account of which token met which."""


# Training


class TrainingError(VidsiftError):
    """The base of what keeps a training run from starting or going on."""


class RecipeError(TrainingError, ValueError):
    """A recipe that cannot be followed: which key, what it holds, what was expected."""


class CheckpointError(TrainingError, ValueError):
    """A checkpoint that cannot be read, or that belongs to another run."""


class NonFiniteLossError(TrainingError, ValueError):
    """The loss became NaN or infinite; says at which step."""


class NonFiniteGradientError(TrainingError, ValueError):
    """The norm of the gradients became NaN or infinite; says at which step and of which parameters."""


class NonFiniteStateError(TrainingError, ValueError):
    """Weights, or the optimiser's state, became NaN or infinite; says after which step."""


class SeveralProcessesError(TrainingError, ValueError):
    """Several processes were started that cannot train together: which launcher, and how to start them."""


class ProcessEndedError(TrainingError, RuntimeError):
    """Another one of the processes that train together ended; its own message says why."""


class ProcessesDifferError(TrainingError, RuntimeError):
    """The processes that train together do not hold the same weights; says after which step."""


class WorkerEndedError(TrainingError, RuntimeError):
    """A process that makes batches ended by itself."""


class FolderBusyError(TrainingError, OSError):
    """Another process trains in this folder, or runs a grid there."""


class GridBusyError(FolderBusyError):
    """Another process runs a grid in this folder, or trains there."""


# Evaluation


class EvaluationError(VidsiftError, ValueError):
    """The base of what cannot be measured honestly."""


class SelectionOnTestError(EvaluationError):
    """A model would be chosen by its score on a test split, or trained there."""


class NonFiniteScoresError(EvaluationError):
    """A similarity is NaN or infinite, so there is no order."""


class SavedResultError(EvaluationError):
    """A folder holds no saved evaluation that can be read, or holds something where one shall be written."""


class NotComparableError(EvaluationError):
    """Two evaluations were asked different questions, or counted by different rules; says which."""


# Index and search


class SearchError(VidsiftError, ValueError):
    """The base of what keeps a question from being answered."""


class IndexFolderError(SearchError):
    """The folder is not an index, or not one that this can use; the message says what to do."""


class IndexVersionGoneError(IndexFolderError):
    """The version of an index that is open was replaced so long ago that its files are cleaned up."""


class NotSearchableError(SearchError):
    """The method is too dear to scan, and nothing finds its candidates; the message says what it lacks."""


class QueryError(SearchError):
    """The question cannot be answered as it is; the message says what to change.

    Attributes:
        field: of a :class:`~vidsift.types.Filter` that is wrong; None where it is something else. The message
            then begins with it.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        """See the class."""
        super().__init__(message)
        self.field = field


class MissingSavedError(SearchError, LookupError):
    """No saved search, collection or moment of one has the identity; it may have been deleted."""


# Disks and locks


class DiskError(VidsiftError, OSError):
    """The base of what could not be written, or is held by another process."""


class NotSavedError(DiskError):
    """Something could not be written; the message says what, where, why, and what to do."""


class IndexWriteError(DiskError):
    """Something could not be written to the index; what was committed before is whole."""


class LockHeldError(DiskError):
    """Another process holds a lock.

    Attributes:
        process: its number, where it could be read.
    """

    def __init__(self, path: Path, process: int | None) -> None:
        """Say who holds it."""
        by = "another process" if process is None else f"process {process}"
        super().__init__(f"{path} is held by {by}; wait until it has finished, or stop it")
        self.process = process


# Processes and services


class SandboxError(VidsiftError, ValueError):
    """What ran in a limited process crashed, took too long or too much memory; the message says which."""


class ProcessStartError(VidsiftError, OSError):
    """A process ended before it began: too little memory, or its program; no file is to blame."""


class ServiceError(VidsiftError, ValueError):
    """The service answered with a problem, or not at all; the message says what to do.

    Attributes:
        status: of the answer; 0 where there was none.
        title: the kind of problem.
        detail: what went wrong, and the remedy.
    """

    def __init__(self, status: int, title: str, detail: str) -> None:
        """Remember what was answered."""
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
