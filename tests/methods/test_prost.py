"""What ProST adds to a method: windows, prototypes, maps, and what of it the index and a search see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import FORMATS, search_in_every_format

from vidsift.index.encode import sets_of
from vidsift.index.storage import Store
from vidsift.methods.catalog import build_method
from vidsift.methods.model import Model
from vidsift.methods.prost import Prost, adaptive_window
from vidsift.search.gallery import Gallery
from vidsift.search.searcher import Index

OBJECTS, PHRASES, EVENTS = 4, 5, 3
ARGUMENTS: dict[str, Any] = {"objects": OBJECTS, "phrases": PHRASES, "events": EVENTS, "max_frames": 6}
COUNTS = [5, 1, 3, 5, 4, 5, 2]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model("prost", ARGUMENTS)


@pytest.fixture(scope="module")
def network(model: Model) -> Prost:
    assert isinstance(model.method, Prost)
    return model.method


@pytest.fixture(scope="module")
def store(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return filled(tmp_path_factory.mktemp("prost") / "index", model, COUNTS, commits=2)


def _pictures(model: Model, count: int, seed: int = 0) -> torch.Tensor:
    (pixels,), _ = tiny.videos([count], seed)
    return model.norm(torch.from_numpy(pixels[None]))


def test_a_short_video_has_the_window_of_its_own_length() -> None:
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    seen = adaptive_window(mask, OBJECTS, 0.4)
    alone = adaptive_window(mask[:1, :3], OBJECTS, 0.4)
    assert torch.equal(seen[:1, :3, : 3 * OBJECTS], alone)
    assert not seen[0, :, 3 * OBJECTS :].any()
    # 12 objects, 4 of a frame and floor(4.8) more; the last ones are moved back, one wider.
    assert [row.nonzero().flatten()[[0, -1]].tolist() for row in alone[0]] == [[0, 7], [3, 11], [3, 11]]
    # Nobody attends to nothing, padded or not.
    assert seen.any(dim=2).all()


@pytest.mark.parametrize("window", [0.0, 1.0])
def test_windows_of_nothing_and_of_everything(window: float) -> None:
    seen = adaptive_window(torch.ones(1, 4, dtype=torch.bool), OBJECTS, window)
    if window == 1.0:
        assert seen.all()
        return
    for frame in range(3):
        objects = slice(frame * OBJECTS, (frame + 1) * OBJECTS)
        assert seen[0, frame, objects].all()
        assert seen[0, frame].sum() == OBJECTS


def test_padding_before_a_real_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="padding before a real frame"):
        adaptive_window(torch.tensor([[False, True]]), OBJECTS, 0.2)


def test_objects_know_their_frame_and_events_have_no_time(model: Model) -> None:
    pixels, times = tiny.videos([3, 5])
    features = model.encode_frames(pixels, times)
    assert list(features) == ["object", "event"]
    objects, events = features["object"], features["event"]
    assert objects.tokens.shape == (2, 5 * OBJECTS, 16)
    assert objects.mask.sum(dim=1).tolist() == [3 * OBJECTS, 5 * OBJECTS]
    assert objects.times_seconds is not None
    assert objects.frame is not None
    assert objects.group is not None
    assert objects.frame[0].tolist() == [frame for frame in range(5) for _ in range(OBJECTS)]
    assert objects.group[0].tolist() == list(range(OBJECTS)) * 5
    assert objects.times_seconds[1].tolist() == [0.5 + frame for frame in range(5) for _ in range(OBJECTS)]
    assert events.tokens.shape == (2, EVENTS, 16)
    assert (events.times_seconds, events.frame, events.group) == (None, None, None)
    assert events.mask.all()


def test_padded_frames_never_reach_a_prototype(network: Prost, model: Model) -> None:
    real = _pictures(model, 3)
    times = torch.arange(5.0)[None]
    mask = torch.tensor([[True] * 3 + [False] * 2])
    with torch.inference_mode():
        alone = network.video_features(real, mask[:, :3], times[:, :3])
        for seed in (1, 2):
            padded = torch.cat([real, _pictures(model, 2, seed)], dim=1)
            company = network.video_features(padded, mask, times)
            torch.testing.assert_close(
                company["object"].tokens[:, : 3 * OBJECTS], alone["object"].tokens, atol=1e-6, rtol=1e-5
            )
            torch.testing.assert_close(company["event"].tokens, alone["event"].tokens, atol=1e-6, rtol=1e-5)


def test_padded_words_form_no_phrase_unless_they_are_included(model: Model) -> None:
    released = tiny.model("prost", {**ARGUMENTS, "padding": "included"})
    for variant, same in ((model, True), (released, False)):
        text = variant.tokenize(["two triangles", tiny.CAPTIONS[1]])
        with torch.inference_mode():
            before = variant.method.text_features(text.ids, text.mask)["phrase"].tokens[0]
            other_ids = text.ids.masked_fill(~text.mask, 7)
            after = variant.method.text_features(other_ids, text.mask)["phrase"].tokens[0]
        assert torch.equal(before, after) == same


def test_included_padding_can_win_and_has_the_time_of_the_last_frame() -> None:
    released = tiny.model("prost", {**ARGUMENTS, "padding": "included"})
    pixels, times = tiny.videos([3])
    objects = released.encode_frames(pixels, times)["object"]
    assert objects.tokens.shape[1] == tiny.FRAMES * OBJECTS
    assert objects.mask.all()
    assert objects.times_seconds is not None
    assert set(objects.times_seconds[0, 2 * OBJECTS :].tolist()) == {2.5}


def test_whole_videos_and_texts_are_alike_under_both_rules(model: Model) -> None:
    released = tiny.model("prost", {**ARGUMENTS, "padding": "included"})
    pixels, times = tiny.videos([tiny.FRAMES] * 2)
    ours, theirs = model.encode_frames(pixels, times), released.encode_frames(pixels, times)
    for name, token_set in ours.items():
        torch.testing.assert_close(token_set.tokens, theirs[name].tokens, atol=1e-6, rtol=1e-5)


def test_maps_say_where_prototypes_come_from(network: Prost, model: Model) -> None:
    pixels = torch.cat([_pictures(model, 3), torch.zeros(1, 2, 3, tiny.SIZE_PX, tiny.SIZE_PX)], dim=1)
    mask = torch.tensor([[True] * 3 + [False] * 2])
    with torch.inference_mode():
        maps = network.video_maps(pixels, mask)
        tokens = network.towers.encode_frames(pixels, mask, network.shift_blocks)
        objects = network.video_features(pixels, mask, torch.zeros(1, 5))["object"].tokens
    assert maps.objects.shape == (1, 5, 17, OBJECTS - 1)
    assert (maps.objects >= 0).all()
    assert (maps.objects[:, 3:] == 0).all()
    mixed = torch.unflatten(objects, 1, (5, OBJECTS))[:, :, 1:]
    torch.testing.assert_close(maps.objects.transpose(-1, -2) @ tokens, mixed, atol=1e-5, rtol=1e-5)
    assert maps.frames.shape == (2, 1, 5, 5 * OBJECTS)
    assert (maps.frames[:, :, 3:] == 0).all()
    hidden = ~adaptive_window(mask, OBJECTS, network.window)
    assert (maps.frames[:, hidden] == 0).all()
    torch.testing.assert_close(maps.frames[:, :, :3].sum(dim=-1), torch.ones(2, 1, 3))
    assert maps.events.shape == (2, 1, EVENTS, 5)
    assert (maps.events[..., 3:] == 0).all()
    torch.testing.assert_close(maps.events.sum(dim=-1), torch.ones(2, 1, EVENTS))


def test_shares_of_words_say_what_a_phrase_is(network: Prost, model: Model) -> None:
    text = model.tokenize(tiny.CAPTIONS)
    with torch.inference_mode():
        shares = network.phrase_shares(text.ids, text.mask)
        words = network.towers.encode_text(text.ids, text.mask)
        phrases = network.text_features(text.ids, text.mask)["phrase"].tokens
    assert (shares[~text.mask] == 0).all()
    torch.testing.assert_close(shares.transpose(1, 2) @ words, phrases, atol=1e-5, rtol=1e-5)


def test_the_loss_is_the_mean_over_both_terms_and_reaches_every_weight() -> None:
    model = tiny.model("prost", ARGUMENTS)
    network = model.method.train()
    text = model.tokenize(tiny.CAPTIONS)
    pictures = torch.cat([_pictures(model, 4, seed) for seed in range(len(tiny.CAPTIONS))])
    mask = torch.arange(4) < torch.tensor([4, 2, 3, 4, 1])[:, None]
    seconds = torch.arange(4.0).expand(5, -1)
    with torch.autocast("cpu", torch.bfloat16):
        words, frames = (
            network.text_features(text.ids, text.mask),
            network.video_features(pictures, mask, seconds),
        )
    parts = network.loss(network.prepare_text(words), network.prepare_video(frames))
    assert parts["loss"].item() == pytest.approx(
        (parts["phrase-object"] + parts["sentence-event"]).item() / 2
    )
    torch.autograd.backward(parts["loss"])
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        if name.startswith(("object_head", "phrase_head", "frame_decoder.layers", "event_decoder")):
            assert value.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objects": 1}, "objects is 1, expected at least 2"),
        ({"event_layers": 0}, "event_layers is 0, expected at least 1"),
        ({"window": 1.5}, "window is 1.5, a share of all objects"),
        ({"padding": "zero"}, "expected one of excluded, included"),
    ],
)
def test_refused_values(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_method("prost", tiny.towers(), arguments)


def test_more_frames_than_queries_are_refused() -> None:
    model = tiny.model("prost", {**ARGUMENTS, "max_frames": 3})
    with pytest.raises(ValueError, match="a video has 4 frames, this model has queries for 3"):
        model.encode_frames(*tiny.videos([4]))


def test_the_index_keeps_both_sets_as_they_were_encoded(model: Model, store: Store) -> None:
    layout = sets_of(model)
    assert layout["object"].slots == tiny.FRAMES * OBJECTS
    assert layout["object"].parts == ("times_seconds", "frame", "group")
    assert (layout["event"].slots, layout["event"].parts) == (EVENTS, ())
    gallery = Gallery.read(Store.open(store.folder), model.method, "fp32")
    row = next(at for at, name in enumerate(gallery.segment_ids) if name.startswith("0" * 31 + "4"))
    stored = gallery.exact([row])
    pixels, times = tiny.videos(COUNTS, seed=3)
    encoded = model.encode_frames(pixels[4:5], times[4:5])
    real = COUNTS[4] * OBJECTS
    assert stored["object"].mask.sum() == real
    for part in ("times_seconds", "frame", "group"):
        read, known = getattr(stored["object"], part), getattr(encoded["object"], part)
        assert torch.equal(read[:, :real], known)
    for name, token_set in encoded.items():
        near = stored[name].tokens[:, : token_set.tokens.shape[1]]
        torch.testing.assert_close(near, token_set.tokens, atol=1e-3, rtol=0)
    assert (stored["event"].times_seconds, stored["event"].frame) == (None, None)


def test_a_search_scores_explains_and_finds_moments(model: Model, store: Store) -> None:
    query = "a red circle moves left"
    index, hits, accounts = search_in_every_format(model, store, query, k=5)
    text = model.encode_text([query])
    scores = model.similarity(text, index.gallery.exact(range(len(index.gallery))))[0]
    # The scan itself works on both sets, in every format.
    for kind in FORMATS:
        block = Gallery.read(Store.open(store.folder), model.method, kind).block(0)
        with torch.inference_mode():
            torch.testing.assert_close(
                model.method.similarity(text, block)[0].float(), scores, atol=0.04, rtol=0
            )
    for account in accounts:
        objects, events = account.terms
        assert (objects.name, events.name) == ("phrase-object", "sentence-event")
        assert objects.words == [f"phrase {number}" for number in range(1, PHRASES + 1)]
        assert events.words == [query]
        assert events.times_seconds is None
        assert objects.times_seconds is not None
        assert objects.frame is not None
        assert objects.group is not None
        frames = len(objects.times_seconds) // OBJECTS
        assert objects.group.tolist() == list(range(OBJECTS)) * frames
        assert objects.frame.tolist() == [frame for frame in range(frames) for _ in range(OBJECTS)]
        assert (events.frame, events.group) == (None, None)
        assert (objects.contributions != 0).sum() == OBJECTS
    # Some moment is narrower than its segment: times of objects decide it.
    assert any(hit.moment != hit.segment for hit in hits)


def test_a_model_on_disk_answers_the_same(model: Model, store: Store, tmp_path: Path) -> None:
    model.save(tmp_path)
    hits = Index.open(store.folder, tmp_path, device="cpu").search("circle", k=4)
    assert hits == Index.open(store.folder, model).search("circle", k=4)
