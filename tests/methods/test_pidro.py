"""PIDRo, for which no released code exists: every equation restated by loops, and worked out by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index.library import filled
from tests.methods import tiny
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.methods.base import Method, Stage
from vidsift.methods.catalog import build_method
from vidsift.methods.model import Model
from vidsift.methods.pidro import (
    DynamicRouting,
    PatchBranch,
    PatchSelector,
    Pidro,
    RoutingTransformer,
    tower_blocks,
)
from vidsift.search.searcher import Index
from vidsift.types import TokenSet

P = 16
"""Patches of a tiny picture."""


def shaken(module: nn.Module, seed: int = 1) -> nn.Module:
    """Fresh weights are too small to tell right from wrong."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.randn_like(value) * 0.2)
    return module.eval()


def clip(counts: list[int], width: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised pictures, their mask and times."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(width or max(counts)) < torch.tensor(counts)[:, None]
    pixels = torch.randn(*mask.shape, 3, tiny.SIZE_PX, tiny.SIZE_PX, generator=generator)
    return pixels, mask, torch.arange(mask.shape[1]).double().expand(mask.shape)


def words(counts: list[int], dim: int = 16, seed: int = 0) -> TokenSet:
    text = tiny.token_set(counts, max(counts), dim, seed)
    return text.replace(tokens=text.tokens.masked_fill(~text.mask[..., None], 0))


# Eq. 3: dynamic routing


def test_routing_is_equation_3_word_by_word() -> None:
    routing = shaken(DynamicRouting(4))
    assert isinstance(routing, DynamicRouting)
    text = words([3, 5, 1], dim=4)
    routed = routing(text.tokens, text.mask)
    (w1, b1), (w2, b2) = (
        (linear.weight.tolist(), linear.bias.tolist()) for linear in (routing.hidden, routing.out)
    )
    for row, length in enumerate([3, 5, 1]):
        tokens = text.tokens[row, :length].tolist()
        for place, word in enumerate(tokens):
            expected = word
            if place < length - 1:
                joined = word + tokens[-1]
                raw = [sum(a * b for a, b in zip(line, joined, strict=True)) for line in w1]
                inner = [x + b for x, b in zip(raw, b1, strict=True)]
                inner = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in inner]
                expected = [
                    sum(a * b for a, b in zip(line, inner, strict=True)) + bias
                    for line, bias in zip(w2, b2, strict=True)
                ]
            torch.testing.assert_close(routed[row, place], torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert bool((routed[~text.mask] == 0).all())


@pytest.mark.parametrize("build", [DynamicRouting, RoutingTransformer])
def test_routing_keeps_the_end_of_text_and_tells_it_to_every_word(build: type[nn.Module]) -> None:
    routing = shaken(build(16))
    text = words([4, 2])
    routed = routing(text.tokens, text.mask)
    last = [(0, 3), (1, 1)]
    for place in last:
        assert torch.equal(routed[place], text.tokens[place])
    changed = text.tokens.clone()
    changed[0, 3, 0] += 3
    moved = (routing(changed, text.mask) - routed).abs().amax(dim=-1)
    assert bool((moved[0] > 1e-3).all())
    assert bool((moved[1] == 0).all())


@pytest.mark.parametrize("build", [DynamicRouting, RoutingTransformer])
def test_padding_never_reaches_a_routed_word(build: type[nn.Module]) -> None:
    routing = shaken(build(16))
    text = words([4, 2])
    wider, mask = torch.full((2, 7, 16), 50.0), torch.zeros(2, 7, dtype=torch.bool)
    wider[:, :4][text.mask], mask[:, :4] = text.tokens[text.mask], text.mask
    routed = routing(text.tokens, text.mask)
    torch.testing.assert_close(routing(wider, mask)[:, :4], routed, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("build", [DynamicRouting, RoutingTransformer])
def test_routing_starts_close_to_the_words_that_come_in(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    text = words([6, 5], dim=64)
    routed = build(64)(text.tokens, text.mask)
    near = torch.nn.functional.cosine_similarity(routed[text.mask], text.tokens[text.mask], dim=-1)
    assert near.min() > 0.95


def test_only_the_other_transformer_lets_words_see_each_other() -> None:
    text = words([5])
    changed = text.tokens.clone()
    changed[0, 1, 0] += 3
    for routing, sees in ((shaken(DynamicRouting(16)), False), (shaken(RoutingTransformer(16)), True)):
        moved = (routing(changed, text.mask) - routing(text.tokens, text.mask)).abs().amax(dim=-1)[0]
        assert bool(moved[1] > 0)
        assert bool((moved[[0, 2, 3]] > 1e-4).all()) == sees


# Supplement Eq. 1 to 3: the two branches


def naive_block(block: nn.Module, sequence_LW: Tensor, seen_L: Tensor) -> Tensor:
    """One block of CLIP over one sequence: every query by itself, over the keys that may be seen."""
    attention, mlp = block.self_attn, block.mlp
    normed = block.layer_norm1(sequence_LW)  # type: ignore[operator]
    heads, width = attention.num_heads, sequence_LW.shape[1]  # type: ignore[union-attr]
    size = width // int(heads)  # type: ignore[arg-type]
    query, key, value = (getattr(attention, f"{name}_proj")(normed) for name in "qkv")
    rows = []
    for place in range(len(sequence_LW)):
        parts = []
        for head in range(int(heads)):  # type: ignore[arg-type]
            channels = slice(head * size, head * size + size)
            logits = torch.stack(
                [query[place, channels] @ key[k, channels] / math.sqrt(size) for k in range(len(key))]
            )
            weights = logits[seen_L].softmax(0)
            parts.append(sum(w * v for w, v in zip(weights, value[seen_L][:, channels], strict=True)))
        rows.append(torch.cat(parts))
    attended = sequence_LW + attention.out_proj(torch.stack(rows))  # type: ignore[union-attr, operator]
    raised = mlp.fc1(block.layer_norm2(attended))  # type: ignore[union-attr, operator]
    result: Tensor = attended + mlp.fc2(raised * torch.sigmoid(1.702 * raised))  # type: ignore[union-attr, operator]
    return result


def naive_cubes(branch: PatchBranch, states: tuple[Tensor, ...], mask_BF: Tensor) -> Tensor:
    """The supplement's Eq. 1 to 3, cube by cube and layer by layer."""
    result = []
    last = len(branch.blocks)
    for video in range(len(mask_BF)):
        row = []
        for patch in range(P):
            # Perm: frame i of cube j is patch j of frame i; token 0 of a frame is its class token.
            def spatial(layer: int, video: int = video, patch: int = patch) -> Tensor:
                source = 0 if layer == 0 else branch.sources[layer - 1]
                lifted: Tensor = branch.lifts[layer](states[source][video, :, 1 + patch])
                return lifted

            frames = spatial(0) + branch.positions[: mask_BF.shape[1]]
            sequence = torch.cat([branch.class_token[None], frames])
            seen = torch.cat([torch.tensor([True]), mask_BF[video]])
            for layer, block in enumerate(branch.blocks, start=1):
                sequence = naive_block(block, sequence, seen)
                if layer < last:
                    sequence = torch.cat([sequence[:1], sequence[1:] + spatial(layer)])
            row.append(branch.projection(branch.post_norm(sequence[0])))
        result.append(torch.stack(row))
    return torch.stack(result)


BRANCHES: dict[str, dict[str, Any]] = {
    "whole": {},
    "one layer": {"layers": 1},
    "last": {"layers": 1, "blocks": "last"},
    "narrow": {"width": 8},
}


@pytest.mark.parametrize("arguments", BRANCHES.values(), ids=list(BRANCHES))
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_cubes_are_the_supplements_equations(arguments: dict[str, Any], attention: Any) -> None:
    towers = ClipTowers(tiny.towers().clip, attention=attention)
    shaken(towers)
    branch = shaken(PatchBranch(towers, **arguments), seed=2)
    assert isinstance(branch, PatchBranch)
    pixels, mask, _ = clip([3, 1], 4)
    with torch.inference_mode():
        _, states = towers.encode_frames(pixels, mask, hidden=True)
        cubes, expected = branch.cubes(states, mask), naive_cubes(branch, states, mask)
    assert cubes.shape == (2, P, towers.dim)
    torch.testing.assert_close(cubes, expected, atol=2e-5, rtol=1e-4)
    assert cubes.std(dim=1).min() > 1e-3


def test_a_cube_holds_the_patches_at_one_place_of_all_frames() -> None:
    towers = tiny.towers()
    branch = PatchBranch(towers)
    state = torch.arange(2 * 3 * (1 + P) * 16.0).view(2, 3, 1 + P, 16)
    cubes = branch.permuted(state, 0).view(2, P, 3, 16)
    for video, patch, frame in [(0, 0, 0), (1, 5, 2), (0, 15, 1)]:
        assert torch.equal(cubes[video, patch, frame], state[video, frame, 1 + patch])


def test_the_last_layer_is_not_added_and_class_tokens_never_are() -> None:
    towers = tiny.towers()
    branch = shaken(PatchBranch(towers))
    assert isinstance(branch, PatchBranch)
    pixels, mask, _ = clip([3])
    _, states = towers.encode_frames(pixels, mask, hidden=True)
    cubes = branch.cubes(states, mask)
    after_last = (*states[:-1], states[-1] * 2)
    assert torch.equal(branch.cubes(after_last, mask), cubes)
    classes = tuple(torch.cat([state[:, :, :1] * 2, state[:, :, 1:]], dim=2) for state in states)
    assert torch.equal(branch.cubes(classes, mask), cubes)
    added = (states[0], states[1] * 2, states[2])
    assert not torch.allclose(branch.cubes(added, mask), cubes, atol=1e-3)


def test_layers_stand_beside_blocks_of_the_tower() -> None:
    assert tower_blocks(12, 12) == tower_blocks(12, 12, "last") == tower_blocks(12, 12, "spread")
    assert tower_blocks(12, 12) == tuple(range(1, 13))
    assert tower_blocks(5, 12) == (1, 2, 3, 4, 5)
    assert tower_blocks(5, 12, "last") == (8, 9, 10, 11, 12)
    assert tower_blocks(5, 12, "spread") == (3, 5, 8, 10, 12)
    with pytest.raises(ValueError, match="patch_layers is 13, expected 1 to 12"):
        tower_blocks(13, 12)


def test_the_branch_starts_from_the_image_tower() -> None:
    towers = tiny.towers()
    branch = PatchBranch(towers, layers=1, blocks="last")
    tower = towers.clip.vision_model
    for name, value in branch.blocks[0].state_dict().items():
        assert torch.equal(value, tower.encoder.layers[1].state_dict()[name])
    assert torch.equal(branch.projection.weight, towers.clip.visual_projection.weight)
    # The class token enters as that of a picture does; learning it must not change the tower.
    pixels, mask, _ = clip([1])
    _, states = towers.encode_frames(pixels, mask, hidden=True)
    torch.testing.assert_close(branch.class_token, states[0][0, 0, 0])
    shared = {id(value) for value in towers.parameters()}
    assert not any(id(value) in shared for value in branch.parameters())


# Eq. 1 and 2: the selector


def test_the_selector_takes_the_k_most_important_patches() -> None:
    selector = shaken(PatchSelector(8, 3))
    assert isinstance(selector, PatchSelector)
    patches = torch.randn(4, P, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        scores, indicators = selector.scores(patches), selector(patches)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(4))
    assert set(indicators.unique().tolist()) == {0.0, 1.0}
    assert bool((indicators.sum(dim=2) == 1).all())
    assert bool((indicators.sum(dim=1) <= 1).all())
    for row in range(4):
        best = sorted(range(P), key=lambda place: -float(scores[row, place]))[:3]
        assert indicators[row].argmax(dim=1).tolist() == sorted(best)


def test_the_selector_learns_which_patches_serve() -> None:
    torch.manual_seed(0)
    selector = PatchSelector(8, 2, samples=200, sigma=0.05).train()
    patches = torch.randn(1, 6, 8)
    optimiser = torch.optim.Adam(selector.parameters(), lr=0.02)
    for _ in range(60):
        unwanted = selector(patches)[:, :, [0, 1, 3, 5]].sum()
        optimiser.zero_grad()
        torch.autograd.backward(unwanted)
        optimiser.step()
    assert selector.eval()(patches).argmax(dim=2).tolist() == [[2, 4]]


def test_training_begins_with_what_the_scores_say() -> None:
    """Fresh scores of 49 patches differ by far less than 0.05; a choice at chance would be of 8 in 49."""
    torch.manual_seed(0)
    patches = torch.randn(4, 49, 16)
    hits = {}
    for noise in ("relative", "absolute"):
        selector = PatchSelector(16, 8, sigma=0.05, noise=noise)
        assert selector.scores(patches).max() < 2 / 49
        with torch.no_grad():
            drawn, hard = (selector.train(training)(patches).sum(dim=1) for training in (True, False))
        hits[noise] = float((drawn * hard).sum() / hard.sum())
    assert hits["relative"] > 0.8
    assert hits["absolute"] < 8 / 49 + 0.05


def test_the_selectors_gradient_is_that_of_the_expected_selection() -> None:
    torch.manual_seed(0)
    selector = PatchSelector(4, 2, samples=400_000, sigma=0.2).train()
    for linear in (selector.hidden, selector.out):
        nn.init.normal_(linear.weight, std=1.0)
    patches, wanted = torch.randn(1, 5, 4), torch.randn(1, 5)

    def value(seed: int) -> Tensor:
        torch.manual_seed(seed)
        chosen: Tensor = selector(patches).sum(dim=1)
        return (chosen * wanted).sum()

    (slope_1D,) = torch.autograd.grad(value(1), selector.out.weight)
    way_1D = slope_1D / slope_1D.norm()
    with torch.no_grad():
        selector.out.weight.add_(0.02 * way_1D)
        above = value(2)
        selector.out.weight.sub_(0.04 * way_1D)
        below = value(2)
    assert slope_1D.norm() > 0.1
    torch.testing.assert_close((above - below) / 0.04, slope_1D.norm(), rtol=0.05, atol=0.01)


# The whole


def built(arguments: Mapping[str, Any] | None = None) -> Model:
    return tiny.model("pidro", {"head_layers": 1, **(arguments or {})})


def test_the_score_is_equation_5() -> None:
    model = built({"patch_lambda": 0.3})
    pixels, times = tiny.videos([4, 2])
    text, video = model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times)
    terms = model.method.term_scores(text, video)
    assert list(terms) == ["word-frame", "word-patch"]
    expected = terms["word-frame"] + 0.3 * terms["word-patch"]
    torch.testing.assert_close(model.similarity(text, video), expected)
    assert (terms["word-patch"] - terms["word-frame"]).abs().min() > 1e-3


def test_the_loss_is_equations_6_to_8() -> None:
    model = built({"tau": 7.0})
    pixels, times = tiny.videos([3, 4, 2])
    text, video = model.encode_text(tiny.CAPTIONS[:3]), model.encode_frames(pixels, times)
    sim = model.similarity(text, video).tolist()
    t2v = -sum(math.log(math.exp(7 * sim[i][i]) / sum(math.exp(7 * s) for s in sim[i])) for i in range(3)) / 3
    v2t = -sum(math.log(math.exp(7 * sim[i][i]) / sum(math.exp(7 * r[i]) for r in sim)) for i in range(3)) / 3
    with torch.inference_mode():
        loss = model.method.loss(text, video)["loss"].item()
    assert loss == pytest.approx((t2v + v2t) / 2, abs=1e-5)
    assert model.method.scale.item() == 7.0


def test_defaults_are_the_papers() -> None:
    method = build_method("pidro", tiny.towers())
    assert isinstance(method, Pidro)
    assert method.tau == 100.0
    assert [term.weight for term in method.terms] == [1.0, 0.2]
    assert len(method.frame_head.blocks) == 4  # type: ignore[arg-type]
    branch = method.patch_branch
    assert branch is not None
    assert branch.selector is None
    assert branch.sources == (1, 2)


def test_parts_are_those_of_table_1() -> None:
    sizes, names = [], []
    for routing, patches in (("none", False), ("mlp", False), ("none", True), ("mlp", True)):
        method = build_method("pidro", tiny.towers(), {"routing": routing, "patches": patches})
        sizes.append(sum(value.numel() for value in method.parameters()))
        names.append([stage.name for stage in method.stages()])
    assert names == [["base"], ["base", "routing"], ["base", "patches"], ["base", "routing", "patches"]]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]
    assert sizes[3] - sizes[2] == sizes[1] - sizes[0] == 16 * 32 + 16 + 16 * 16 + 16


@settings(max_examples=10, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    more=st.integers(1, 3),
    keep=st.sampled_from([None, 5]),
    seed=st.integers(0, 99),
)
def test_padded_frames_take_no_part(counts: list[int], more: int, keep: int | None, seed: int) -> None:
    method = _cached(keep)
    pixels, mask, times = clip(counts, seed=seed)
    wide_pixels, wide_mask, wide_times = clip(counts, max(counts) + more, seed=seed + 1)
    wide_pixels[wide_mask] = pixels[mask]
    with torch.inference_mode():
        exact = method.video_features(pixels, mask, times)
        wider = method.video_features(wide_pixels, wide_mask, wide_times)
    torch.testing.assert_close(wider["patch"].tokens, exact["patch"].tokens, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        wider["frame"].tokens[wide_mask], exact["frame"].tokens[mask], atol=1e-5, rtol=1e-4
    )


_METHODS: dict[int | None, Method] = {}


def _cached(keep: int | None) -> Method:
    if keep not in _METHODS:
        _METHODS[keep] = built({"patch_tokens": keep}).method
    return _METHODS[keep]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(5)))
