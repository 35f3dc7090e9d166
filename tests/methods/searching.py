"""What a search owes every method: one answer in all scan formats, scored and explained by the method."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.explain import Explanation
from vidsift.search.gallery import ScanFormat
from vidsift.search.searcher import Index
from vidsift.types import Hit

FORMATS: tuple[ScanFormat, ...] = ("int8", "bf16", "fp32")


class Answer(NamedTuple):
    """The index that was searched, its hits and their accounts."""

    opened: Index
    hits: list[Hit]
    accounts: list[Explanation]


def search_in_every_format(model: Model, store: Store, query: str, k: int) -> Answer:
    """Search, and hold what is the same for all methods whose score can be explained."""
    opened = [Index.open(store.folder, model, scan_format=kind) for kind in FORMATS]
    hits = opened[0].search(query, k=k)
    assert all(index.search(query, k=k) == hits for index in opened)
    gallery = opened[0].gallery
    scores = model.similarity(model.encode_text([query]), gallery.exact(range(len(gallery))))[0]
    best = scores.sort(descending=True).values[:k].tolist()
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-6)
    accounts = [opened[0].explain(query, hit) for hit in hits]
    for hit, account in zip(hits, accounts, strict=True):
        assert hit.segment.start_seconds <= hit.moment.start_seconds < hit.moment.end_seconds
        assert hit.moment.end_seconds <= hit.segment.end_seconds
        assert account.total == pytest.approx(hit.score, abs=1e-6)
    return Answer(opened[0], hits, accounts)
