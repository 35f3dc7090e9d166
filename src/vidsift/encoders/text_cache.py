"""What a text tower that does not learn makes of a set of texts, computed once and looked up by their ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.tower_digest import tower_hasher
from vidsift.files.disk_errors import saving
from vidsift.files.whole import array_file, whole_folder

__all__ = ["CachedTexts"]

_TEXTS_AT_ONCE = 64
_FP32_BYTES = 4

Ids = NDArray[np.int64]


class CachedTexts:
    """Every token that a text tower makes of a set of texts, in files in fp32 that runs of that tower share.

    The texts are computed in batches of the set, not of those who look them up: whoever asks for one, and
    beside which others, gets the same bits.

    Args:
        folder: keeps the files; each set and each state of the weights has some of its own.
        ids_QT: token ids of the texts, int64 ``(Q, T)``; those that stand twice are computed once.
        mask_QT: bool, real tokens first.
    """

    def __init__(self, folder: Path, ids_QT: Tensor, mask_QT: Tensor) -> None:
        """See the class; nothing is computed or read before :meth:`open`."""
        self._root = folder
        padded_QT = np.where(mask_QT.cpu().numpy(), ids_QT.cpu().numpy(), -1)
        unique_NT = np.unique(padded_QT, axis=0)
        # Texts of like length are computed together.
        self._ids: Ids = unique_NT[np.argsort((unique_NT >= 0).sum(axis=1), kind="stable")]
        self._rows: dict[bytes, int] = {}
        self._tokens: NDArray[np.float32] | None = None

    @property
    def count(self) -> int:
        """How many different texts there are."""
        return len(self._ids)

    def bytes(self, dim: int) -> int:
        """Return how large the files are with tokens of ``dim`` channels."""
        return self._ids.size * dim * _FP32_BYTES

    def close(self) -> None:
        """Let go of the files; the weights may be others when they are opened again."""
        self._tokens = None

    def open(self, towers: ClipTowers) -> NDArray[np.float32]:
        """Return the tokens of the set, ``(N, T, D)``; computed first where that was never done.

        Args:
            towers: whose text tower must not change from here on to :meth:`close`.

        Raises:
            NotSavedError: the disk takes no more.
        """
        if self._tokens is None:
            folder = self._root / f"texts-{self._digest(towers)}"
            if not folder.is_dir():
                self._write(folder, towers)
            self._tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        assert self._tokens is not None
        return self._tokens

    def look_up(self, towers: ClipTowers, ids_QT: Tensor, mask_QT: Tensor) -> Tensor | None:
        """Return every token of some texts, ``(Q, T, D)``, zero where masked; None if one is not of the set.

        Args:
            towers: see :meth:`open`.
            ids_QT: token ids.
            mask_QT: bool, real tokens first.
        """
        if not self._rows:
            self._rows = {ids[ids >= 0].tobytes(): row for row, ids in enumerate(self._ids)}
        ids, lengths = ids_QT.cpu().numpy(), mask_QT.sum(dim=1).tolist()
        maybe_rows = [
            self._rows.get(text[:length].tobytes()) for text, length in zip(ids, lengths, strict=True)
        ]
        rows = [row for row in maybe_rows if row is not None]
        if len(rows) < len(maybe_rows):
            return None
        longest = max(lengths)
        # Indexing by a list copies, so that nobody is given the file itself.
        tokens_QTD = torch.from_numpy(self.open(towers)[:, :longest][rows]).to(ids_QT.device)
        return torch.nn.functional.pad(tokens_QTD, (0, 0, 0, ids_QT.shape[1] - longest))

    def _digest(self, towers: ClipTowers) -> str:
        """Tell this set and this tower, as it is now, from others."""
        tower = towers.clip.text_model
        facts = [towers.attention, tower.config.to_dict()]
        hasher = tower_hasher(facts, tower, towers.clip.text_projection)
        hasher.update(self._ids.tobytes())
        return hasher.hexdigest()[:16]

    def _write(self, folder: Path, towers: ClipTowers) -> None:
        shape = (*self._ids.shape, towers.dim)
        with (
            saving("what the text tower makes of the texts", self._root),
            whole_folder(folder) as temporary,
            array_file(temporary / "tokens.npy", np.float32, shape) as add,
        ):
            for start in range(0, self.count, _TEXTS_AT_ONCE):
                ids_QT = torch.from_numpy(self._ids[start : start + _TEXTS_AT_ONCE])
                add(_encoded(towers, ids_QT).numpy())


# Not in inference mode, whose tensors no later step could learn from.
@torch.no_grad()
def _encoded(towers: ClipTowers, ids_QT: Tensor) -> Tensor:
    device = towers.logit_scale.device
    mask_QT = ids_QT >= 0
    # The files are shared with runs in other precisions, so they hold what fp32 gives.
    with torch.autocast(device.type, enabled=False):
        # Not the towers' own, which may look up what is being made here.
        tokens_QTD = ClipTowers.encode_text(towers, ids_QT.clamp(min=0).to(device), mask_QT.to(device))
    return tokens_QTD.float().cpu()
