from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from tests.methods import tiny

from vidsift.interactions.token_wise import TokenWise
from vidsift.methods.base import Term
from vidsift.methods.model import Model, load
from vidsift.search.moments import MomentRule, frame_matches, frame_shares, moment_around
from vidsift.types import Features, Span, TokenSet
from vidsift.video import read_frames

SEGMENT = Span(0.0, 12.0)
TIMES = np.array([1.0, 3.0, 5.0, 7.0, 9.0, 11.0])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0, 0, 1, 0, 0, 0], Span(4.0, 6.0)),
        ([0, 0, 1, 0.9, 0, 0], Span(4.0, 8.0)),
        ([1, 0, 0, 0, 0, 0.9], Span(0.0, 2.0)),  # the second best is elsewhere
        ([0, 0, 0, 0, 0, 1], Span(10.0, 12.0)),
        ([1, 1, 1, 1, 1, 1], SEGMENT),
        ([-3, -2, -1, -2, -3, -3], Span(4.0, 6.0)),
    ],
)
def test_the_moment_is_the_stretch_around_the_best_frame(shares: list[float], expected: Span) -> None:
    assert moment_around(TIMES, np.array(shares, float), SEGMENT) == expected


def test_uneven_times_share_the_seconds_between_them() -> None:
    times = np.array([0.0, 1.0, 5.0, 6.0])
    assert moment_around(times, np.array([0, 1.0, 0, 0]), SEGMENT) == Span(0.5, 3.0)
    assert moment_around(times, np.array([1.0, 0, 0, 0]), SEGMENT) == Span(0.0, 0.5)
    assert moment_around(times, np.array([0, 0, 0, 1.0]), SEGMENT) == Span(5.5, 6.5)


def test_one_frame_and_no_times_are_the_whole_segment() -> None:
    assert moment_around(np.array([4.0]), np.array([1.0]), SEGMENT) == SEGMENT
    assert moment_around(np.zeros(0), np.zeros(0), SEGMENT) == SEGMENT


def test_shares_are_sums_over_words_terms_and_tokens_of_one_time() -> None:
    model = tiny.model()
    text = model.encode_text(["a red circle moves left"])
    pixels, _ = tiny.videos([4])
    video = model.encode_frames(pixels, [np.array([1.0, 1.0, 2.0, 3.0])])
    with torch.inference_mode():
        account = model.method.align(text, video)
        score = model.method.similarity(text, video)
    distinct, shares = frame_shares(model.method.terms, account, video)
    assert distinct.tolist() == [1.0, 2.0, 3.0]
    assert shares.sum() == pytest.approx(float(score), abs=1e-6)
    given = account[model.method.terms[0].name].contributions[0].sum(dim=0)
    assert shares[0] == pytest.approx(float(given[0] + given[1]), abs=1e-6)


def test_a_frame_that_gave_nothing_is_in_the_moment_where_it_matches_as_well() -> None:
    """Each word counts its best frame alone: of frames that show the same one gives all."""
    matches = np.array([0.0, 0.70, 0.71, 0.69, 0.1, 0.0])
    shares = np.array([0.0, 0.0, 0.71, 0.0, 0.0, 0.0])
    assert moment_around(TIMES, shares, SEGMENT) == Span(4.0, 6.0)
    assert moment_around(TIMES, shares, SEGMENT, None, matches) == Span(2.0, 8.0)
    assert moment_around(TIMES, shares, SEGMENT, 1, matches) == Span(2.0, 8.0)
    # A frame that is named, or that won by little, and matches no better than most: it alone.
    assert moment_around(TIMES, shares, SEGMENT, 4, matches) == Span(8.0, 10.0)
    assert moment_around(TIMES, shares[::-1], SEGMENT, None, -matches) == Span(6.0, 8.0)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (MomentRule(), Span(8.0, 10.0)),
        (MomentRule("match"), Span(2.0, 6.0)),
        (MomentRule("match", threshold=0.15), Span(2.0, 8.0)),
        (MomentRule("match", threshold=0.9), Span(2.0, 4.0)),
        # Means of those at most 2 s away: .45, .53, .67, .5, .33, .25; of these .46.
        (MomentRule("match", smoothing_seconds=4.0), Span(4.0, 6.0)),
        (MomentRule("match", threshold=0.3, smoothing_seconds=4.0), Span(2.0, 6.0)),
        (MomentRule("match", smoothing_seconds=1.0), Span(2.0, 6.0)),
    ],
    ids=str,
)
def test_a_rule_says_which_frame_and_how_far(rule: MomentRule, expected: Span) -> None:
    """The frame that gave most is none of those that match best; these are two, a third is near."""
    matches = np.array([0.1, 0.8, 0.7, 0.5, 0.3, 0.2])
    shares = np.array([0.0, 0.0, 0.0, 0.0, 0.7, 0.0])
    if rule == MomentRule():
        matches = matches[[0, 3, 2, 4, 1, 5]]
    assert moment_around(TIMES, shares, SEGMENT, None, matches, rule=rule) == expected


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="centre is 'mean', expected share or match"):
        MomentRule("mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold is 0, expected a number above 0, at most 1"):
        MomentRule(threshold=0)
    with pytest.raises(ValueError, match="smoothing_seconds is -1, expected a finite number"):
        MomentRule(smoothing_seconds=-1)


