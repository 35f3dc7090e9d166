"""Memory of training: what is stored for the gradient, and the most that a process has had at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType

import torch
from torch import Tensor

from vidsift.workers.memory import largest_bytes

__all__ = ["SavedTensors", "peak_bytes"]


class SavedTensors:
    """Counts what autograd stores for the gradient of what is computed inside, each storage once.

    What a block that is computed again stores meanwhile is not seen: only what enters it is.

    Args:
        leave_out: what is there anyway, weights say.

    Example:
        >>> numbers = torch.ones(100, requires_grad=True)
        >>> with SavedTensors() as saved:
        ...     result = (numbers * 2).exp().exp().sum()
        >>> saved.bytes  # the results of both exp
        800
    """

    def __init__(self, leave_out: Iterable[Tensor] = ()) -> None:
        """See the class."""
        self._there = {tensor.untyped_storage().data_ptr() for tensor in leave_out}
        self._bytes: dict[int, int] = {}
        self._hooks = ExitStack()

    @property
    def bytes(self) -> int:
        """Bytes of all storages so far; right while the graph is there, after which addresses come again."""
        return sum(self._bytes.values())

    def __enter__(self) -> SavedTensors:
        """Count from here on."""
        hooks = torch.autograd.graph.saved_tensors_hooks(self._note, lambda tensor: tensor)
        self._hooks.enter_context(hooks)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count no more."""
        self._hooks.close()

    def _note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._there:
            self._bytes[storage.data_ptr()] = storage.nbytes()
        return tensor


def peak_bytes(device: torch.device) -> int:
    """The most memory at once: what torch's allocator held on a GPU, else what the process held (RSS)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return largest_bytes()
