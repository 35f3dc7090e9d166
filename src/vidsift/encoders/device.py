"""Where to compute."""

from __future__ import annotations

import torch

__all__ = ["choose_device"]


def choose_device(device: torch.device | str = "auto") -> torch.device:
    """Return the device that is meant, if it is there.

    Args:
        device: "auto" for a GPU where there is one and else the CPU, or a name that torch knows.

    Raises:
        ValueError: there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as problem:
        raise ValueError(f"device is {device!r}, expected auto, cpu or cuda") from problem
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, but torch finds no GPU here; use auto or cpu")
    return place