def test_the_order_of_selected_patches_does_not_matter(order: list[int]) -> None:
    method = _cached(5)
    pixels, mask, times = clip([3, 2])
    text = words([4, 3], dim=16)
    with torch.inference_mode():
        video = method.prepare_video(method.video_features(pixels, mask, times))
        patch = video["patch"]
        assert patch.group is not None
        turned = TokenSet(patch.tokens[:, order], patch.mask[:, order], group=patch.group[:, order])
        prepared = method.prepare_text({"word": text})
        straight = method.similarity(prepared, video)
        shuffled = method.similarity(prepared, {**video, "patch": turned})
    torch.testing.assert_close(shuffled, straight, atol=1e-6, rtol=1e-5)


def test_all_patches_are_what_a_selector_of_all_would_choose() -> None:
    everything, selected = built(), built({"patch_tokens": 5})
    whole = built({"patch_tokens": P})
    assert whole.method.state_dict().keys() == everything.method.state_dict().keys()
    pixels, times = tiny.videos([3])
    all_patches = everything.encode_frames(pixels, times)["patch"]
    assert all_patches.group is not None
    assert all_patches.group[0].tolist() == list(range(P))
    missing = selected.method.load_state_dict(everything.method.state_dict(), strict=False)
    assert {name.split(".")[1] for name in missing.missing_keys} == {"selector"}
    chosen = selected.encode_frames(pixels, times)["patch"]
    assert chosen.group is not None
    assert chosen.group[0].tolist() == sorted(set(chosen.group[0].tolist()))
    torch.testing.assert_close(chosen.tokens[0], all_patches.tokens[0, chosen.group[0]])


