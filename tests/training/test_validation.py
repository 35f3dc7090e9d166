"""Validation on folders: nothing is chosen by a test split, and what a video counts that is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.training.small import silent, write

from vidsift.data.folder import CaptionedFolder
from vidsift.data.video_batches import ShuffledVideos
from vidsift.errors import CaptionsError, MissingVideosError, RecipeError, SelectionOnTestError
from vidsift.shapes.library import write_library
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import batch_maker
from vidsift.training.trainer import Trainer
from vidsift.training.validation import Validation

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips that all folders of these tests name by different splits."""
    folder = tmp_path_factory.mktemp("videos")
    write_library(folder, "val", 8, size_px=32, frames_per_second=4, workers=1)
    return folder


@pytest.fixture
def folder(tmp_path: Path, videos: Path) -> Callable[..., Path]:
    """Make a folder of the eight clips: four to train on, and four of another split."""

    def made(split: str = "val", name: str = "folder", more: Lines | None = None) -> Path:
        root = tmp_path / name
        root.mkdir()
        lines = []
        for number, line in enumerate((videos / "captions.jsonl").read_text("utf-8").splitlines()):
            said = json.loads(line)
            shutil.copy(videos / said["video"], root)
            lines.append(said | {"split": "train" if number < 4 else split})
        text = "\n".join(map(json.dumps, [*lines, *(more or [])]))
        (root / "captions.jsonl").write_text(text, encoding="utf-8")
        return root

    return made


def trainer(tmp_path: Path, root: Path, say: Callable[[str], None] = silent, **validation: Any) -> Trainer:
    data = {"source": "folder", "path": str(root), "batch_size": 4, "workers": 0}
    tmp_path.mkdir(exist_ok=True)
    recipe = write(tmp_path, data=data, steps=2, validation={"every_steps": 1, "videos": 9} | validation)
    return Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=say)


@pytest.mark.parametrize(("split", "declared"), [("test_1", None), ("1k-A", ["1k-A"]), ("val_1", ["val_1"])])
def test_a_test_split_of_any_name_is_refused_at_the_start(
    tmp_path: Path, folder: Callable[..., Path], split: str, declared: list[str] | None
) -> None:
    root = folder(split)
    if declared is not None:
        (root / "dataset.json").write_text(json.dumps({"test_splits": declared}), encoding="utf-8")
    with pytest.raises(SelectionOnTestError, match=f"validation in .* on the split '{split}', a test split"):
        trainer(tmp_path, root, split=split).run()
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(("split", "declared"), [("latest", None), ("contest", None), ("test_1", ["final"])])
def test_a_name_alone_makes_no_test_split(
    tmp_path: Path, folder: Callable[..., Path], split: str, declared: list[str] | None
) -> None:
    root = folder(split, more=[{"video": "gone.mp4", "captions": ["nothing"], "split": "final"}])
    if declared is not None:
        (root / "dataset.json").write_text(json.dumps({"test_splits": declared}), encoding="utf-8")
    result = trainer(tmp_path, root, split=split).run()
    assert result["validation"]["text_to_video"]["questions"] == 12


def test_another_folder_says_for_itself_what_is_test(tmp_path: Path, folder: Callable[..., Path]) -> None:
    root, other = folder("val"), folder("final", name="other")
    (root / "dataset.json").write_text('{"test_splits": ["val"]}', encoding="utf-8")
    result = trainer(tmp_path, root, split="final", path=str(other)).run()
    assert result["validation"]["protocol"]["videos"] == 4
    (other / "dataset.json").write_text('{"test_splits": ["final"]}', encoding="utf-8")
    with pytest.raises(SelectionOnTestError, match=r"validation in .*other on the split 'final'"):
        trainer(tmp_path, root, split="final", path=str(other)).run()


