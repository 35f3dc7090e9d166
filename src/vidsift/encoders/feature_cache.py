"""Frozen towers that run over a fixed set of clips once and look their tokens up afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers, Hidden
from vidsift.encoders.text_cache import CachedTexts
from vidsift.encoders.token_shift import shift_of
from vidsift.encoders.tower_digest import tower_hasher
from vidsift.files.disk_errors import saving
from vidsift.files.whole import array_file, whole_folder

__all__ = ["CachedTowers"]

_CLIPS_AT_ONCE = 64
_FP32_BYTES = 4

PixelsOf = Callable[[slice], Tensor]
Walk = Callable[[Tensor, Tensor], tuple[Tensor, Hidden]]


class CachedTowers(ClipTowers):
    """CLIP towers whose vision tower does not learn, beside a memory of what it makes of a set of clips.

    While they are in use, the vision tower must not change, and has no dropout. Inside :meth:`clips`, the
    frames of clips of the set are looked up; the first time that a method wants a kind of result (class
    tokens, all tokens, every layer's states; with or without token shift) it is computed for the whole set
    and kept in files in fp32, which runs of the same towers share. The tokens of texts are looked up where
    texts are given. Elsewhere these are the towers that they wrap: same weights, same parameter names.

    Attributes:
        in_use: whether frames of the set are looked up.

    Args:
        towers: what is wrapped.
        folder: keeps the memory; each set and each state of the weights has files of its own.
        count: how many clips the set has.
        pixels_of: normalised frames of some of them, ``(B, F, 3, S, S)``.
        description: what the set is, as JSON can hold it.
        texts: those whose tokens are looked up; the text tower must not change either.
    """

    def __init__(
        self,
        towers: ClipTowers,
        folder: str | Path,
        count: int,
        pixels_of: PixelsOf,
        description: dict[str, Any],
        *,
        texts: CachedTexts | None = None,
    ) -> None:
        """See the class."""
        # Not ClipTowers' own: the wrapped model is taken as it is, under the same parameter names.
        nn.Module.__init__(self)
        self.clip, self.attention = towers.clip, towers.attention
        self._pixels_of, self._count = pixels_of, count
        self._root, self._description = Path(folder), description
        self._rows: NDArray[np.int64] | None = None
        self._results: dict[str, list[NDArray[np.float32]]] = {}
        self._walks: dict[str, Walk] = {}
        self._sizes: dict[str, int] | None = None
        self.in_use = True
        self._texts = texts
        # Where training lets it compute blocks in another way.
        self.run_vision_block = towers.run_vision_block

    def use(
        self,
        folder: str | Path | None,
        description: Mapping[str, Any] | None = None,
        texts: CachedTexts | None = None,
    ) -> None:
        """Look up in another folder from now on, with the weights as they are now; nowhere where None.

        Args:
            folder: see the class.
            description: likewise; stays where None.
            texts: likewise; none where None.
        """
        # Files that stay open could not be removed everywhere.
        self._results.clear()
        if self._texts is not None:
            self._texts.close()
        self._texts = texts
        self.in_use = folder is not None
        if folder is not None:
            self._root = Path(folder)
            self._description = self._description if description is None else dict(description)

    @property
    def files(self) -> Path:
        """The folder of what these towers, as they are now, make of the set."""
        return self._root / f"towers-{self._digest()}"

    @torch.no_grad()
    def kinds_of(self, encode: Callable[[], object]) -> dict[str, int]:
        """Return which kinds of results are wanted of a clip, and the bytes of their files for the set.

        Args:
            encode: encodes frames of one clip.
        """
        self._sizes = {}
        try:
            encode()
            return self._sizes
        finally:
            self._sizes = None

    def compute(self, kinds: Iterable[str]) -> None:
        """Write the files of such kinds of results, and of the texts, where they are missing.

        Raises:
            NotSavedError: the disk takes no more.
        """
        for name in kinds:
            self._results[name] = self._open(name, self._walks[name])
        if self._texts is not None:
            self._texts.open(self)

    @contextmanager
    def clips(self, rows: NDArray[np.int64]) -> Iterator[None]:
        """Say which clips of the set the next frames are."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = None

    @overload
    def encode_text(self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: Literal[False] = False) -> Tensor: ...
    @overload
    def encode_text(
        self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: Literal[True]
    ) -> tuple[Tensor, Hidden]: ...
    def encode_text(
        self, ids_QT: Tensor, mask_QT: Tensor, *, hidden: bool = False
    ) -> Tensor | tuple[Tensor, Hidden]:
        """Look tokens up, or encode where a text is none of those given or all layers are wanted.

        See :class:`ClipTowers`.
        """
        if hidden:
            return super().encode_text(ids_QT, mask_QT, hidden=True)
        if self._texts is not None:
            self._check_text(mask_QT)
            tokens_QTD = self._texts.look_up(self, ids_QT, mask_QT)
            if tokens_QTD is not None:
                return tokens_QTD
        return super().encode_text(ids_QT, mask_QT)

    def _walk_frames(
        self,
        pixels_BF3SS: Tensor,
        mask_BF: Tensor,
        shift_blocks: Sequence[int],
        *,
        with_padded: bool,
        hidden: bool,
        shift_n_div: int,
        class_only: bool = False,
    ) -> tuple[Tensor, Hidden]:
        """Look the frames up, or walk where they are none of the set."""
        shift_blocks, shift_n_div = shift_of(self.config, shift_blocks, shift_n_div)
        walk = partial(
            super()._walk_frames,
            shift_blocks=shift_blocks,
            with_padded=with_padded,
            hidden=hidden,
            shift_n_div=shift_n_div,
            class_only=class_only,
        )
        if self._rows is None and self._sizes is None:
            return walk(pixels_BF3SS, mask_BF)
        if not bool(mask_BF.all()):
            raise ValueError(
                "cached clips have no padded frames, but the mask hides some; pass one that is all True"
            )
        blocks = sorted(self._block_numbers(shift_blocks))
        shifted = f"shift{shift_n_div}-{'.'.join(map(str, blocks))}" if blocks else "plain"
        name = f"{shifted}-{'class' if class_only else 'all'}-{'states' if hidden else 'last'}"
        self._walks[name] = walk
        if self._sizes is not None:
            seen = walk(pixels_BF3SS, mask_BF)
            tensors = (seen[0], *seen[1])
            self._sizes[name] = sum(_FP32_BYTES * tensor[0].numel() for tensor in tensors) * self._count
            return seen
        if name not in self._results:
            self._results[name] = self._open(name, walk)
        device = mask_BF.device
        # Indexing by an array copies, so that nobody is given the file itself.
        first, *states = (torch.from_numpy(array[self._rows]).to(device) for array in self._results[name])
        return first, tuple(states)

    def _digest(self) -> str:
        """Tell this set and these towers, as they are now, from others."""
        tower = self.clip.vision_model
        facts = [self._description, self.attention, tower.config.to_dict()]
        return tower_hasher(facts, tower, self.clip.visual_projection).hexdigest()[:16]

    @torch.no_grad()
    def _open(self, name: str, walk: Walk) -> list[NDArray[np.float32]]:
        """Open the files of a kind of result; write them first where they are missing."""
        folder = self.files / name
        # A folder that is there is complete: it is put in place at once.
        if not folder.is_dir():
            self._write(folder, walk)
        # Mapped, not read: all layers' states of a set may be larger than the memory.
        return [np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))]

    def _write(self, folder: Path, walk: Walk) -> None:
        """Look at the whole set and write what comes of it."""
        with (
            saving("what towers make of the set of clips", self._root),
            whole_folder(folder) as temporary,
            ExitStack() as files,
        ):
            appenders: list[Callable[[NDArray[Any]], None]] = []
            for start in range(0, self._count, _CLIPS_AT_ONCE):
                rows = slice(start, min(start + _CLIPS_AT_ONCE, self._count))
                for number, array in enumerate(self._walk_clips(rows, walk)):
                    if number == len(appenders):
                        # Two digits: files are read back in the order of their names.
                        file, shape = temporary / f"{number:02}.npy", (self._count, *array.shape[1:])
                        appenders.append(files.enter_context(array_file(file, np.float32, shape)))
                    appenders[number](array)

    def _walk_clips(self, rows: slice, walk: Walk) -> list[NDArray[np.float32]]:
        pixels = self._pixels_of(rows).to(self.logit_scale.device)
        mask = torch.ones(pixels.shape[:2], dtype=torch.bool, device=pixels.device)
        # The files are shared with runs in other precisions, so they hold what fp32 gives.
        with torch.autocast(pixels.device.type, enabled=False):
            tokens, states = walk(pixels, mask)
        return [tensor.float().cpu().numpy() for tensor in (tokens, *states)]
