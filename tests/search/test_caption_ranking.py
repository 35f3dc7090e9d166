"""Video to captions: the captions that an index holds, ranked for one of its videos."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.errors import QueryError
from vidsift.search import caption_ranking
from vidsift.search.searcher import Index

COUNTS = [5, 1, 3, 5, 4, 5]
HELD = {
    f"{0:032x}": ["a red circle moves left", "circle", "a green ring"],
    f"{3:032x}": ["two triangles", "a red circle moves left", "  ", "circle " * 40],
    f"{4:032x}": ["a large blue square", "a yellow ring blinks", "a small green star spins"],
}


@pytest.mark.parametrize("arguments", [{}, {"interaction": "mlp", "temporal": "none"}])
@pytest.mark.parametrize("spare", [0, 16])
def test_captions_are_ranked_by_their_best_segment(
    tmp_path: Path, arguments: dict[str, str], spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_ranking, "_SPARE", spare)
    monkeypatch.setattr(caption_ranking, "_AT_ONCE", 3)
    model = tiny.model("drl", arguments)
    store = filled(tmp_path / "index", model, COUNTS)
    index = Index.open(store.folder, model)
    assert index.captions_for(f"{0:032x}") == []
    with store.writing():
        store.write_captions({"/videos/captions.jsonl": HELD})
    index.refresh()
    video = f"{1:032x}"
    ranked = index.captions_for(video, k=4)
    rows = [row for row, owner in enumerate(index.gallery.video_ids) if owner == video]
    assert len(rows) == 2
    # What cannot be read (empty, too long) is passed over; what is said twice stands once.
    readable = sorted(
        {
            caption
            for captions in HELD.values()
            for caption in captions
            if caption.strip() and len(caption) < 99
        }
    )
    scores = {
        caption: float(model.similarity([caption], index.gallery.exact(rows)).max()) for caption in readable
    }
    assert [caption for caption, _ in ranked] == sorted(scores, key=lambda caption: -scores[caption])[:4]
    assert [score for _, score in ranked] == pytest.approx(
        [scores[caption] for caption, _ in ranked], abs=1e-5
    )
    assert index.captions_for(video, k=2) == ranked[:2]
    with pytest.raises(QueryError, match="the index holds no video"):
        index.captions_for("nothing")
    with pytest.raises(QueryError, match="k is 0"):
        index.captions_for(video, k=0)