def test_the_image_tower_gives_the_same_frames_with_and_without_the_patch_branch() -> None:
    model = built()
    pixels, mask, times = clip([3, 1])
    with torch.inference_mode():
        whole = model.method.video_features(pixels, mask, times)
        model.method.leave_out(["patches"])
        base = model.method.video_features(pixels, mask, times)
    assert set(whole) == {"frame", "patch"}
    assert set(base) == {"frame"}
    torch.testing.assert_close(base["frame"].tokens, whole["frame"].tokens, atol=1e-5, rtol=1e-4)


# Training in stages


def test_stages_are_those_of_section_4_2() -> None:
    method = build_method("pidro", tiny.towers())
    base, routing, patches = method.stages()
    assert [stage.share for stage in (base, routing, patches)] == [5, 3, 2]
    assert [stage.without for stage in (base, routing, patches)] == [("routing", "patches"), ("patches",), ()]
    assert all(stage.own_rates for stage in (base, routing, patches))
    names = {
        stage.name: {name for name, _ in method.named_parameters() if name.startswith(stage.trained)}
        for stage in (base, routing, patches)
    }
    everything = {name for name, _ in method.named_parameters()}
    assert set.union(*names.values()) == everything
    assert sum(map(len, names.values())) == len(everything)
    assert all(name.startswith("patch_branch.") for name in names["patches"])


