"""One process at a time trains in a folder; what killed ones left is swept; a full disk is one line."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.files.full_disk import full_disk
from tests.training.small import silent, write
from tests.training.test_grid import GRID

from vidsift.errors import (
    CheckpointError,
    FolderBusyError,
    GridBusyError,
    NotSavedError,
    RecipeError,
)
from vidsift.files.locks import hold_lock
from vidsift.training.ablate import ablate
from vidsift.training.grid import Grid
from vidsift.training.recipe import read_recipe
from vidsift.training.run_lock import LOCK, locked_folder
from vidsift.training.trainer import Trainer, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps that is done."""
    folder = tmp_path_factory.mktemp("done")
    train(write(folder, steps=2), output=folder / "run", device="cpu", say=silent)
    return folder / "run"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_two_runs_never_write_to_one_folder(tmp_path: Path, run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in files(run) if (run / name).is_file()}
    with (
        hold_lock(run / LOCK),
        pytest.raises(FolderBusyError, match=rf"process \d+ trains .* in {run}; .*--output"),
    ):
        train(write(tmp_path, steps=2), output=run, resume=False, device="cpu", say=silent)
    assert {name: (run / name).read_bytes() for name in before if name != LOCK} == {
        name: content for name, content in before.items() if name != LOCK
    }


def test_a_trainer_holds_its_folder_until_it_has_run(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, steps=2))
    trainer = Trainer(recipe, tmp_path / "run", device="cpu", say=silent)
    with pytest.raises(FolderBusyError):
        Trainer(recipe, tmp_path / "run", device="cpu", say=silent)
    with pytest.raises(GridBusyError):
        ablate(Grid.model_validate(GRID), tmp_path / "run", say=silent)
    trainer.run()
    with hold_lock(tmp_path / "run" / LOCK):
        pass
    with hold_lock(tmp_path / "run" / LOCK), pytest.raises(FolderBusyError):
        Trainer(recipe, tmp_path / "run", device="cpu", say=silent)


def test_a_disk_without_locks_trains_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(_file: object) -> bool:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("vidsift.files.locks.try_lock", no_locks)
    with locked_folder(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert f"the disk of {tmp_path / 'run'} knows no locks" in caplog.text


def test_a_trainer_that_cannot_be_set_up_lets_go_of_its_folder(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(tmp_path, stages=[{"name": "one", "frames": 2}, {"name": "two", "share": 0.01}])
    )
    with pytest.raises(ValueError, match="gets none of the 8 steps"):
        Trainer(recipe, tmp_path / "run", device="cpu", say=silent)
    with hold_lock(tmp_path / "run" / LOCK):
        pass


def test_a_run_that_cannot_begin_anew_leaves_what_is_there(tmp_path: Path) -> None:
    train(write(tmp_path, steps=2), output=tmp_path / "run", device="cpu", say=silent)
    before = files(tmp_path / "run")
    wrong = write(tmp_path, model={"start": str(tmp_path / "absent"), "method": "drl"})
    with pytest.raises(ValueError, match="absent"):
        train(wrong, output=tmp_path / "run", resume=False, device="cpu", say=silent)
    assert files(tmp_path / "run") == before
    (tmp_path / "captions.jsonl").write_text(
        '{"video": "gone.mp4", "captions": ["a ring"], "split": "train"}\n', encoding="utf-8"
    )
    videos = {"source": "folder", "path": str(tmp_path), "batch_size": 2, "workers": 0}
    gone = write(tmp_path, model={"start": str(tmp_path / "run"), "frames": 2}, data=videos)
    with pytest.raises(ValueError, match=r"gone\.mp4"):
        train(gone, output=tmp_path / "run", resume=False, device="cpu", say=silent)
    assert files(tmp_path / "run") == before
    recipe = read_recipe(write(tmp_path, steps=2))
    old = (tmp_path / "run" / "recipe.yaml").read_bytes()
    with pytest.raises(NotSavedError, match="the recipe could not be written"), full_disk(100):
        Trainer(recipe, tmp_path / "run", resume=False, device="cpu", say=silent).run()
    assert (tmp_path / "run" / "recipe.yaml").read_bytes() == old


def test_a_checkpoint_that_does_not_fit_any_more_is_no_fault_of_ours(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    recipe, last = tmp_path / "run" / "recipe.yaml", tmp_path / "run" / "checkpoints" / "last.pt"
    content = torch.load(last, weights_only=True)
    name, weight = next((name, tensor) for name, tensor in content["weights"].items() if tensor.ndim == 2)
    torch.save(content | {"weights": content["weights"] | {name: weight[1:]}}, last)
    with pytest.raises(
        CheckpointError, match=rf"of step 2 in .* does not fit .*mismatch for {name}.*--no-res"
    ):
        train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    content["optimiser"]["param_groups"].pop()
    torch.save(content, last)
    with pytest.raises(CheckpointError, match=r"does not fit .*parameter groups\)"):
        train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    recipe.unlink()
    with pytest.raises(
        RecipeError, match=rf"there is no recipe {recipe}.* Put that file back .*--no-resume$"
    ):
        train(run / "recipe.yaml", output=tmp_path / "run", device="cpu", say=silent)


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(NotADirectoryError, match=rf"^{output} cannot be made a folder.*--output"):
            train(write(tmp_path), output=output, device="cpu", say=silent)


def test_what_killed_runs_left_is_swept_by_who_holds_the_folder(tmp_path: Path, run: Path) -> None:
    left = [
        "checkpoints/.last.pt.4711",
        ".recipe.yaml.12",
        ".saving.99/model.safetensors",
        ".metrics.jsonl.4",
        "model.safetensors.partial",
        "config.json.partial",
    ]
    users_files = {"notes.txt", ".gitignore", ".diary.2026/monday", ".config.1", "checkpoints/.keep"}
    for name in (*left, *users_files):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("x", encoding="utf-8")
    with hold_lock(run / LOCK), pytest.raises(FolderBusyError):
        Trainer(read_recipe(run / "recipe.yaml"), run, device="cpu", say=silent)
    assert {*left} <= files(run)
    train(run / "recipe.yaml", output=run, device="cpu", say=silent)
    there = files(run)
    assert not there & {*left, ".saving.99"}
    assert users_files <= there


def test_a_full_disk_is_one_line_wherever_the_run_is(tmp_path: Path) -> None:
    recipe, output = read_recipe(write(tmp_path, steps=2)), tmp_path / "run"
    with (
        pytest.raises(NotSavedError, match=rf"could not be written to {tmp_path}.*same command again$"),
        full_disk(),
    ):
        Trainer(recipe, output, device="cpu", say=silent).run()
    run = Trainer(recipe, output, device="cpu", say=silent)
    whole = run._save_checkpoint

    def full(*_: Any) -> None:
        with full_disk(5000):
            whole()

    run._save_checkpoint = full  # type: ignore[method-assign]
    with pytest.raises(NotSavedError, match=rf"checkpoint of step 2 .* to {output}"):
        run.run()
    run = Trainer(recipe, output, device="cpu", say=silent)
    saved = run.model.save

    def full_at_the_end(*arguments: Any, **named: Any) -> None:
        with full_disk(5000):
            saved(*arguments, **named)

    run.model.save = full_at_the_end  # type: ignore[method-assign]
    with pytest.raises(NotSavedError, match=rf"model .* to {output}.*same command again$"):
        run.run()
    assert not (output / "config.json").exists()
    train(output / "recipe.yaml", output=output, device="cpu", say=silent)
    assert (output / "config.json").exists()
