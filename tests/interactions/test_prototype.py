"""Prototype matching: groups take their best pair; nothing depends on how tokens lie or are packed."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny

from vidsift.interactions import prototype
from vidsift.interactions.batches import pad_tokens
from vidsift.interactions.prototype import PrototypeMatching
from vidsift.interactions.quantised import pack, quantise
from vidsift.types import TokenSet

DIM, OBJECTS = 8, 3


def sets(groups: int) -> tuple[TokenSet, TokenSet]:
    """Texts of 4, 1 and 2 tokens; videos of 3, 1 and 2 frames."""
    meet = PrototypeMatching(groups)
    text = tiny.token_set([4, 1, 2], 4, DIM)
    video = tiny.token_set([3 * groups, groups, 2 * groups], 3 * groups, DIM, seed=1)
    return meet.prepare_text(text), meet.prepare_video(video)


def restated(text: TokenSet, video: TokenSet, groups: int) -> torch.Tensor:
    """Algorithm 1 of the supplement for one pair after the other, padding cut off."""
    rows = []
    for words_TD, text_mask in zip(text.tokens, text.mask, strict=True):
        row = []
        for tokens_ND, video_mask in zip(video.tokens, video.mask, strict=True):
            objects_FOD = torch.unflatten(tokens_ND[video_mask], 0, (-1, groups))
            logits = torch.einsum("pd,fod->fpo", words_TD[text_mask], objects_FOD)
            row.append(logits.amax(dim=1).amax(dim=0).sum() / groups)
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("groups", [1, OBJECTS])
def test_the_score_is_algorithm_1(groups: int) -> None:
    text, video = sets(groups)
    torch.testing.assert_close(PrototypeMatching(groups).score(text, video), restated(text, video, groups))


@pytest.mark.parametrize("products", [1, 3 * OBJECTS * 4 * 2])
def test_some_texts_at_a_time_score_as_all_together(monkeypatch: pytest.MonkeyPatch, products: int) -> None:
    """Without gradients alone: one at a time, and two, of which the last batch has one."""
    text, video = sets(OBJECTS)
    monkeypatch.setattr(prototype, "_PRODUCTS_AT_ONCE", products)
    widths: list[int] = []
    whole = PrototypeMatching._best_by_frame

    def watched(self: PrototypeMatching, text: TokenSet, video: TokenSet) -> torch.Tensor:
        widths.append(len(text))
        return whole(self, text, video)

    monkeypatch.setattr(PrototypeMatching, "_best_by_frame", watched)
    with torch.no_grad():
        score = PrototypeMatching(OBJECTS).score(text, video)
    assert widths == ([1, 1, 1] if products == 1 else [2, 1])
    torch.testing.assert_close(score, restated(text, video, OBJECTS))
    PrototypeMatching(OBJECTS).score(text, video)
    assert widths[-1] == 3


@pytest.mark.processor
@pytest.mark.parametrize("groups", [1, OBJECTS])
def test_packed_int8_and_frames_outermost_score_the_same(groups: int) -> None:
    meet = PrototypeMatching(groups)
    text, video = sets(groups)
    compact = meet.compact_video(video)
    exact = meet.score(text, video)
    turned = compact.replace(tokens=compact.tokens.transpose(0, 1).contiguous().transpose(0, 1))
    torch.testing.assert_close(meet.score(text, turned), exact, atol=1e-6, rtol=1e-6)
    small = quantise(turned)
    scanned = meet.score(text, small)
    torch.testing.assert_close(scanned, exact, atol=0.02, rtol=0)
    packed = pack(small.tokens.transpose(0, 1).flatten(0, 1))
    if packed is not None:
        whole = small.replace(packed=packed, tokens=small.tokens.to("meta"))
        torch.testing.assert_close(meet.score(text, whole), scanned)


def test_padding_that_ends_within_a_frame_changes_nothing() -> None:
    meet = PrototypeMatching(OBJECTS)
    text, video = sets(OBJECTS)
    wider_text, wider_video = pad_tokens(text, 5), pad_tokens(video, 3 * OBJECTS + 2)
    for wider in (wider_text, wider_video):
        wider.tokens[~wider.mask] = 100.0
    torch.testing.assert_close(meet.score(wider_text, wider_video), meet.score(text, video))
    account, same = meet.align(wider_text, wider_video), meet.align(text, video)
    unpadded = account.contributions[:, :4, : 3 * OBJECTS]
    torch.testing.assert_close(unpadded, same.contributions)
    assert account.contributions.count_nonzero() == unpadded.count_nonzero()


def test_contributions_sum_to_the_score_and_stand_at_the_best_pairs() -> None:
    meet = PrototypeMatching(OBJECTS)
    text, video = sets(OBJECTS)
    account = meet.align(text, video)
    score = meet.score(text, video).diagonal()
    torch.testing.assert_close(account.contributions.sum(dim=(1, 2)), score)
    # One meeting for each object of a video.
    assert (account.contributions != 0).sum(dim=(1, 2)).tolist() == [OBJECTS] * 3
    by_group = torch.unflatten(account.contributions, 2, (-1, OBJECTS)).sum(dim=(1, 2))
    both = text.mask[:, :, None] & video.mask[:, None, :]
    ranked = account.values.masked_fill(~both, -torch.inf)
    best = torch.unflatten(ranked, 2, (-1, OBJECTS)).amax(dim=(1, 2))
    torch.testing.assert_close(by_group, best / OBJECTS)


def test_a_worked_example() -> None:
    """Two frames of two objects: object 1 is best in frame 2, object 2 in frame 1."""
    half = 3**0.5 / 2
    objects = torch.tensor([[[0.5, half], [0.0, 3.0], [2.0, 0.0], [-1.0, 0.0]]])
    text = TokenSet(torch.tensor([[[4.0, 0.0], [-0.5, half]]]), torch.ones(1, 2, dtype=torch.bool))
    video = TokenSet(objects, torch.ones(1, 4, dtype=torch.bool))
    meet = PrototypeMatching(2)
    sides = meet.prepare_text(text), meet.prepare_video(video)
    assert meet.score(*sides).item() == pytest.approx((1 + half) / 2)
    expected = torch.tensor([[[0.0, 0.0, 0.5, 0.0], [0.0, half / 2, 0.0, 0.0]]])
    torch.testing.assert_close(meet.align(*sides).contributions, expected)


def test_a_group_without_a_real_token_is_left_out() -> None:
    meet = PrototypeMatching(OBJECTS)
    text = meet.prepare_text(tiny.token_set([2], 2, DIM))
    video = meet.prepare_video(tiny.token_set([2], 2, DIM, seed=1))
    one_each = [
        meet.score(text, video.replace(mask=video.mask & row)) for row in torch.eye(2).bool()[:, None]
    ]
    torch.testing.assert_close(meet.score(text, video), torch.stack(one_each).mean(dim=0))
    assert meet.align(text, video).contributions.sum() == pytest.approx(meet.score(text, video).item())


def test_gradients_are_those_of_the_restated_formula() -> None:
    meet = PrototypeMatching(OBJECTS)
    sides = [side.replace(tokens=side.tokens.requires_grad_()) for side in sets(OBJECTS)]
    actual = torch.autograd.grad(
        meet.score(sides[0], sides[1]).square().sum(), [side.tokens for side in sides]
    )
    expected = torch.autograd.grad(
        restated(sides[0], sides[1], OBJECTS).square().sum(), [side.tokens for side in sides]
    )
    for left, right in zip(actual, expected, strict=True):
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-5)


def test_no_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="0 groups; expected at least 1"):
        PrototypeMatching(0)
