"""What several processes do together around the steps: open the folder of a run, and agree on each batch."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from vidsift.data.loading import Batch
from vidsift.data.share import part_of_batch
from vidsift.training.distributed import Processes
from vidsift.training.placement import Placement
from vidsift.training.recipe import Recipe
from vidsift.training.run_folder import RunFolder

__all__ = ["agree_on_batch", "open_together", "set_threads"]


def open_together(folder: RunFolder, recipe: Recipe, resume: bool | None, processes: Processes) -> Recipe:
    """Let the first process open the folder of a run, and the others follow its recipe.

    Returns:
        See :meth:`RunFolder.open`.

    Raises:
        ValueError: see there; the other processes end as the first one does.
    """
    opened = recipe

    def open_first() -> list[object]:
        nonlocal opened
        opened = folder.open(recipe, resume)
        return [opened.model_dump(mode="json"), folder.resuming]

    values, resuming = processes.from_first(open_first)
    folder.resuming = bool(resuming)
    return opened if processes.first else Recipe.model_validate(values)


def set_threads(threads: int | None, place: Placement, device: torch.device) -> None:
    """Set how many threads of the CPU a process computes with.

    Several on one machine share its cores where neither the recipe nor the environment says more.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    elif place.processes > 1 and device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // place.local_processes))


def agree_on_batch(batch: Batch, make_whole: Callable[[], Batch], processes: Processes) -> Batch:
    """Tell each other what of a batch could not be read.

    Args:
        batch: this process's rows.
        make_whole: makes the whole batch, with others in the places of what cannot be read.
        processes: which have the other rows.

    Returns:
        The rows, with what could not be read of all of the batch. Where fewer than two videos of all can be
        read, every process makes the whole batch and takes its rows of that: it is rare, and what one
        process alone would have trained on.
    """
    if processes.count == 1:
        return batch
    said = processes.exchange([len(batch.rows), batch.failed, batch.partial])
    if sum(rows for rows, _, _ in said) < 2:
        return part_of_batch(make_whole(), processes.share)
    failed, partial = (
        tuple((str(path), str(reason)) for _, *kinds in said for path, reason in kinds[kind])
        for kind in range(2)
    )
    return batch._replace(failed=failed, partial=partial)
