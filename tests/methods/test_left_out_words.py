"""Which words stay where some are left out, and that tokens find back to their places."""

from __future__ import annotations

import torch

from vidsift.methods.left_out_words import drop_words, leave_one_out
from vidsift.types import TokenSet

IDS = torch.arange(12).repeat(400, 1)
MASK = torch.arange(12) < torch.tensor([12, 8]).repeat(200)[:, None]


def test_a_share_of_the_words_is_dropped_and_the_others_move_up() -> None:
    torch.manual_seed(0)
    left_ids, left = drop_words(IDS, MASK, 0.3)
    assert left_ids.shape == IDS.shape
    lengths = left.sum(dim=1)
    for row in range(400):
        places = left_ids[row, : lengths[row]].tolist()
        assert places == sorted(places)
        assert (places[0], places[-1]) == (0, int(MASK[row].sum()) - 1)
        assert left[row, : lengths[row]].all()
    for length in (12, 8):
        of_length = MASK.sum(dim=1) == length
        share = 1 - (lengths[of_length] - 2).float().mean() / (length - 2)
        assert abs(float(share) - 0.3) < 0.03
    # Never all of them.
    assert (drop_words(IDS, MASK, 0.99)[1].sum(dim=1) > 2).all()


def test_one_word_is_left_out_any_of_them_alike() -> None:
    torch.manual_seed(0)
    text = leave_one_out(IDS, MASK)
    assert torch.equal(text.mask.sum(dim=1), MASK.sum(dim=1) - 1)
    gone = []
    for row in range(400):
        count = int(text.mask[row].sum())
        remaining = text.ids[row, :count].tolist()
        assert remaining == sorted(remaining)
        assert (remaining[0], remaining[-1]) == (0, count)
        gone += [set(range(count + 1)).difference(remaining).pop()]
    long = torch.tensor(gone[::2]).bincount(minlength=12)
    assert long[0] == long[11] == 0
    assert (long[1:11] > 8).all()


def test_a_sentence_of_one_word_keeps_it() -> None:
    ids = torch.tensor([[1, 7, 2, 0], [1, 2, 0, 0], [1, 7, 8, 2]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    text = leave_one_out(ids, mask)
    assert text.mask.sum(dim=1).tolist() == [3, 2, 3]
    assert torch.equal(text.ids[:2], ids[:2])


def test_tokens_find_back_to_their_places() -> None:
    torch.manual_seed(1)
    text = leave_one_out(IDS[:40], MASK[:40])
    # Each token says where it stood.
    words = TokenSet(text.ids[..., None].float(), text.mask)
    back = text.in_place(words)
    assert torch.equal(back.mask.sum(dim=1), text.mask.sum(dim=1))
    assert not (back.mask & ~MASK[:40]).any()
    places = torch.arange(12).float().expand(40, 12)
    assert torch.equal(back.tokens[..., 0][back.mask], places[back.mask])
