"""What X-Pool is beside its interaction: its loss, what an index holds of it, its searches and accounts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format

from vidsift.losses.contrastive import info_nce
from vidsift.search.searcher import Index

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 3]
QUERY = "a red circle moves left"


def test_the_loss_is_clip_s_over_cosines_times_its_scale() -> None:
    """``CLIPLoss`` of the released modules/loss.py gave 3.483273 for these similarities and exp(1.5)."""
    released = torch.tensor([[-0.404912, 0.394720], [0.295573, -0.444928]])
    assert float(info_nce(released, torch.tensor(1.5).exp())) == pytest.approx(3.483273, abs=2e-6)
    method = tiny.model("xpool").method
    text, video = tiny.token_set([1, 1], 1, 16), tiny.token_set([3, 2], 3, 16, seed=1)
    prepared = method.prepare_text({"sentence": text}), method.prepare_video({"frame": video})
    assert torch.equal(method.loss(*prepared)["loss"], info_nce(method.similarity(*prepared), method.scale))


def test_dropout_is_the_method_s_argument() -> None:
    model = tiny.model("xpool", {"dropout": 0.4})
    assert model.arguments == {"dropout": 0.4}
    assert model.method.get_submodule("interactions.0.dropout").p == 0.4


def test_it_is_scanned_and_explained_in_every_format(tmp_path: Path) -> None:
    model = tiny.model("xpool")
    assert model.method.scans
    assert model.method.explains
    store = filled(tmp_path / "index", model, COUNTS)
    layout = store.manifest.sets["frame"]
    # A key and a value of every frame, in a folder of the usual format.
    assert (layout.slots, layout.dim) == (tiny.FRAMES, 2 * model.method.towers.dim)
    answer = search_in_every_format(model, store, QUERY, k=4)
    for hit, account in zip(answer.hits, answer.accounts, strict=True):
        (term,) = account.terms
        assert term.words == [QUERY]
        assert term.video_weights.sum() == pytest.approx(1, abs=1e-5)
        assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-5)
        assert term.times_seconds is not None
        best = term.times_seconds[int(term.contributions.sum(axis=0).argmax())]
        assert hit.moment.start_seconds <= best <= hit.moment.end_seconds


def test_segments_are_asked_for_by_footage_too(tmp_path: Path) -> None:
    index = Index.open(filled(tmp_path / "index", tiny.model("xpool"), COUNTS).folder, tiny.model("xpool"))
    hit = index.search(QUERY, k=1)[0]
    similar = index.similar(hit.segment_id, k=3)
    assert len(similar) == 3
    assert hit.segment_id not in {neighbour.segment_id for neighbour in similar}
