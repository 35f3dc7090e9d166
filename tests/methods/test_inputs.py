"""The one door: widths, what is cut and what padded, and what padded pictures hold."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods import tiny

import vidsift

BELOW_THE_DOOR = {
    "encode.py": "times the towers, each way of giving them sentences and pictures against the others",
    "made_up.py": "random ids and numbers of the shapes that a method takes: no sentence, no picture",
    "pidro.py": "as made_up, with the same numbers for every row of the paper's table",
    "training_step.py": "as made_up: the released step and ours are given the very same numbers",
}
"""Benchmark -> why it gives towers or a method inputs that the door did not make."""

PADDED_OUT = ("drl", {"interaction": "wti", "temporal": "none"})
PADDED_IN = ("drl", {"interaction": "ti", "temporal": "none", "padding": "zero"})


def test_inputs_are_as_wide_as_the_longest_of_them() -> None:
    inputs = tiny.model(*PADDED_OUT).inputs
    tokenized = inputs.tokenize(tiny.CAPTIONS)
    assert tokenized.ids.shape[1] == tiny.MAX_WORDS
    shorter = inputs.text(tokenized, torch.tensor([2, 3]))
    assert shorter.mask.sum(dim=1).max() == shorter.ids.shape[1] < tiny.MAX_WORDS
    assert torch.equal(shorter.ids, tokenized.ids[2:4, : shorter.ids.shape[1]])


def test_padding_that_takes_part_fills_the_whole_width_with_zeros() -> None:
    inputs = tiny.model(*PADDED_IN).inputs
    text = inputs.text(inputs.tokenize(["circle"]))
    assert text.ids.shape == text.mask.shape == (1, tiny.MAX_WORDS)
    pixels, times = tiny.videos([2])
    mask = torch.ones(1, 2, dtype=torch.bool)
    video = inputs.video(torch.from_numpy(pixels[0][None]), mask, torch.from_numpy(times[0][None]))
    assert video.pixels.shape[:2] == video.mask.shape == video.times_seconds.shape == (1, tiny.FRAMES)
    assert video.mask.tolist() == [[True, True, False, False, False]]
    assert bool((video.pixels[0, 2:] == 0).all())
    assert torch.equal(video.pixels[0, :2], inputs.norm(torch.from_numpy(pixels[0])))


@pytest.mark.parametrize(("variant", "width"), [(PADDED_OUT, 2), (PADDED_IN, tiny.FRAMES)])
def test_columns_in_which_nothing_is_real_do_not_count(
    variant: tuple[str, dict[str, str]], width: int
) -> None:
    inputs = tiny.model(*variant).inputs
    pixels = torch.from_numpy(np.stack(tiny.videos([7, 7])[0]))
    mask = torch.arange(7) < torch.tensor([[2], [1]])
    video = inputs.video(pixels, mask, torch.zeros(2, 7))
    assert video.pixels.shape[1] == video.mask.shape[1] == width
    assert video.mask.sum(dim=1).tolist() == [2, 1]


def test_towers_that_remember_pictures_need_none() -> None:
    mask = torch.ones(3, 2, dtype=torch.bool)
    video = tiny.model(*PADDED_OUT).inputs.video(None, mask, torch.zeros(3, 2))
    assert video.pixels.shape == (3, 2, 3, 0, 0)
    assert torch.equal(video.mask, mask)


def called(path: Path) -> set[str]:
    """What a file calls: ``name()``, ``.name()`` of anything, and ``holder.name()`` of a named holder."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            names.add(f"{node.func.id}()")
        if isinstance(node.func, ast.Attribute):
            holder = getattr(node.func.value, "attr", getattr(node.func.value, "id", ""))
            names |= {f".{node.func.attr}()", f"{holder.lstrip('_')}.{node.func.attr}()"}
    return names


def test_nothing_else_gives_a_method_its_inputs() -> None:
    """A file that encodes takes what it encodes from the door, and nothing else tokenises or normalises."""
    root = Path(vidsift.__file__).parent
    calls = {path.relative_to(root).as_posix(): called(path) for path in root.rglob("*.py")}
    encoding = {name for name, made in calls.items() if made & {".text_features()", ".video_features()"}}
    assert encoding == {"methods/model.py", "training/features.py", "training/stage_features.py"}
    for name in encoding:
        assert calls[name] & {"inputs.video()", "inputs.pictures()"}
        # What frozen towers make of stored videos holds no sentence.
        assert name == "training/stage_features.py" or calls[name] & {
            "inputs.text()",
            "inputs.text_batches()",
        }
    for alone in ("tokenizer.encode()", "norm()", "model.norm()", "inputs.norm()"):
        assert {name for name, made in calls.items() if alone in made} <= {"methods/inputs.py"}
    assert "tokenizer.encode()" in calls["methods/inputs.py"]


def test_benchmarks_go_through_the_door_but_for_those_below_it() -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    calls = {path.name: called(path) for path in folder.glob("*.py")}
    inside = {".text_features()", ".video_features()", ".encode_text_packed()", ".encode_images()", ".norm()"}
    tokenising = {"tokenizer.encode()", "Tokenizer.from_bpe_file()", "Tokenizer()"}
    assert {name for name, made in calls.items() if made & (inside | tokenising)} == set(BELOW_THE_DOOR)
