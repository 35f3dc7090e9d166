"""Single paths of the token-wise interactions (DRL Table 3): each alone, and both together as their mean."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny
from torch.nn.functional import cosine_similarity

from vidsift.interactions.token_wise import Paths, TokenWise, WeightedTokenWise
from vidsift.types import TokenSet

DIM = 8
SIDES: list[Paths] = ["t2v", "v2t"]


@pytest.fixture
def sides() -> tuple[TokenSet, TokenSet]:
    return tiny.token_set([3, 1, 4], 4, DIM), tiny.token_set([2, 5, 3], 5, DIM, seed=1)


def weighted(paths: Paths = "dual") -> WeightedTokenWise:
    torch.manual_seed(2)
    heads = WeightedTokenWise(DIM)
    with torch.no_grad():
        for value in heads.parameters():
            value.normal_(std=0.4)
    part = WeightedTokenWise(DIM, paths=paths)
    part.load_state_dict({name: heads.state_dict()[name] for name in part.state_dict()})
    return part


def scored(meet: TokenWise, sides: tuple[TokenSet, TokenSet]) -> torch.Tensor:
    return meet.score(meet.prepare_text(sides[0]), meet.prepare_video(sides[1]))


def test_each_path_alone_is_its_sum_of_best_matches(sides: tuple[TokenSet, TokenSet]) -> None:
    text, video = sides
    to_video, to_text = (scored(TokenWise(paths=paths), sides) for paths in SIDES)
    for row in range(3):
        for column in range(3):
            words, frames = text.tokens[row][text.mask[row]], video.tokens[column][video.mask[column]]
            met = cosine_similarity(words[:, None], frames[None], dim=-1)
            torch.testing.assert_close(to_video[row, column], met.amax(dim=1).mean(), atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(to_text[row, column], met.amax(dim=0).mean(), atol=1e-6, rtol=1e-5)


def test_both_paths_are_the_mean_of_the_two(sides: tuple[TokenSet, TokenSet]) -> None:
    for dual, parts in (
        (TokenWise(), [TokenWise(paths=paths) for paths in SIDES]),
        (weighted(), [weighted(paths) for paths in SIDES]),
    ):
        to_video, to_text = (scored(interaction, sides) for interaction in parts)
        assert not torch.allclose(to_video, to_text, atol=1e-3)
        torch.testing.assert_close(scored(dual, sides), (to_video + to_text) / 2)


@pytest.mark.parametrize("paths", SIDES)
def test_contributions_of_a_single_path_sum_to_its_score(
    paths: Paths, sides: tuple[TokenSet, TokenSet]
) -> None:
    for meet in (TokenWise(paths=paths), weighted(paths)):
        text, video = meet.prepare_text(sides[0]), meet.prepare_video(sides[1])
        account = meet.align(text, video)
        diagonal = meet.score(text, video).diagonal()
        torch.testing.assert_close(account.contributions.sum(dim=(1, 2)), diagonal, atol=1e-6, rtol=1e-5)
        # Every word, or every frame, gives once and nothing else does.
        given = (account.contributions != 0).sum(dim=2 if paths == "t2v" else 1)
        assert torch.equal(given.bool(), text.mask if paths == "t2v" else video.mask)
        assert int(given.max()) == 1


@pytest.mark.parametrize("paths", SIDES)
def test_the_side_that_is_not_asked_has_no_head(paths: Paths, sides: tuple[TokenSet, TokenSet]) -> None:
    meet = weighted(paths)
    names = {name.split(".")[0] for name, _ in meet.named_parameters()}
    assert names == {"text_weight" if paths == "t2v" else "video_weight"}
    torch.autograd.backward(scored(meet, sides).square().sum())
    assert all(value.grad is not None for value in meet.parameters())


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(ValueError, match="'both': expected one of dual, t2v, v2t"):
        TokenWise(paths="both")  # type: ignore[arg-type]
