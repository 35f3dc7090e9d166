"""What numbers depend on beside the model: which code, on which machine, how a model looks at videos."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vidsift import __version__
from vidsift.encoders.device import processor_features
from vidsift.methods.model import Model
from vidsift.video.preprocessing import Sampling

__all__ = ["code_version", "hardware", "look_differently", "model_facts"]

_ROOT = Path(__file__).parents[3]


def code_version() -> dict[str, Any]:
    """Return the version of vidsift, and of a checkout its commit and whether files differ from it."""
    version: dict[str, Any] = {"version": __version__, "torch": torch.__version__}
    git = shutil.which("git")
    # An installed package lies in somebody else's folder, whose commit says nothing of it.
    if git is None or not ((_ROOT / ".git").exists() and (_ROOT / "pyproject.toml").is_file()):
        return version
    answers = []
    for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            done = subprocess.run(  # noqa: S603 - the program that was looked up, fixed arguments
                [git, "-C", str(_ROOT), *command], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return version
        answers.append(done.stdout.strip())
    return version | {"commit": answers[0], "changed": bool(answers[1])}


def hardware(device: torch.device) -> dict[str, Any]:
    """Return the processor with what it can do, the threads, and the GPU where one computed."""
    features = processor_features()
    facts: dict[str, Any] = {
        "processor": _processor_name(),
        "features": sorted(name for name, able in features.items() if able is True),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def model_facts(model: Model) -> dict[str, Any]:
    """Return what of the model the numbers depend on."""
    towers = model.method.towers
    side = round(towers.patches**0.5)
    backbone = (
        f"CLIP ViT, patches of {towers.image_size_px // side} px, {towers.vision_blocks} blocks, "
        f"width {towers.vision_width}; text width {towers.text_width}; shared {towers.dim}"
    )
    return {
        "frames": model.preprocessing.frames,
        "sampling": model.preprocessing.sampling,
        "size_px": model.preprocessing.size_px,
        "max_words": model.max_words,
        "precision": str(model.precision).removeprefix("torch."),
        "model": model.name,
        "method": model.method_name,
        "arguments": dict(model.arguments),
        "backbone": backbone,
        "fingerprint": model.fingerprint,
    }


def look_differently(
    model: Model, *, frames: int | None = None, sampling: Sampling | None = None, max_words: int | None = None
) -> dict[str, list[Any]]:
    """Let a model look at other frames, or read other lengths, than it says itself.

    Args:
        model: is changed.
        frames: frames of a video.
        sampling: which seconds.
        max_words: longest text in tokens.

    Returns:
        For each that differs what it was and what it is; for the protocol.

    Raises:
        ValueError: the text tower does not take such texts, or a number is none.
    """
    looking = model.preprocessing
    before = {"frames": looking.frames, "sampling": looking.sampling, "max_words": model.max_words}
    after = {
        "frames": frames or looking.frames,
        "sampling": sampling or looking.sampling,
        "max_words": model.max_words if max_words is None else max_words,
    }
    longest = model.method.towers.max_tokens
    if max_words is not None and not 3 <= max_words <= longest:
        raise ValueError(
            f"max_words is {max_words}; expected 3 (start, one word, end) to {longest}, the longest text "
            "that the text tower takes"
        )
    model.preprocessing = replace(
        looking, frames=frames or looking.frames, sampling=sampling or looking.sampling
    )
    model.max_words = model.max_words if max_words is None else max_words
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}
