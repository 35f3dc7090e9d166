"""One-to-one assignment against trying every pairing, and how it becomes ranks."""

from __future__ import annotations

import sys
from itertools import permutations

import pytest
import torch

from vidsift.postprocess.assignment import assigned_first, one_to_one


@pytest.mark.parametrize("seed", range(5))
def test_no_pairing_sums_to_more(seed: int) -> None:
    sim = torch.rand(6, 6, generator=torch.Generator().manual_seed(seed))
    texts, videos = one_to_one(sim)
    best = max(
        sum(sim[row, column].item() for row, column in enumerate(order)) for order in permutations(range(6))
    )
    assert sim[texts, videos].sum().item() == pytest.approx(best)
    assert sorted(videos.tolist()) == texts.tolist() == list(range(6))


def test_the_assigned_one_comes_first_and_the_others_keep_their_order() -> None:
    # Both texts prefer video 0; together they gain more if the second takes video 1.
    sim = torch.tensor([[0.9, 0.1, 0.3], [0.8, 0.7, 0.6]])
    there = assigned_first(sim)
    assert there.argmax(dim=1).tolist() == [0, 1]
    assert there[1].argsort(descending=True).tolist() == [1, 0, 2]
    back = assigned_first(sim, direction="video_to_text")
    assert back[:, 1].argmax().item() == 1
    # Video 2 has no text of its own: its column is as it was.
    assert torch.equal(back[:, 2], sim[:, 2])
    assert sim[1, 0].item() == pytest.approx(0.8), "the input is left alone"


@pytest.mark.parametrize("size", [-1e7, -1.0, 0.0, 1e7])
def test_it_comes_first_whatever_the_size_of_the_numbers(size: float) -> None:
    sim = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)) * 0.5 + size
    texts, videos = one_to_one(sim)
    for direction in ("text_to_video", "video_to_text"):
        result = assigned_first(sim, direction=direction)
        best = result.argmax(dim=1) if direction == "text_to_video" else result.argmax(dim=0)
        pairs = (texts, videos) if direction == "text_to_video" else (videos, texts)
        assert best[pairs[0]].tolist() == pairs[1].tolist()


def test_with_more_captions_than_videos_some_have_no_partner() -> None:
    sim = torch.rand(9, 3, generator=torch.Generator().manual_seed(2))
    texts, videos = one_to_one(sim)
    assert len(texts) == 3
    alone = sorted(set(range(9)) - set(texts.tolist()))
    assert torch.equal(assigned_first(sim)[alone], sim[alone])
    assert sorted(videos.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("row", [torch.full((200,), 0.3), torch.rand(200, generator=torch.Generator())])
def test_ties_are_not_settled_by_the_order_that_the_right_answers_stand_in(row: torch.Tensor) -> None:
    # Every text scores all videos alike, or as every other text does: nothing is known of the pairs.
    for sim in (row.expand(200, 200), row[:, None].expand(200, 200)):
        texts, videos = one_to_one(sim)
        assert texts.tolist() == sorted(videos.tolist()) == list(range(200))
        assert (texts == videos).sum() <= 6, "chance gives one"


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"extra 'evaluate': pip install 'vidsift\[evaluate\]'"):
        one_to_one(torch.zeros(2, 2))