def _train_stage(method: Method, stage: Stage) -> list[float]:
    method.leave_out(stage.without)
    for name, value in method.named_parameters():
        value.requires_grad_(name.startswith(stage.trained))
    optimiser = torch.optim.AdamW([value for value in method.parameters() if value.requires_grad], lr=3e-3)
    words_ = tiny.tokenizer().encode(list(tiny.CAPTIONS), tiny.MAX_WORDS)
    pixels, mask, times = clip([3, 2, 3, 1, 3])
    history = []
    for _ in range(6):
        text = method.prepare_text(method.text_features(words_.ids, words_.mask))
        video = method.prepare_video(method.video_features(pixels, mask, times))
        loss = method.loss(text, video)["loss"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        history.append(loss.item())
    return history


@pytest.mark.parametrize("routing", ["mlp", "transformer"])
def test_each_stage_trains_its_parts_and_no_other(routing: str) -> None:
    method = built({"routing": routing, "patch_tokens": 5, "tau": 10.0}).method.train()
    torch.manual_seed(0)
    for stage in method.stages():
        before = copy.deepcopy(method.state_dict())
        history = _train_stage(method, stage)
        assert history[-1] < history[0]
        changed = {
            name for name, value in method.state_dict().items() if not torch.equal(value, before[name])
        }
        assert changed
        assert all(name.startswith(stage.trained) for name in changed)
        if stage.name == "patches":
            assert any("selector" in name for name in changed)
            assert any("class_token" in name for name in changed)


def test_the_second_stage_begins_where_the_first_ended() -> None:
    method = build_method("pidro", tiny.towers(), {"patches": False})
    words_ = tiny.tokenizer().encode(list(tiny.CAPTIONS), tiny.MAX_WORDS)
    with torch.inference_mode():
        routed = method.text_features(words_.ids, words_.mask)["word"]
        method.leave_out(["routing"])
        plain = method.text_features(words_.ids, words_.mask)["word"]
    assert not torch.equal(routed.tokens, plain.tokens)
    near = torch.nn.functional.cosine_similarity(routed.tokens[plain.mask], plain.tokens[plain.mask], dim=-1)
    assert near.min() > 0.95


def test_only_a_part_that_is_there_can_be_left_out() -> None:
    method = build_method("pidro", tiny.towers(), {"routing": "none"})
    with pytest.raises(ValueError, match="no part 'routing' to leave out, only: patches"):
        method.leave_out(["routing"])
    with pytest.raises(ValueError, match="has no parts that can be left out, asked for: patches"):
        build_method("zero_shot", tiny.towers()).leave_out(["patches"])


# End to end


@pytest.mark.parametrize("arguments", [{}, {"patch_tokens": 5, "patch_layers": 1}], ids=["all", "five"])
def test_videos_are_indexed_and_found(arguments: dict[str, Any], tmp_path: Path) -> None:
    model = built(arguments)
    counts = [5, 1, 3, 4, 2, 5]
    store = filled(tmp_path / "index", model, counts)
    index = Index.open(store.folder, model)
    hits = index.search("a red circle moves left", k=3)
    assert len(hits) == 3
    gallery = index.search("a red circle moves left", k=100)
    assert [hit.score for hit in hits] == [hit.score for hit in gallery[:3]]
    account = index.explain("a red circle moves left", hits[0])
    assert account.total == pytest.approx(hits[0].score, abs=1e-5)
    assert [term.name for term in account.terms] == ["word-frame", "word-patch"]
    assert account.terms[0].times_seconds is not None
    assert account.terms[1].times_seconds is None


def test_autocast_gives_fp32_tokens_near_the_exact_ones() -> None:
    model = built({"patch_tokens": 5})
    pixels, mask, times = clip([3, 1], 4)
    with torch.inference_mode():
        exact = model.method.video_features(pixels, mask, times)
        with torch.autocast("cpu", torch.bfloat16):
            near = model.method.video_features(pixels, mask, times)
    for tokens in near.values():
        assert tokens.tokens.dtype == torch.float32
        assert bool(tokens.tokens.isfinite().all())
    agree = torch.nn.functional.cosine_similarity(
        near["frame"].tokens[mask], exact["frame"].tokens[mask], dim=-1
    )
    assert agree.min() > 0.98


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"routing": "lstm"}, "routing is 'lstm', expected one of mlp, transformer, none"),
        ({"patch_layers": 3}, "patch_layers is 3, expected 1 to 2"),
        ({"patch_blocks": "middle"}, "patch_blocks is 'middle', expected one of first, last, spread"),
        ({"patch_width": 12}, "patch_width is 12, expected a multiple of 8"),
        ({"patch_tokens": 17}, "patch_tokens is 17, expected 1 to 16"),
        ({"patch_tokens": 0}, "patch_tokens is 0, expected 1 to 16"),
    ],
)
def test_a_refused_argument_is_answered_with_its_choices(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_method("pidro", tiny.towers(), arguments)


def test_more_frames_than_positions_are_refused() -> None:
    method = build_method("pidro", tiny.towers(), {"max_frames": 2})
    pixels, mask, times = clip([3])
    with pytest.raises(ValueError, match=r"a video has 3 frames.*at most 2"):
        method.video_features(pixels, mask, times)
    known = method.video_features(pixels[:, :2], mask[:, :2], times[:, :2])
    assert bool(known["patch"].tokens.isfinite().all())
