"""Several processes train one model: what they tell each other, and whose gradients are whose.

Plain torch.distributed, without accelerate or DistributedDataParallel: both average the gradients of losses
that each process has for itself. Here the loss is one, over the features of all, and every gradient is summed
exactly once.

Every process encodes its own rows of a batch. All then hold the features of all rows and compute the whole
loss; its gradients at a process's own features go back through that process's encoders, and the sum over the
processes is what one process would have. Parameters of the loss itself (a learned scale, a cross transformer)
are met by every process with the same gradient, so only the first one's counts.

Source: the problem, foolwood/DRL tvr/models/until_module.py: AllGather hands on the gradients of a process's
own loss alone, so that encoders learn at 1/world of the rate of the rest.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from vidsift.data.share import Share
from vidsift.errors import ProcessEndedError, ProcessesDifferError, SeveralProcessesError
from vidsift.training.placement import Placement
from vidsift.types import Features, TokenSet

__all__ = ["ALONE", "Processes", "device_of"]

T = TypeVar("T")

_MEETING = timedelta(minutes=10)
"""How long processes wait for each other at the start: machines load at different speeds."""
_PATIENCE = timedelta(days=30)
"""How long they wait later: for one that validates, or a disk that sleeps. One that has ended is noticed."""

_AT_ONCE_BYTES = 64 * 2**20
_ALIGNMENT = 16
_SPINS, _NAP_SECONDS = 200, 0.0005


class Processes:
    """The processes of a run, seen from one of them; one that is alone finds nobody to wait for.

    Whatever one calls, all have to call, in the same order.

    Attributes:
        number: which process this is; 0 is the one that writes.
        count: how many there are.

    Args:
        placement: which process this is.
        device: where it computes.

    Raises:
        SeveralProcessesError: they do not find each other, or this PyTorch cannot bring them together.
    """

    def __init__(self, placement: Placement, device: torch.device) -> None:
        """See the class."""
        self.number, self.count = placement.number, placement.processes
        self._device = self._carrier = device
        self._control: dist.ProcessGroup | None = None
        self._data: dist.ProcessGroup | None = None
        if self.count == 1:
            return
        if not dist.is_available() or not dist.is_gloo_available():
            raise SeveralProcessesError(
                f"this PyTorch ({torch.__version__}) was built without torch.distributed; start one process"
            )
        backend = "nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo"
        try:
            dist.init_process_group(
                backend,
                init_method=placement.rendezvous,
                rank=self.number,
                world_size=self.count,
                timeout=_MEETING,
                device_id=device if backend == "nccl" else None,
            )
            # Over sockets beside NCCL: words, and waiting that a signal can break off.
            self._control = dist.new_group(backend="gloo", timeout=_PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise SeveralProcessesError(
                f"process {self.number} of {self.count} found no way to the others at "
                f"{placement.rendezvous}: {_first_line(error)}"
            ) from error
        self._data = dist.group.WORLD if backend == "nccl" else self._control
        # Gloo carries what lies in the memory of the machine.
        self._carrier = device if backend == "nccl" else torch.device("cpu")

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, logs and validates."""
        return self.number == 0

    @property
    def share(self) -> Share:
        """Which rows of a batch are this process's."""
        return Share(self.number, self.count)

    def close(self) -> None:
        """Leave the others; those that still wait for this one are told that it has ended."""
        if self._control is not None:
            self._control = self._data = None
            # Whatever state they are in: an error that is under way must come through.
            with suppress(RuntimeError, ValueError):
                dist.destroy_process_group()

    def exchange(self, value: Any) -> list[Any]:
        """Tell every process something, and return what each of them says.

        Args:
            value: as JSON holds it.
        """
        if self._control is None:
            return [value]
        mine = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = self._gathered(torch.tensor([len(mine)]), self._control)
        longest = max(int(size) for size in sizes)
        said = self._gathered(nn.functional.pad(mine, (0, longest - len(mine))), self._control)
        return [
            json.loads(text[: int(size)].numpy().tobytes()) for text, size in zip(said, sizes, strict=True)
        ]

    def from_first(self, get: Callable[[], T]) -> T:
        """Let the first process find something out, and return it in all of them, as JSON holds it."""
        answer: T = self.exchange(get() if self.first else None)[0]
        return answer

    def largest(self, number: int) -> int:
        """Return the largest of the processes' numbers."""
        if self._control is None:
            return number
        numbers = torch.tensor([number])
        self._reduce(numbers, dist.ReduceOp.MAX, self._control)
        return int(numbers)

    def seed_draws(self, *place: int, alike: bool = False) -> None:
        """Let torch draw from here on what seed and place say: in each process something else, or ``alike``.

        One process alone goes on with what it draws from.
        """
        if self.count > 1:
            numbers = [*place, self.count if alike else self.number]
            torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))

    def gather(self, sides: Sequence[Features | None]) -> list[list[Features | None]]:
        """Return the features of all processes, side by side (texts, videos).

        Args:
            sides: this process's features of each; None without a row. They come back as they are, with
                their graph; those of the others have none.

        Returns:
            For each side those of each process, in their order.
        """
        if self._control is None or self._data is None:
            return [[side] for side in sides]
        layout, mine = _packed(sides, self._carrier)
        layouts = self.exchange(layout)
        sizes = [_bytes_of(other) for other in layouts]
        everybody = self._gathered(nn.functional.pad(mine, (0, max(sizes) - len(mine))), self._data)
        unpacked = [
            list(sides) if number == self.number else _unpacked(other, buffer, self._device)
            for number, (other, buffer) in enumerate(zip(layouts, everybody, strict=True))
        ]
        return [list(side) for side in zip(*unpacked, strict=True)]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients over the processes; what has none in any of them keeps none."""
        if self._control is None or self._data is None:
            return
        every = [parameter for parameter in parameters if parameter.requires_grad]
        there = torch.tensor([parameter.grad is not None for parameter in every], dtype=torch.int32)
        self._reduce(there, dist.ReduceOp.MAX, self._control)
        gradients = []
        for parameter in (parameter for parameter, any_has in zip(every, there, strict=True) if any_has):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket]).to(self._carrier)
            self._reduce(flat, dist.ReduceOp.SUM, self._data)
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def send_weights(self, method: nn.Module) -> None:
        """Give all processes the weights and buffers of the first."""
        if self._data is None:
            return
        for value in method.state_dict().values():
            whole = value.to(self._carrier, copy=True).contiguous()
            with self._others():
                self._finish(dist.broadcast(whole, 0, group=self._data, async_op=True), self._data)
            value.copy_(whole)

    def require_same_weights(self, method: nn.Module, step: int) -> None:
        """Make sure that all processes hold the same bits.

        Raises:
            ProcessesDifferError: they do not.
        """
        if self.count == 1:
            return
        # Sums of whole numbers, which wrap: any order of adding gives the same.
        sums = torch.stack([_bits(value).sum(dtype=torch.int64) for value in method.state_dict().values()])
        places = torch.arange(1, len(sums) + 1, device=sums.device)
        said = self.exchange(int((sums * places).sum()))
        if len(set(said)) > 1:
            raise ProcessesDifferError(
                f"after step {step} the {self.count} processes hold different weights; machines or "
                "versions of PyTorch that round differently cannot train together. Start again on equal "
                "ones, or with one process"
            )

    def _gathered(self, mine: Tensor, group: dist.ProcessGroup) -> list[Tensor]:
        everybody = [torch.empty_like(mine) for _ in range(self.count)]
        with self._others():
            self._finish(dist.all_gather(everybody, mine, group=group, async_op=True), group)
        return everybody

    def _reduce(self, values: Tensor, how: Any, group: dist.ProcessGroup) -> None:
        with self._others():
            self._finish(dist.all_reduce(values, how, group=group, async_op=True), group)

    def _finish(self, work: Any, group: dist.ProcessGroup) -> None:
        if group is self._control:
            # Asked again and again: in wait() no signal would be answered.
            spins = 0
            while not work.is_completed():
                time.sleep(0 if spins < _SPINS else _NAP_SECONDS)
                spins += 1
        # NCCL only puts it in order with what else the GPU computes.
        work.wait()

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise ProcessEndedError(
                f"process {self.number} of {self.count} ends, as another one ended; its own message says why "
                f"({_first_line(error)})"
            ) from error


ALONE = Processes(Placement(), torch.device("cpu"))
"""One process, which waits for nobody."""


def device_of(place: Placement, device: torch.device) -> torch.device:
    """Return which device is this process's: of several GPUs each process has its own.

    Raises:
        SeveralProcessesError: there are more processes than GPUs, or the device serves one process alone.
    """
    if place.processes == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise SeveralProcessesError(
            f"several processes cannot share {device}; train with --device cpu, or in one process"
        )
    gpus = torch.cuda.device_count()
    if place.own_gpu and gpus == 1:
        return torch.device("cuda", 0)
    # All of them refuse, so that none waits for the others. Slurm may put fewer tasks on this machine.
    if (place.local_number + 1 if place.own_gpu else place.local_processes) > gpus:
        raise SeveralProcessesError(
            f"{place.local_processes} processes on a machine of {gpus} GPU(s), and each takes one; start "
            f"{gpus}, or train with --device cpu"
        )
    return torch.device("cuda", place.local_number)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _packed(sides: Sequence[Features | None], device: torch.device) -> tuple[list[Any], Tensor]:
    """What token sets there are, as JSON holds it, and all of their bytes in one row."""
    layout: list[Any] = []
    parts = [torch.empty(0, dtype=torch.uint8, device=device)]
    for features in sides:
        if features is None:
            layout.append(None)
            continue
        layout.append(
            {
                name: {part: [_dtype_name(t.dtype), list(t.shape)] for part, t in tokens.tensors().items()}
                for name, tokens in features.items()
            }
        )
        for tokens in features.values():
            for tensor in tokens.tensors().values():
                flat = tensor.detach().to(device).contiguous().view(-1).view(torch.uint8)
                parts.append(nn.functional.pad(flat, (0, _aligned(len(flat)) - len(flat))))
    return layout, torch.cat(parts)


def _unpacked(layout: Sequence[Any], buffer: Tensor, device: torch.device) -> list[Features | None]:
    """The token sets of another process."""
    start, sides = 0, list[Features | None]()
    for named in layout:
        if named is None:
            sides.append(None)
            continue
        side: dict[str, TokenSet] = {}
        for name, parts in named.items():
            tensors = {}
            for part, (dtype_name, shape) in parts.items():
                dtype: torch.dtype = getattr(torch, dtype_name)
                size = dtype.itemsize * math.prod(shape)
                tensors[part] = buffer[start : start + size].view(dtype).view(shape).to(device)
                start += _aligned(size)
            side[name] = TokenSet(**tensors)
        sides.append(side)
    return sides


def _bytes_of(layout: Sequence[Any]) -> int:
    shapes = [shape for side in layout if side for parts in side.values() for shape in parts.values()]
    return sum(_aligned(getattr(torch, name).itemsize * math.prod(shape)) for name, shape in shapes)


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _aligned(size: int) -> int:
    # A view as wider numbers has to begin at a multiple of their size.
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _bits(value: Tensor) -> Tensor:
    """A tensor as whole numbers."""
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    flat = value.detach().contiguous().view(-1)
    return flat.view(kinds[flat.element_size()])


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Group gradients of one type, so that few messages carry them and none doubles the memory."""
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        bucket = by_type.setdefault(gradient.dtype, [])
        bucket.append(gradient)
        if sum(part.nbytes for part in bucket) >= _AT_ONCE_BYTES:
            yield by_type.pop(gradient.dtype)
    yield from by_type.values()
