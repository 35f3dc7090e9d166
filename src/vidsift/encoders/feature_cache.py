"""Frozen towers that look at a fixed set of clips once, and remember every number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers, Hidden
from vidsift.files.disk_errors import saving
from vidsift.files.whole import array_file, whole_folder

__all__ = ["RememberedTowers"]

_TOGETHER = 64

PixelsOf = Callable[[slice], Tensor]


class RememberedTowers(ClipTowers):
    """CLIP towers whose vision tower does not learn, beside a memory of what it makes of a set of clips.

    Inside :meth:`of`, the frames of clips of the set are looked up; the first time that a method wants a kind
    of result (class tokens, all tokens, every layer's states; with or without token shift) it is computed
    for the whole set and kept in files in fp32, which runs of the same towers share. Elsewhere, and for
    texts, these are the towers that they wrap: same weights, same parameter names.

    Args:
        towers: what is wrapped.
        folder: keeps the memory; each set and each state of the weights has files of its own.
        clips: how many there are.
        pixels_of: normalised frames of some of them, ``(B, F, 3, S, S)``.
        about: what the set is, as JSON can hold it.
    """

    def __init__(
        self, towers: ClipTowers, folder: str | Path, clips: int, pixels_of: PixelsOf, about: dict[str, Any]
    ) -> None:
        """See the class."""
        nn.Module.__init__(self)
        self.clip, self.attention = towers.clip, towers.attention
        self._pixels_of, self._clips = pixels_of, clips
        self._root, self._about = Path(folder), about
        self._rows: NDArray[np.int64] | None = None
        self._maps: dict[str, list[NDArray[np.float32]]] = {}

    @contextmanager
    def of(self, rows: NDArray[np.int64]) -> Iterator[None]:
        """Say which clips of the set the next frames are."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = None

    def _walk_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int],
        *,
        whole: bool,
        keep: bool,
        shift_n_div: int,
        class_only: bool = False,
    ) -> tuple[Tensor, Hidden]:
        """Look the frames up, or walk where they are none of the set."""
        walk = partial(
            super()._walk_frames,
            shift_blocks=shift_blocks,
            whole=whole,
            keep=keep,
            shift_n_div=shift_n_div,
            class_only=class_only,
        )
        if self._rows is None:
            return walk(pixels_BF3SS, mask_BF)
        if not bool(mask_BF.all()):
            raise ValueError("remembered clips have no padded frames, but the mask hides some")
        blocks = sorted(self._block_numbers(shift_blocks))
        shifted = f"shift{shift_n_div}-{'.'.join(map(str, blocks))}" if blocks else "plain"
        name = f"{shifted}-{'class' if class_only else 'all'}-{'states' if keep else 'last'}"
        if name not in self._maps:
            self._maps[name] = self._recall(name, walk)
        device = mask_BF.device
        first, *states = (torch.from_numpy(one[self._rows]).to(device) for one in self._maps[name])
        return first, tuple(states)

    def _digest(self) -> str:
        """Tell this set and these towers, as they are now, from others."""
        config = self.clip.vision_model.config.to_dict()
        what = json.dumps([self._about, self.attention, config], sort_keys=True, default=str)
        hasher = hashlib.sha256(what.encode())
        weights = {**self.clip.vision_model.state_dict(), "projection": self.clip.visual_projection.weight}
        for name, value in sorted(weights.items()):
            hasher.update(name.encode())
            hasher.update(value.detach().float().cpu().numpy().tobytes())
        return hasher.hexdigest()[:16]

    @torch.no_grad()
    def _recall(
        self, name: str, walk: Callable[[Tensor, Tensor], tuple[Tensor, Hidden]]
    ) -> list[NDArray[np.float32]]:
        """Open the files of a kind of result; write them first where they are missing."""
        folder = self._root / f"towers-{self._digest()}"
        place = folder / name
        if not place.is_dir():
            self._keep(place, walk)
        return [np.load(file, mmap_mode="r") for file in sorted(place.glob("*.npy"))]

    def _keep(self, place: Path, walk: Callable[[Tensor, Tensor], tuple[Tensor, Hidden]]) -> None:
        """Look at the whole set and write what comes of it."""
        with (
            saving("what towers make of the set of clips", self._root),
            whole_folder(place) as temporary,
            ExitStack() as files,
        ):
            adders: list[Callable[[NDArray[Any]], None]] = []
            for at in range(0, self._clips, _TOGETHER):
                made = self._walk_some(slice(at, min(at + _TOGETHER, self._clips)), walk)
                for number, one in enumerate(made):
                    if number == len(adders):
                        file, shape = temporary / f"{number:02}.npy", (self._clips, *one.shape[1:])
                        adders.append(files.enter_context(array_file(file, np.float32, shape)))
                    adders[number](one)

    def _walk_some(
        self, some: slice, walk: Callable[[Tensor, Tensor], tuple[Tensor, Hidden]]
    ) -> list[NDArray[np.float32]]:
        pixels = self._pixels_of(some).to(self.logit_scale.device)
        mask = torch.ones(pixels.shape[:2], dtype=torch.bool, device=pixels.device)
        with torch.autocast(pixels.device.type, enabled=False):
            tokens, states = walk(pixels, mask)
        return [one.float().cpu().numpy() for one in (tokens, *states)]
