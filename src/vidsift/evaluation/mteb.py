"""A model for mteb, whose video tasks (MVEB) are then scored by the model's own similarity.

    import mteb
    import vidsift
    from vidsift.evaluation.mteb import MtebModel

    mteb.evaluate(MtebModel(vidsift.load("runs/wti")), mteb.get_tasks(["MSRVTTT2V", "MSRVTTV2T"]))

Retrieval goes through mteb's search protocol, so that token-wise similarities, black boxes and all else are
scored as everywhere in vidsift. Other tasks (clustering, classification, zero-shot) need one vector for a
video, which methods with a plain dot product have, and others refuse to make up.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry, why_absent
from vidsift.evaluation.evaluate import encode_gallery
from vidsift.interactions.batches import concatenate_features
from vidsift.interactions.dot import MeanDot
from vidsift.methods.model import Model
from vidsift.types import Features

if TYPE_CHECKING:
    from datasets import Dataset
    from mteb.models import ModelMeta

__all__ = ["MtebModel"]

_AT_ONCE = 64
"""Videos that lie on disk at a time: data sets of mteb hold them as bytes."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$")


class MtebModel:
    """A model as ``mteb.evaluate`` takes it: by its search protocol, and by its encoder protocol where exact.

    Videos are read by vidsift as everywhere else, so that mteb's decoder (torchcodec) is not needed: the
    column is taken as files. A video that cannot be read ends the task, and is not left out.

    Args:
        model: what is judged.
        name: how mteb calls it; made of the model's name when None.
        workers: processes that decode.

    Raises:
        ImportError: mteb is not installed.

    Source: embeddings-benchmark/mteb models/models_protocols.py (SearchProtocol, EncoderProtocol), 2.26.
    """

    def __init__(self, model: Model, name: str | None = None, *, workers: int = 1) -> None:
        """See the class."""
        self.model = model
        self.workers = workers
        self._documents: tuple[list[str], Features, str] | None = None
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(model.name).name).strip("-") or model.method_name
        self._name = name or f"vidsift/{words}"

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What mteb records: the fingerprint as the revision, so that cached results are of these weights."""
        try:
            from mteb.models import ModelMeta
        except ImportError as error:
            raise ImportError(f"{error}; install it with: pip install 'vidsift[mteb]'") from error
        single = self._is_single_vector
        return ModelMeta.create_empty(
            {
                "name": self._name,
                "revision": self.model.fingerprint,
                "modalities": ["text", "video"],
                "framework": ["PyTorch"],
                "max_tokens": self.model.max_words,
                "model_type": ["dense" if single else "late-interaction"],
                "similarity_fn_name": "cosine" if single else "custom",
                "n_parameters": sum(value.numel() for value in self.model.method.parameters()),
                "use_instructions": False,
            }
        )

    # mteb's SearchProtocol

    def index(self, corpus: Dataset, **_: object) -> None:
        """Encode the documents of a task: videos, or texts where videos are the queries."""
        features, kind = self._encoded(corpus)
        self._documents = ([str(document) for document in corpus["id"]], features, kind)

    def search(
        self,
        queries: Dataset,
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: object,
    ) -> dict[str, dict[str, float]]:
        """Score queries with the documents that were indexed.

        Args:
            queries: texts where documents are videos, and the other way round.
            top_k: documents a query at most.
            top_ranked: documents among which a query is ranked, where the task names them.

        Returns:
            For each query its best documents with their similarities.

        Raises:
            ValueError: nothing was indexed, or queries and documents are not a text and a video.
        """
        if self._documents is None:
            raise ValueError("there are no documents: mteb calls index before search")
        ids, documents, kind = self._documents
        features, query_kind = self._encoded(queries)
        if {kind, query_kind} != {"text", "video"}:
            raise ValueError(
                f"queries are {query_kind}s and documents are {kind}s; vidsift scores texts with videos"
            )
        sides = (features, documents) if query_kind == "text" else (documents, features)
        sim_QV = self.model.similarity(*sides).cpu().numpy()
        sim_QN = sim_QV if query_kind == "text" else sim_QV.T
        places = {document: place for place, document in enumerate(ids)}
        results = {}
        for query, scores_N in zip(queries["id"], sim_QN, strict=True):
            among = None if top_ranked is None else [places[str(name)] for name in top_ranked[query]]
            results[str(query)] = _best(ids, scores_N, top_k, among)
        return results

    # mteb's EncoderProtocol

    def encode(self, inputs: Any, **_: object) -> NDArray[np.float32]:
        """Give each text or video of a data loader its one vector, ``(N, D)``.

        Raises:
            ValueError: the method compares more than one vector a side.
        """
        if not self._is_single_vector:
            raise ValueError(
                f"{self.model.name} ({self.model.method_name}) compares sets of tokens and has no single "
                "vector for a video; of mteb's tasks it does retrieval between texts and videos"
            )
        features, kind = self._encoded(inputs.dataset)
        (term,) = self.model.method.terms
        pooled = MeanDot().compact_video(features[term.text if kind == "text" else term.video])
        return np.asarray(pooled.tokens[:, 0].float().cpu().numpy())

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Cosines of all vectors of :meth:`encode` with all others."""
        return np.asarray(_array(embeddings1) @ _array(embeddings2).T)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Cosines of vectors of :meth:`encode` pair by pair."""
        return np.asarray((_array(embeddings1) * _array(embeddings2)).sum(axis=-1))

    @property
    def _is_single_vector(self) -> bool:
        terms = self.model.method.terms
        return len(terms) == 1 and isinstance(terms[0].interaction, MeanDot)

    def _encoded(self, rows: Dataset) -> tuple[Features, str]:
        """Encode the column of texts or that of videos, and say which it was."""
        columns = set(rows.column_names) & {"text", "video", "image", "audio"}
        if columns == {"text"}:
            titles = rows["title"] if "title" in rows.column_names else [""] * len(rows)
            texts = [
                f"{title or ''} {text}".strip() for title, text in zip(titles, rows["text"], strict=True)
            ]
            return self.model.encode_text(texts), "text"
        if columns == {"video"}:
            return concatenate_features(list(self._video_features(rows))), "video"
        names = ", ".join(sorted(rows.column_names))
        raise ValueError(
            f"the task has the columns {names}; vidsift takes tasks with either text or video on each side"
        )

    def _video_features(self, rows: Dataset) -> Iterator[Features]:
        from datasets import Video

        if isinstance(rows.features["video"], Video):
            rows = rows.cast_column("video", Video(decode=False))
        for start in range(0, len(rows), _AT_ONCE):
            chosen = rows[start : start + _AT_ONCE]["video"]
            with tempfile.TemporaryDirectory(prefix="vidsift-mteb-", ignore_cleanup_errors=True) as folder:
                paths = [_file_of(value, Path(folder), place) for place, value in enumerate(chosen)]
                # A caption is no part of what is encoded; an entry has at least one.
                entries = [Entry(path, ("a video",)) for path in paths]
                yield encode_gallery(self.model, entries, missing="refuse", workers=self.workers).videos


def _file_of(value: object, folder: Path, place: int) -> Path:
    """Return a file with the video of a row: the one that it names, or its bytes written to a folder.

    Raises:
        ValueError: it is neither.
    """
    known: Mapping[str, Any] = value if isinstance(value, Mapping) else {"path": value}
    content, name = known.get("bytes"), known.get("path")
    if isinstance(content, bytes):
        # The ending may tell the container; names themselves may repeat, or belong to another machine.
        ending = _SUFFIX.search(name) if isinstance(name, str) else None
        file = folder / f"{place}{ending[0] if ending else '.mp4'}"
        file.write_bytes(content)
        return file
    if isinstance(name, str | Path) and not why_absent(Path(name)):
        return Path(name)
    raise ValueError(
        f"a video of the task is {value!r:.200}; expected the bytes of a file, or a path that is there"
    )


def _best(
    ids: Sequence[str], scores_N: NDArray[np.float32], top_k: int, among: Sequence[int] | None
) -> dict[str, float]:
    places = np.arange(len(ids)) if among is None else np.asarray(among, np.int64)
    # Stable: equal scores stay in the order of the documents.
    order = places[np.argsort(-scores_N[places], kind="stable")[:top_k]]
    return {ids[place]: float(scores_N[place]) for place in order}


def _array(embeddings: Any) -> NDArray[np.float32]:
    return np.atleast_2d(np.asarray(embeddings, np.float32))