def test_a_run_on_shapes_can_look_at_a_folder(tmp_path: Path, folder: Callable[..., Path]) -> None:
    part = {"every_steps": 1, "split": "final", "path": str(folder("final"))}
    recipe = write(tmp_path, steps=1, validation=part)
    result = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=silent).run()
    assert result["validation"]["protocol"]["videos"] == 4


def test_nothing_is_trained_on_a_test_split(tmp_path: Path, folder: Callable[..., Path]) -> None:
    root = folder()
    (root / "dataset.json").write_text('{"test_splits": ["train"]}', encoding="utf-8")
    with pytest.raises(SelectionOnTestError, match=r"training in .* on the split 'train', a test split"):
        trainer(tmp_path, root).run()


def gone(*splits: str) -> Lines:
    return [
        {"video": f"gone{number}.mp4", "captions": ["nothing"], "split": split}
        for number, split in enumerate(splits)
    ]


def test_videos_to_train_on_that_are_not_there_are_all_named(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    root = folder(more=gone("train", "train", "final"))
    with pytest.raises(MissingVideosError, match=r"2 of 6 videos missing: .*gone0.mp4: .*; .*gone1.mp4: "):
        trainer(tmp_path, root).run()


def broken(folder: Callable[..., Path]) -> Path:
    root = folder(more=[{"video": "broken.mp4", "captions": ["nothing"], "split": "val"}])
    (root / "broken.mp4").write_text("no video", encoding="utf-8")
    return root


def test_a_run_does_not_start_with_a_validation_video_that_cannot_be_read(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    lines: list[str] = []
    run = trainer(tmp_path, broken(folder), lines.append)
    with pytest.raises(
        MissingVideosError, match=r"1 of 5 videos missing: .*broken.mp4: .*validation.missing=m"
    ):
        run.run()
    assert run.step == 0
    assert lines[-1].startswith("reading 5 validation videos once")
    other = folder(name="other", more=gone("final", "val"))
    with pytest.raises(
        MissingVideosError, match=r"1 of 5 videos missing: .*gone1.mp4: there is no such file"
    ):
        trainer(tmp_path, other).run()


@pytest.mark.parametrize(("missing", "questions"), [("miss", 13), ("skip", 12)])
def test_what_is_missing_counts_as_the_recipe_says(
    tmp_path: Path, folder: Callable[..., Path], missing: str, questions: int
) -> None:
    lines: list[str] = []
    result = trainer(tmp_path, broken(folder), lines.append, missing=missing).run()
    assert result["validation"]["text_to_video"]["questions"] == questions
    words = {"miss": "counted as not found", "skip": "left out"}[missing]
    said = [line for line in lines if line.startswith("validation at step")]
    assert len(said) == 2
    assert all(f": 1 of 5 videos missing, {words}: text to video R@1" in line for line in said)
    assert f"1 of 5 videos missing, {words}" in (tmp_path / "run" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("missing", ["miss", "skip"])
def test_a_run_does_not_start_where_no_validation_video_can_be_read(
    tmp_path: Path, folder: Callable[..., Path], missing: str
) -> None:
    root = folder()
    for line in (root / "captions.jsonl").read_text("utf-8").splitlines()[4:]:
        (root / json.loads(line)["video"]).write_text("no video", encoding="utf-8")
    run = trainer(tmp_path, root, missing=missing)
    with pytest.raises(MissingVideosError, match=r"4 of 4 videos missing: .*Look whether their drive"):
        run.run()
    assert run.step == 0


def test_another_data_set_can_be_validated_on(tmp_path: Path, folder: Callable[..., Path]) -> None:
    other = {"source": "folder", "path": str(folder("final"))}
    recipe = write(tmp_path, steps=1, validation={"split": "final", "data": other})
    result = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=silent).run()
    assert result["validation"]["protocol"]["videos"] == 4
    assert read_recipe(tmp_path / "run" / "recipe.yaml").validation == read_recipe(recipe).validation
    both = {"split": "final", "data": other, "path": "x"}
    with pytest.raises(RecipeError, match="path and data each say what to validate on; give one of them"):
        read_recipe(write(tmp_path, validation=both))
    with pytest.raises(RecipeError, match=r"unknown key validation\.data\.pth .*known here: .*cache, jitter"):
        read_recipe(write(tmp_path, validation={"data": other | {"pth": "x"}}))


def test_where_there_is_no_validation_split_one_is_cut_from_training(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    root = folder("train")
    lines: list[str] = []
    run = trainer(tmp_path, root, lines.append, cut=3)
    result = run.run()
    note = "3 of 8 training videos, cut by seed 0, are validated on, not trained on"
    assert note in lines
    assert note in (tmp_path / "run" / "README.md").read_text("utf-8")
    assert result["validation"]["protocol"]["videos"] == 3
    cut = {entry.path for entry in run.recipe.data.cut_entries}
    maker = batch_maker(run.recipe, run.model, run.stages)
    assert isinstance(maker, ShuffledVideos)
    assert {entry.path for entry in maker.entries} == set(root.glob("*.mp4")) - cut
    # The seed alone decides, not the order of the lines.
    captions = (root / "captions.jsonl").read_text("utf-8").splitlines()
    (root / "captions.jsonl").write_text("\n".join(reversed(captions)), encoding="utf-8")
    assert {entry.path for entry in run.recipe.data.cut_for_validation(3, 0).cut_entries} == cut
    assert {entry.path for entry in run.recipe.data.cut_for_validation(3, 1).cut_entries} != cut
    with pytest.raises(RecipeError, match=r"holds another run \(different: validation\.cut\)"):
        trainer(tmp_path, root, cut=2)
    with pytest.raises(CaptionsError, match=r"validation\.cut is 7, but .* has 8 videos to train on"):
        trainer(tmp_path / "run", root, cut=7)


def test_parts_of_a_cut_file_go_with_it(tmp_path: Path, folder: Callable[..., Path]) -> None:
    root = folder("train")
    parts = [json.loads(line) for line in (root / "captions.jsonl").read_text("utf-8").splitlines()]
    lines = [part | {"start": start, "end": start + 1} for part in parts for start in (0, 1)]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    smaller = CaptionedFolder.from_files("folder", str(root), None).cut_for_validation(2, 0)
    assert len(smaller.cut_entries) == 4
    assert len({entry.path for entry in smaller.cut_entries}) == 2
    assert smaller.epoch().items == 12


def test_shapes_have_a_split_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match=r"Shapes has splits to validate on: leave validation\.cut out"):
        Trainer(read_recipe(write(tmp_path, validation={"cut": 4})), tmp_path / "run", say=silent)


def test_a_video_that_breaks_on_the_way_does_not_end_the_run(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    root = folder()
    lines: list[str] = []
    run = trainer(tmp_path, root, lines.append)
    whole = run._train_step

    def step(batch: Any) -> None:
        whole(batch)
        if run.step == 2:
            (
                root / json.loads((root / "captions.jsonl").read_text("utf-8").splitlines()[-1])["video"]
            ).unlink()

    run._train_step = step  # type: ignore[method-assign]
    result = run.run()
    assert result["validation"]["protocol"]["missing"]["count"] == 1
    assert result["validation"]["text_to_video"]["questions"] == 12
    first, last = (line for line in lines if line.startswith("validation at step"))
    assert "missing" not in first
    assert "1 of 4 videos missing, counted as not found" in last


def test_the_splits_of_shapes_are_drawn_as_asked(tmp_path: Path) -> None:
    captions = []
    for split in ("val", "train"):
        recipe = read_recipe(write(tmp_path, validation={"videos": 4, "split": split}))
        run = Trainer(recipe, tmp_path / split, device="cpu", say=silent)
        captions.append([entry.captions for entry in Validation(recipe, run.model).entries])
    assert captions[0] != captions[1]
