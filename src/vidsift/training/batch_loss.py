"""The loss of a batch and its gradients: whole, chunk by chunk, or over several processes.

Encoding a row needs nothing of the others, the loss does. So the loss may be computed over features that
were encoded without a graph, or elsewhere: its gradients at the features are all that the encoders need.

Source: GradCache, Gao et al., arXiv 2101.06983; luyug/GradCache src/grad_cache/grad_cache.py.
Differs: features are whole token sets; the last chunk keeps its graph instead of being encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from vidsift.errors import RecipeError
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.base import Method
from vidsift.training.distributed import ALONE, Processes
from vidsift.training.features import BatchEncoder
from vidsift.types import Features

__all__ = ["BatchLoss", "pair_losses", "refuse_batch_statistics"]

_STATISTICS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class BatchLoss:
    """The losses of a batch, from which its gradients can be taken.

    With chunks the gradients are those of the whole batch, but for rounding: only encoding goes by chunks,
    and what is random in it is drawn again alike.

    Attributes:
        losses: named scalars; ``"loss"`` is the one to minimise.

    Args:
        method: whose loss.
        encoder: of the batch.
        chunk: videos, and captions, that are encoded with a graph at a time; all when None.
        processes: whose rows together are the batch; all of them compute its losses.
        before_loss: called before the loss may draw; what it draws has to be the same in all processes.

    Raises:
        ValueError: if the method gives no loss.
    """

    def __init__(
        self,
        method: Method,
        encoder: BatchEncoder,
        *,
        chunk: int | None = None,
        processes: Processes = ALONE,
        before_loss: Callable[[], object] = lambda: None,
    ) -> None:
        """See the class."""
        self._method, self._processes = method, processes
        self._device = method.towers.logit_scale.device
        self._sides = [
            _Side(encoder.text, encoder.texts, chunk, self._device),
            _Side(encoder.video, encoder.videos, chunk, self._device),
        ]
        self._whole = processes.count == 1 and all(side.whole for side in self._sides)
        if self._whole:
            text, video = (side.features for side in self._sides)
        else:
            text, video = _together(*processes.gather([side.leaves() for side in self._sides]))
        before_loss()
        self.losses = pair_losses(method, text, video)
        self._random = random_state(self._device)

    def backward(self) -> None:
        """Take the gradients of ``"loss"``, once; the parameters must have none yet."""
        alone = self._processes.count == 1
        # A process without a row may have nothing that learns in its loss.
        if alone or self.losses["loss"].requires_grad:
            torch.autograd.backward(self.losses["loss"])
        # It waits for the next line of the log, and would keep the graph of its step till then.
        self.losses["loss"] = self.losses["loss"].detach()
        if self._whole:
            return
        if not self._processes.first:
            # The parameters of the loss itself: every process has taken the same gradients, which count once.
            for parameter in self._method.parameters():
                parameter.grad = None
        # The videos first: their last chunk is the largest thing in memory.
        for side in reversed(self._sides):
            side.backward()
        self._processes.sum_gradients(self._method.parameters())
        # What is drawn after this step follows the loss, however much was drawn again.
        set_random_state(self._random, self._device)


class _Side:
    """The captions of a batch, or its videos: encoded, all but the last chunk without a graph."""

    def __init__(
        self, encode: Callable[[slice], Features], rows: int, chunk: int | None, device: torch.device
    ) -> None:
        self._encode, self._device = encode, device
        size = chunk or rows or 1
        self._slices = [slice(first, min(first + size, rows)) for first in range(0, rows, size)]
        self._states: list[list[Tensor]] = []
        self._encoded: list[Features] = []
        for part in self._slices:
            self._states.append(random_state(device))
            with torch.set_grad_enabled(part is self._slices[-1]):
                self._encoded.append(encode(part))
        self._leaves: dict[tuple[str, str], Tensor] = {}

    @property
    def whole(self) -> bool:
        """Whether there is one chunk."""
        return len(self._slices) == 1

    @property
    def features(self) -> Features:
        """The features of the one chunk, with their graph."""
        return self._encoded[-1]

    def leaves(self) -> Features | None:
        """Return the features of all chunks, cut off from their graphs, so that gradients stop at them.

        None without a row.
        """
        if not self._encoded:
            return None
        detached = [
            {
                name: tokens.replace(**{part: tensor.detach() for part, tensor in tokens.tensors().items()})
                for name, tokens in features.items()
            }
            for features in self._encoded
        ]
        joined = concatenate_features(detached)
        for name, tokens in self._encoded[-1].items():
            # What learns nothing, such as the text tower of a stage for videos, needs no second pass.
            learning = [part for part, tensor in tokens.tensors().items() if tensor.requires_grad]
            for part in learning:
                self._leaves[name, part] = getattr(joined[name], part).requires_grad_()
        # Only the last one's graph is needed again.
        del self._encoded[:-1]
        return joined

    def backward(self) -> None:
        """Take the gradients at the leaves back through the encoders, chunk by chunk from the last."""
        gradients = {key: leaf.grad for key, leaf in self._leaves.items() if leaf.grad is not None}
        if not gradients:
            return
        for part, state in zip(reversed(self._slices), reversed(self._states), strict=True):
            if self._encoded:
                features = self._encoded.pop()
            else:
                set_random_state(state, self._device)
                features = self._encode(part)
            tensors = [getattr(features[name], kind) for name, kind in gradients]
            # A chunk is as wide as its own longest row.
            pairs = zip(tensors, gradients.values(), strict=True)
            torch.autograd.backward(tensors, [grad[part, : tensor.shape[1]] for tensor, grad in pairs])
            del features, tensors


def _together(
    texts: Sequence[Features | None], videos: Sequence[Features | None]
) -> tuple[Features, Features]:
    """Put the rows of processes one after the other; captions so in each lap."""
    if len(videos) == 1:
        ((text,), (video,)) = texts, videos
        assert text is not None, "one process alone has all rows"
        assert video is not None, "one process alone has all rows"
        return text, video
    pairs = [(text, video) for text, video in zip(texts, videos, strict=True) if text and video]
    rows = [_rows(video) for _, video in pairs]
    laps = _rows(pairs[0][0]) // rows[0]
    parts = [
        {name: tokens[lap * count : (lap + 1) * count] for name, tokens in text.items()}
        for lap in range(laps)
        for (text, _), count in zip(pairs, rows, strict=True)
    ]
    return concatenate_features(parts), concatenate_features([video for _, video in pairs])


def _rows(features: Features) -> int:
    return len(next(iter(features.values())))


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that encoding on a device draws from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Put the generators where :func:`random_state` found them."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def pair_losses(method: Method, text: Features, video: Features) -> dict[str, Tensor]:
    """Compose the losses of videos and their captions.

    Args:
        method: whose loss.
        text: prepared; the captions stand lap by lap, a caption of each video in a lap.
        video: prepared.

    Returns:
        Named scalars, the means over the laps: each lap is a batch of pairs.

    Raises:
        ValueError: if what the method returns is no such dictionary.
    """
    rows, captions = _rows(video), _rows(text)
    losses = [
        method.loss({name: tokens[first : first + rows] for name, tokens in text.items()}, video)
        for first in range(0, captions, rows)
    ]
    if not isinstance(losses[0], Mapping) or "loss" not in losses[0]:
        raise ValueError(
            f"{type(method).__name__}.loss returned {losses[0]!r}, expected a dictionary of scalars "
            "in which 'loss' is the one to minimise"
        )
    return {name: torch.stack([loss[name] for loss in losses]).mean() for name in losses[0]}


def refuse_batch_statistics(method: nn.Module, purpose: str) -> None:
    """Refuse a method in which a row is encoded by what else is in the batch, which then must not be divided.

    Args:
        method: whose parts are looked at.
        purpose: what divides the batch, for the message.

    Raises:
        RecipeError: naming the part.
    """
    for name, module in method.named_modules():
        if isinstance(module, _STATISTICS):
            raise RecipeError(
                f"{purpose} divides the batch, but {name} ({type(module).__name__}) takes statistics over "
                "all of it; use a norm of single rows, such as nn.LayerNorm, or leave that out"
            )
