"""Best matches of pairs and what they give to the alignment, in numbers that can be checked by hand."""

from __future__ import annotations

import pytest
import torch

from vidsift.interactions.matches import (
    BatchMatches,
    align_matches,
    index_dtype,
    let_padding_win,
    pair_matches,
    real_words,
)
from vidsift.types import TokenSet

# Two words (the third is padding) and two frames (the third is padding); products [[-.5, -.2], [.4, .1]].
WORDS = TokenSet(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]]), torch.tensor([[True, True, False]]))
FRAMES = TokenSet(torch.tensor([[[-0.5, 0.4], [-0.2, 0.1], [9.0, 9.0]]]), torch.tensor([[True, True, False]]))


def test_pairs_match_real_tokens_only() -> None:
    matches = pair_matches(WORDS, FRAMES)
    torch.testing.assert_close(matches.text_best[:, :2], torch.tensor([[-0.2, 0.4]]))
    assert matches.best_video_token[0, :2].tolist() == [1, 0]
    torch.testing.assert_close(matches.video_best[:, :2], torch.tensor([[0.4, 0.1]]))
    assert matches.best_text_token[0, :2].tolist() == [1, 1]


def test_padding_may_win_a_lost_maximum_with_zero() -> None:
    matches = pair_matches(WORDS, FRAMES, padding="zero")
    torch.testing.assert_close(matches.text_best[:, :2], torch.tensor([[0.0, 0.4]]))
    assert matches.best_video_token[0, :2].tolist() == [2, 0]


def test_a_meeting_gets_what_both_of_its_tokens_give() -> None:
    uniform = torch.tensor([[0.5, 0.5, 0.0]])
    alignment = align_matches(
        WORDS, FRAMES, pair_matches(WORDS, FRAMES), text_weights=uniform, video_weights=uniform
    )
    # Word 1 and frame 0 are each other's best: half of .5 x .4 from both.
    expected = torch.tensor([[[0.0, -0.05, 0.0], [0.2, 0.025, 0.0], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(alignment.contributions, expected)
    one_way = align_matches(
        WORDS,
        FRAMES,
        pair_matches(WORDS, FRAMES),
        text_weights=uniform,
        video_weights=uniform,
        shares=(1.0, 0.0),
    )
    torch.testing.assert_close(one_way.contributions.sum(), torch.tensor(0.5 * (-0.2 + 0.4)))


def test_padding_wins_only_where_the_other_side_has_some() -> None:
    no_padding = FRAMES.replace(mask=torch.ones(1, 3, dtype=torch.bool))
    text_best, video_best = torch.tensor([[-0.3], [0.2]]), torch.tensor([[[-0.1, 0.6, -0.4]]])
    words, frames = let_padding_win(WORDS, no_padding, text_best, video_best)
    torch.testing.assert_close(words, text_best)
    torch.testing.assert_close(frames, torch.tensor([[[0.0, 0.6, 0.0]]]))


def test_real_words_stand_one_after_the_other() -> None:
    torch.testing.assert_close(real_words(WORDS), torch.eye(2))
    whole = WORDS.replace(mask=torch.ones(1, 3, dtype=torch.bool))
    assert real_words(whole).data_ptr() == whole.tokens.data_ptr()


@pytest.mark.parametrize(
    ("count", "dtype"),
    [(1, torch.uint8), (256, torch.uint8), (257, torch.int16), (32769, torch.int32)],
)
def test_indices_are_as_small_as_the_number_of_tokens_allows(count: int, dtype: torch.dtype) -> None:
    assert index_dtype(count) == dtype


def test_matches_of_some_texts_are_views() -> None:
    matches = BatchMatches.empty(torch.arange(6.0).view(3, 2), torch.zeros(2, 2, 4), longest_text=300)
    assert (matches.frame.dtype, matches.word.dtype) == (torch.uint8, torch.int16)
    second = matches.of(slice(1, 2), slice(1, 3))
    assert second.text_best.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    second.video_best.fill_(1)
    assert matches.video_best.sum(dim=(1, 2)).tolist() == [0.0, 8.0]