def test_matches_are_the_best_of_each_time_weighed_by_the_words() -> None:
    """Frames at 1, 2 and 3 s with two patches each, one of which is padding."""
    words = torch.eye(4)[None, :2]
    patches = torch.tensor([[[1, 0], [0, 1], [0.6, 0.8], [0, 0], [0.8, 0.6], [1, 0]]])
    patches = torch.nn.functional.pad(patches, (0, 2))
    times = torch.tensor([[1.0, 1, 2, 2, 3, 3]]).double()
    mask = torch.tensor([[True, True, True, False, True, True]])
    meeting = TokenWise()
    text = {"word": meeting.prepare_text(TokenSet(words, torch.ones(1, 2, dtype=torch.bool)))}
    patch = meeting.prepare_video(TokenSet(patches, mask, times_seconds=times))
    video: Features = {"patch": patch}
    terms = [Term("word", "patch", meeting, weight=2.0)]
    account = {terms[0].name: terms[0].interaction.align(text["word"], video["patch"])}
    weights = account[terms[0].name].text_weights[0].double().numpy()
    matches = frame_matches(terms, account, video)
    expected = 2 * np.array([[1, 1], [0.6, 0.8], [1, 0.6]]) @ weights
    np.testing.assert_allclose(matches, expected, atol=1e-6)


@pytest.fixture(scope="module")
def shapes() -> Model:
    return load("shapes", device="cpu")


@pytest.mark.parametrize("edited", [False, True], ids=["plain", "edit list"])
def test_a_moment_holds_the_frames_that_show_it(shapes: Model, tmp_path: Path, edited: bool) -> None:
    """22 s of grey with a red box from 4.5 s to 10.5 s, as written and as cut from a longer film."""
    path = _boxed(tmp_path / "long.mp4", 37.5, 20.0) if edited else _boxed(tmp_path / "a.mp4", 22, 4.5)
    if edited:
        path = _cut_by_edit_list(path, tmp_path / "cut.mp4", 15.5)
    segment = Span(0.0, 22.0)
    frames = read_frames(
        path, shapes.preprocessing.wanted_times(segment), size_px=shapes.preprocessing.size_px
    )
    text = shapes.encode_text(["a red square"])
    video = shapes.encode_frames([frames.pixels], [frames.times_seconds])
    with torch.inference_mode():
        account = shapes.method.align(text, video)
    times, shares = frame_shares(shapes.method.terms, account, video)
    matches = frame_matches(shapes.method.terms, account, video)
    moment = moment_around(times, shares, segment, None, matches)
    inside = [time for time in times if 4.5 <= time < 10.5]
    assert len(inside) == 2
    assert all(moment.start_seconds < time < moment.end_seconds for time in inside)
    # This model's tokens move between frames: the picture after looks red too, one further does not.
    assert moment.end_seconds - moment.start_seconds < 9


def _boxed(path: Path, seconds: float, start: float) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=4, options={"g": "20", "bf": "2"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(round(seconds * 4)):
            pixels = np.full((64, 64, 3), 120, np.uint8)
            if start <= number / 4 < start + 6:
                pixels[16:48, 16:48] = 220, 20, 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _cut_by_edit_list(source: Path, target: Path, seconds: float) -> Path:
    """From the key frame before on; what lies before 0 is decoded and not shown."""
    with av.open(str(source)) as given, av.open(str(target), "w") as cut:
        stream = given.streams.video[0]
        out = cut.add_stream_from_template(stream)
        given.seek(round(seconds * 1_000_000))
        for packet in given.demux(stream):
            if packet.size and packet.pts is not None and packet.dts is not None:
                assert packet.time_base is not None
                ticks = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
                packet.stream = out
                cut.mux(packet)
    return target


def test_tokens_without_times_have_no_shares() -> None:
    model = tiny.model()
    text = model.encode_text(["circle"])
    video = {
        name: tokens.replace(times_seconds=None)
        for name, tokens in model.encode_frames(*tiny.videos([4])).items()
    }
    with torch.inference_mode():
        account = model.method.align(text, video)
    distinct, shares = frame_shares(model.method.terms, account, video)
    assert (len(distinct), len(shares)) == (0, 0)
    assert len(frame_matches(model.method.terms, account, video)) == 0
