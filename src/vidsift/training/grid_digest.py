"""What a finished run of a grid is known by, so that it is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vidsift.training.arguments import changed_defaults
from vidsift.training.grid import GridJob

__all__ = ["digest", "digest_of", "weights_of_start"]


def digest_of(job: GridJob) -> str:
    """Return what a finished run is known by: all that its weights and its judgement depend on.

    That is the recipe (but for names, logs, and where and by how many processes it is computed), defaults
    that were others in earlier versions, the weights that it starts from where they lie in a folder, the
    number and seed of test videos, and of a grid with backbones how it is judged and whether its model is
    kept.
    """
    values = job.recipe.model_dump(mode="json")
    unseen = (
        "name",
        "threads",
        "card",
        "validation",
        "evaluation",
        "log_every_steps",
        "checkpoint_every_steps",
    )
    for name in unseen:
        del values[name]
    if (section := job.recipe.validation) is not None and (section.cut or section.select != "last"):
        values["validation"] = {"cut": section.cut, "select": section.select}
    # A key of later versions that is not used: what earlier ones finished goes by the same digest.
    if job.recipe.epochs is None:
        del values["epochs"]
    for name in ("identity_heads", "text_windows"):
        if not getattr(job.recipe.model, name):
            del values["model"][name]
    if job.recipe.model.new is not None and not job.recipe.model.new.shift_blocks:
        del values["model"]["new"]["shift_blocks"], values["model"]["new"]["shift_n_div"]
    values["data"] = job.recipe.data.identity()
    values["model"]["arguments"] |= changed_defaults(job.recipe)
    # The tuning never looks at them.
    drawn = [f"test seed {job.test_seed}"] if job.test_seed and job.trial is None else []
    if job.backbone is not None:
        judged = [job.galleries, job.validation_videos, job.trial is not None, job.keep_model, "beginning"]
        return digest([values, weights_of_start(job), job.test_videos, *drawn, *judged])
    return digest([values, weights_of_start(job), job.test_videos, *drawn])


def digest(facts: Sequence[Any]) -> str:
    """Return 16 hexadecimal digits that stand for facts which JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def weights_of_start(job: GridJob) -> str:
    """Return the digest of the weights that a run starts from; empty where no folder holds them."""
    start = Path(job.recipe.model.start or "") / "model.safetensors"
    facts = start.stat() if start.is_file() else None
    return _hash_of(start, facts.st_size, facts.st_mtime_ns) if facts else ""


# By size and time too, so that weights that were replaced are read again.
@cache
def _hash_of(file: Path, _size: int, _changed_ns: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
