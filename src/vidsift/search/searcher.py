"""An index, open for questions: sentence in, hits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vidsift.index.candidates import FirstStage, all_segments
from vidsift.index.plan import absolute
from vidsift.index.plan import under as lies_under
from vidsift.index.reading import Gallery, Places, ScanFormat, best_scan_format
from vidsift.index.storage import IndexFolderError, Store, default_folder, describe
from vidsift.interactions.base import NoAlignmentError
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.model import Model, load
from vidsift.search.explain import Explanation, account_for
from vidsift.search.moments import frame_shares, moment_around
from vidsift.search.rescore import Candidates, align_exactly, one_thread, score_exactly
from vidsift.search.scan import scan, scanned_together
from vidsift.types import Features, Hit, Span

__all__ = ["GroupBy", "Index", "QueryError"]

GroupBy = Literal["segment", "video"]

_CANDIDATES, _CANDIDATES_A_HIT, _MOST_CANDIDATES = 64, 4, 4096
_KEPT = 1024


class QueryError(ValueError):
    """The question cannot be answered as it is; the message says what to change."""


@dataclass(frozen=True, eq=False)
class _Leaders:
    """The segments that lead a scan, descending, and what is known of them."""

    rows: NDArray[np.int64]
    scanned: NDArray[np.float32]
    groups: NDArray[np.int64]

    def first(self, k: int) -> NDArray[np.int64]:
        """Places of the segments that are scored exactly first: the best of each group."""
        best = np.sort(np.unique(self.groups, return_index=True)[1])
        return best[: max(_CANDIDATES, _CANDIDATES_A_HIT * k)]


class Index:
    """An index, open for questions.

    Hits are exact: every segment is scanned with the method's own similarity, and whatever may be among the
    best is scored again in fp32, in one fixed shape. They do not depend on the scan's number format or
    blocks, on other questions asked together, on the number of threads, or on the order in which videos were
    added. Equal scores stand in the order of segment ids.

    Example:
        ``vidsift.Index.open("my-index").search("a dog catches a frisbee", k=5)``
    """

    def __init__(
        self,
        store: Store,
        model: Model | None = None,
        *,
        device: str = "auto",
        scan_format: ScanFormat | None = None,
        first_stage: FirstStage = all_segments,
    ) -> None:
        """Use :meth:`open`."""
        self._store = store
        self._given_model = model
        self._device = device
        self._scan_format = scan_format
        self._first_stage = first_stage

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        model: str | Path | Model | None = None,
        *,
        device: str = "auto",
        scan_format: ScanFormat | None = None,
    ) -> Index:
        """Open an index; the model and the tokens are read when first needed.

        Args:
            folder: of the index; the default one when None.
            model: the model that the index was made with, if it cannot be found under its recorded name.
            device: where to encode and score; "auto" takes a GPU where there is one.
            scan_format: number format of the scan; the fastest of the machine when None. Hits are the same.

        Raises:
            IndexFolderError: there is no index, it is damaged, of another format, or of another model.
        """
        store = Store.open(default_folder() if folder is None else Path(folder).expanduser())
        loaded = model if isinstance(model, Model) or model is None else load(model, device)
        index = cls(store, loaded, device=device, scan_format=scan_format)
        if loaded is not None:
            index._check(loaded)
        return index

    @cached_property
    def model(self) -> Model:
        """The model that the index was made with.

        Raises:
            IndexFolderError: it cannot be found, or is another one by now.
        """
        if self._given_model is not None:
            return self._given_model
        manifest = self._store.manifest
        if not manifest.model:
            raise IndexFolderError(
                f"the index {self._store.folder} was made with a model from memory, {manifest.model_name!r}; "
                "give it: Index.open(folder, model)"
            )
        try:
            model = load(manifest.model, self._device)
        except (ValueError, OSError) as error:
            raise IndexFolderError(
                f"the index {self._store.folder} was made with the model {manifest.model}, which cannot be "
                f"loaded: {error}; put it back, or name where it is now with --model"
            ) from error
        self._check(model)
        return model

    @cached_property
    def gallery(self) -> Gallery:
        """All segments, in memory."""
        chosen = self._scan_format or best_scan_format(self.model.device)
        return Gallery.read(self._store, self.model.method.eval(), chosen)

    @cached_property
    def _places(self) -> Places:
        return Places(self._store.read_files())

    def refresh(self) -> None:
        """Read the index again: what was added or removed since it was opened counts from now on."""
        self._store = Store.open(self._store.folder)
        for name in ("gallery", "_places"):
            self.__dict__.pop(name, None)

    def __len__(self) -> int:
        """Return the number of segments."""
        return int(self._store.segments.count_rows())

    def stats(self) -> dict[str, Any]:
        """Facts of the index: model, token sets, how much is in it, its size; see ``vidsift info``."""
        return describe(self._store.folder)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        under: str | Path | None = None,
        min_duration_seconds: float | None = None,
        max_duration_seconds: float | None = None,
        group_by: GroupBy = "segment",
    ) -> list[Hit]:
        """Find the segments that fit a sentence best.

        Args:
            query: what the video should show.
            k: how many hits at most.
            under: only videos in this folder.
            min_duration_seconds: only videos at least this long.
            max_duration_seconds: only videos at most this long.
            group_by: "video" keeps only the best segment of each video.

        Returns:
            Hits, best first.

        Raises:
            QueryError: the query is empty or longer than the model takes, or an argument makes no sense.
            IndexFolderError: the index or its model cannot be read.
        """
        return self.search_many(
            [query],
            k,
            under=under,
            min_duration_seconds=min_duration_seconds,
            max_duration_seconds=max_duration_seconds,
            group_by=group_by,
        )[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        under: str | Path | None = None,
        min_duration_seconds: float | None = None,
        max_duration_seconds: float | None = None,
        group_by: GroupBy = "segment",
    ) -> list[list[Hit]]:
        """Answer several questions in one scan; each gets the hits that :meth:`search` would give it."""
        if k < 1:
            raise QueryError(f"k is {k}, expected at least 1")
        if group_by not in ("segment", "video"):
            raise QueryError(f"group_by is {group_by!r}, expected 'segment' or 'video'")
        for query in queries:
            self._check_query(query)
        paths = self._paths_under(under)
        allowed = self._allowed(paths, min_duration_seconds, max_duration_seconds)
        texts = [self._encode(query) for query in queries]
        ranked = self.rank(texts, k, allowed, group_by)
        return [self._hits(text, best, paths) for text, best in zip(texts, ranked, strict=True)]

    def rank(
        self, texts: Sequence[Features], k: int, allowed: NDArray[np.bool_], group_by: GroupBy = "segment"
    ) -> list[list[tuple[int, float]]]:
        """Rank segments for prepared texts.

        Args:
            texts: prepared sets of one row each.
            k: how many at most.
            allowed: which segments may be found, bool ``(V,)``.
            group_by: see :meth:`search`.

        Returns:
            For each text rows of the gallery with their exact scores, best first.
        """
        ranked: list[list[tuple[int, float]]] = []
        for some in scanned_together(texts):
            together = concatenate_features(some)
            allowed_now = allowed & self._first_stage(self.gallery, together)
            # The best segment of each video may stand anywhere: then the whole order is kept.
            keep = len(self.gallery) if group_by == "video" else max(_KEPT, 4 * _CANDIDATES_A_HIT * k)
            scores, rows = scan(self.gallery, self.model.method, together, allowed_now, keep)
            scanned = [
                self._leaders(rows[place].cpu().numpy(), scores[place].cpu().numpy(), group_by)
                for place in range(len(some))
            ]
            candidates = Candidates(
                self.gallery, (row for one in scanned for row in one.rows[one.first(k)].tolist())
            )
            for text, leaders in zip(some, scanned, strict=True):
                best, bar = self._exact(text, leaders, k, candidates)
                if (
                    len(leaders.rows) < min(int(allowed_now.sum()), _MOST_CANDIDATES)
                    and bar <= leaders.scanned[-1]
                ):
                    best = self._with_more(text, allowed_now, k)
                ranked.append(best)
        return ranked

    def _leaders(
        self, rows: NDArray[np.int64], scanned: NDArray[np.float32], group_by: GroupBy = "segment"
    ) -> _Leaders:
        return _Leaders(rows, scanned, self.gallery.video_numbers[rows] if group_by == "video" else rows)

    def explain(self, query: str, hit: Hit) -> Explanation:
        """Account for a hit's score: which word met which frame, and what that gave.

        Raises:
            NoAlignmentError: if the method is a black box.
            QueryError: if the hit is not of this index.
        """
        text = self._encode(query)
        row = self._row_of(hit)
        score = float(score_exactly(self.model.method, Candidates(self.gallery), text, [row])[0])
        account, video = next(align_exactly(self.model.method, self.gallery, text, [row]))
        pieces = self.model.tokenize([query]).pieces[0]
        return account_for(
            query,
            pieces=pieces,
            score=score,
            terms=self.model.method.terms,
            text=text,
            video=video,
            account=account,
        )

    def thumbnail(self, hit: Hit) -> bytes:
        """Return the JPEG kept for a hit's segment."""
        table = self.gallery.columns([self._row_of(hit)], ["thumbnail"])
        return bytes(table["thumbnail"][0].as_py())

    def _check(self, model: Model) -> None:
        manifest = self._store.manifest
        if model.fingerprint != manifest.fingerprint:
            raise IndexFolderError(
                f"the index {self._store.folder} was made with another model: "
                f"{manifest.model or manifest.model_name} of fingerprint {manifest.fingerprint[:12]}, and "
                f"{model.name} has {model.fingerprint[:12]}; use that model, or index the videos again into "
                "another folder"
            )

    def _check_query(self, query: str) -> None:
        if not query.strip():
            raise QueryError(
                'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
            )
        model = self.model
        try:
            tokens = model.tokenize([query])
        except ValueError as no_words:
            raise QueryError(str(no_words)) from no_words
        if tokens.cut[0]:
            raise QueryError(
                f"the query is too long: the model takes {model.max_words} tokens (about "
                f"{model.max_words * 3 // 4} words); shorten it"
            )

    def _encode(self, query: str) -> dict[str, Any]:
        """Encode one text by itself and on one thread: the same bits whoever else asks."""
        with one_thread():
            return self.model.encode_text([query])

    def _paths_under(self, under: str | Path | None) -> dict[str, str]:
        """The path to show for each video that may be found."""
        if under is None:
            return {video: paths[0] for video, paths in self._places.paths.items()}
        place = absolute(under)
        inside = {
            video: next(path for path in paths if lies_under(path, place))
            for video, paths in self._places.paths.items()
            if any(lies_under(path, place) for path in paths)
        }
        if not inside:
            raise QueryError(
                f"no video of the index lies under {place}; see what is indexed with: vidsift info"
            )
        return inside

    def _allowed(
        self, paths: dict[str, str], shortest: float | None, longest: float | None
    ) -> NDArray[np.bool_]:
        gallery = self.gallery
        allowed = np.fromiter((one in paths for one in gallery.video_ids), np.bool_, len(gallery))
        if shortest is not None:
            allowed &= gallery.durations >= shortest
        if longest is not None:
            allowed &= gallery.durations <= longest
        return allowed

    def _with_more(self, text: Features, allowed: NDArray[np.bool_], k: int) -> list[tuple[int, float]]:
        """Answer again from more leaders: many segments score nearly alike."""
        scores, rows = scan(self.gallery, self.model.method, text, allowed, _MOST_CANDIDATES)
        leaders = self._leaders(rows[0].cpu().numpy(), scores[0].cpu().numpy())
        return self._exact(text, leaders, k, Candidates(self.gallery))[0]

    def _exact(
        self, text: Features, leaders: _Leaders, k: int, candidates: Candidates
    ) -> tuple[list[tuple[int, float]], float]:
        """Score the leaders exactly until no other of them can be among the best.

        How far a scan may be off is taken from the candidates themselves: twice the largest difference seen.

        Returns:
            Rows and scores, best first, and the scan's score below which nothing can be among them.
        """
        scanned, groups = leaders.scanned.astype(np.float64), leaders.groups
        exact = np.full(len(scanned), np.nan)
        found = min(k, len(np.unique(groups)))
        wanted = leaders.first(k)
        best: list[int] = []
        bar = -np.inf
        while len(wanted):
            rows = leaders.rows[wanted].tolist()
            exact[wanted] = score_exactly(self.model.method, candidates, text, rows).numpy()
            best = self._best_of_groups(leaders, exact)
            scored = ~np.isnan(exact)
            margin = 2 * float(np.abs(exact - scanned)[scored].max()) + 1e-6
            bar = exact[best[found - 1]] - margin if len(best) >= found else -np.inf
            own_best = np.full(int(groups.max()) + 1, -np.inf)
            own_best[groups[best]] = exact[best]
            wanted = np.flatnonzero(~scored & (scanned >= bar) & (scanned >= own_best[groups] - margin))
            wanted = wanted[: max(0, _MOST_CANDIDATES - int(scored.sum()))]
        return [(int(leaders.rows[place]), float(exact[place])) for place in best[:k]], bar

    def _best_of_groups(self, leaders: _Leaders, exact: NDArray[np.float64]) -> list[int]:
        """Places of the best scored segment of each group, best first."""
        scored = np.flatnonzero(~np.isnan(exact))
        # Rows ascend with segment ids, which settle equal scores.
        order = scored[np.lexsort((leaders.rows[scored], -exact[scored]))]
        first = np.sort(np.unique(leaders.groups[order], return_index=True)[1])
        return [int(place) for place in order[first]]

    def _hits(self, text: Features, best: list[tuple[int, float]], paths: dict[str, str]) -> list[Hit]:
        gallery = self.gallery
        rows = [row for row, _ in best]
        segments = [Span(*map(float, gallery.spans[row])) for row in rows]
        moments = self._moments(text, rows, segments)
        return [
            Hit(
                rank=place + 1,
                score=score,
                path=paths[gallery.video_ids[row]],
                video_id=gallery.video_ids[row],
                segment=segments[place],
                moment=moments[place],
            )
            for place, (row, score) in enumerate(best)
        ]

    def _moments(self, text: Features, rows: list[int], segments: list[Span]) -> list[Span]:
        """The moment of each hit; the whole segment where the method gives no account of its score."""
        try:
            accounts = list(align_exactly(self.model.method, self.gallery, text, rows))
        except NoAlignmentError:
            return segments
        terms = self.model.method.terms
        return [
            moment_around(*frame_shares(terms, account, video), segment)
            for (account, video), segment in zip(accounts, segments, strict=True)
        ]

    def _row_of(self, hit: Hit) -> int:
        gallery = self.gallery
        for row, video_id in enumerate(gallery.video_ids):
            if video_id == hit.video_id and tuple(gallery.spans[row]) == tuple(hit.segment):
                return row
        raise QueryError(f"{hit.path} from {hit.segment.start_seconds:.1f} s is not in this index")
