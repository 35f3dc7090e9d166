"""A model ready for use: a method with its tokenizer and its way of looking at video."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.device import Precision, choose_device, chosen_dtype, refuse_wrong
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import TokenizedText, Tokenizer
from vidsift.encoders.weights import load_clip, save_clip
from vidsift.errors import ModelFolderError
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.base import Method
from vidsift.methods.catalog import build_method, resolve_arguments
from vidsift.methods.folder import (
    ModelParts,
    holds_model,
    read_model_folder,
    weights_digest,
    write_model_folder,
)
from vidsift.methods.inputs import InputMaker
from vidsift.types import Features, Frames, PatchShares, Span, TokenSet
from vidsift.video import probe, read_frames
from vidsift.video.preprocessing import Preprocessing, Sampling

__all__ = ["BUNDLED", "Model", "Precision", "Preprocessing", "is_plain_clip", "load", "model_folder"]

Progress = Callable[[int], None]
VideoPath = str | Path

BUNDLED = "shapes"
"""Name of the small model that comes with the package; it knows the Shapes world and nothing else."""

_ASSETS = Path(__file__).parent.parent / "assets"
# A block of token-wise similarities, 64 x 512 pairs of 32 words with 12 frames: 50 MB.
_TEXTS_AT_ONCE, _VIDEOS_AT_ONCE = 64, 512
_TOKENS_AT_ONCE = 1024
_log = logging.getLogger(__name__)


class Model:
    """A method with its tokenizer and its way of looking at video.

    All features that it gives are prepared sets: what the index stores and what scores are computed from.

    Attributes:
        method: the network and its terms.
        method_name: its name in the catalogue.
        arguments: the arguments it was built with, defaults filled in.
        tokenizer: words to ids.
        preprocessing: how a stretch of video is looked at.
        max_words: longest text in tokens, start and end included; longer ones are cut.
        name: what people call the model.
        card: what the model card says, section by section.
        device: where it computes.
    """

    def __init__(
        self,
        method: Method,
        tokenizer: Tokenizer,
        preprocessing: Preprocessing,
        *,
        method_name: str,
        arguments: Mapping[str, Any] | None = None,
        max_words: int | None = None,
        name: str = "model",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the parts together; :meth:`create` builds the method too.

        Raises:
            ValueError: if the parts do not fit each other.
        """
        towers = method.towers
        if preprocessing.size_px != towers.image_size_px:
            raise ValueError(
                f"preprocessing has pictures of {preprocessing.size_px} px, the image tower takes "
                f"{towers.image_size_px} px; give the size of the tower"
            )
        longest = towers.max_tokens if max_words is None else max_words
        if not 3 <= longest <= towers.max_tokens:
            raise ValueError(
                f"max_words is {longest}; expected 3 (start, one word, end) to {towers.max_tokens}, the "
                "longest text that the text tower takes"
            )
        self.method = method
        self.method_name = method_name
        # Defaults filled in: a later default must not change what a saved model means.
        self.arguments = resolve_arguments(method_name, arguments)
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.max_words = longest
        self.name = name
        self.card = dict(card or {})
        self.device = next(method.parameters()).device
        self._fingerprint: tuple[object, str] | None = None

    @classmethod
    def create(
        cls,
        method_name: str,
        towers: ClipTowers,
        tokenizer: Tokenizer,
        norm: PixelNorm,
        *,
        arguments: Mapping[str, Any] | None = None,
        frames: int = 12,
        sampling: Sampling = "uniform",
        max_words: int | None = None,
        name: str | None = None,
    ) -> Model:
        """Build a method around a CLIP: ``Model.create("drl", *load_clip(folder), frames=12)``.

        Raises:
            ValueError: if the method, an argument or a value is refused.
        """
        return cls(
            build_method(method_name, towers, arguments),
            tokenizer,
            Preprocessing(frames, sampling, norm.size_px, norm.mean, norm.std),
            method_name=method_name,
            arguments=arguments,
            max_words=max_words,
            name=method_name if name is None else name,
        )

    def to(self, device: torch.device | str) -> Model:
        """Move the model to a device and return it."""
        self.method.to(device)
        self.device = torch.device(device)
        return self

    @property
    def norm(self) -> PixelNorm:
        """How pictures become the numbers that the image tower was trained on."""
        return PixelNorm(self.preprocessing.size_px, self.preprocessing.mean, self.preprocessing.std)

    @property
    def inputs(self) -> InputMaker:
        """What makes the method's inputs, for encoding and for training alike."""
        return InputMaker(
            self.tokenizer, self.norm, self.max_words, self.preprocessing.frames, self.method.full_width
        )

    @property
    def precision(self) -> torch.dtype:
        """Type that the towers compute in; all that follows them computes in fp32."""
        return next(self.method.towers.parameters()).dtype

    def round_towers(self, dtype: torch.dtype) -> Model:
        """Round the towers' weights to ``dtype`` for faster inference and return the model.

        The model keeps its fingerprint: rounded features are meant to meet unrounded ones. It can no longer
        be saved or trained on.

        Raises:
            ValueError: the model's device has no right kernels for this type.
        """
        if dtype != self.precision:
            refuse_wrong(dtype, self.device)
            # Taken before the weights change, and filed under what they are then.
            value = self.fingerprint
            self.method.towers.to(dtype)
            self._fingerprint = (self._state(), value)
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides features (config and weights); what an index is held to.

        Computed once and kept until weights or preprocessing change. For a loaded folder it follows from
        ``config.json`` with the digest of the weights stated there (only the size of their file is checked on
        loading); :meth:`compute_fingerprint` reads the weights, ``vidsift info --verify`` compares the two.
        """
        state = self._state()
        if self._fingerprint is None or self._fingerprint[0] != state:
            self._fingerprint = (state, self.compute_fingerprint())
        return self._fingerprint[1]

    def compute_fingerprint(self) -> str:
        """Compute the fingerprint from the weights themselves, whatever a folder states."""
        return self._parts.fingerprint_with(weights_digest(self.method.state_dict()))

    def _state(self) -> object:
        """Something that differs once a weight was written to, or the preprocessing was exchanged."""
        # torch counts what is written into a tensor; the id tells one that was exchanged.
        weights = [(id(value), value._version) for value in self.method.parameters()]
        return self.preprocessing, self.max_words, weights

    def tokenize(self, texts: Sequence[str]) -> TokenizedText:
        """Turn texts into ids as the method wants them.

        Returns:
            Ids, mask, readable pieces, and which texts lost words. As wide as the longest text, at most
            ``max_words``; exactly that where padding takes part in the score (``method.full_width``).

        Raises:
            ValueError: if there is no text or one is empty.
        """
        return self.inputs.tokenize(texts)

    def encode_text(
        self, texts: Sequence[str], *, most_tokens: int | None = None, progress: Progress | None = None
    ) -> dict[str, TokenSet]:
        """Encode texts into prepared sets.

        Texts of like length are encoded together, each batch cut at its longest; what else is in a batch
        changes nothing but rounding.

        Args:
            texts: at least one, none empty; one longer than ``max_words`` is cut and its end kept.
            most_tokens: tokens encoded at once, padding included; 1,024 on a CPU (what its cache takes), more
                elsewhere.
            progress: called with the number of texts after each batch.

        Returns:
            ``{set: (Q, T, D)}`` in the order given, fp32, on the model's device.

        Raises:
            ValueError: if there is no text or one is empty.
        """
        inputs = self.inputs
        tokenized = inputs.tokenize(texts)
        if any(tokenized.cut):
            _log.info("%d of %d texts were cut to %d tokens", sum(tokenized.cut), len(texts), self.max_words)
        at_once = most_tokens or (_TOKENS_AT_ONCE if self.device.type == "cpu" else 16 * _TOKENS_AT_ONCE)
        order: list[Tensor] = []
        batches: list[Features] = []
        for rows, batch in inputs.text_batches(tokenized, at_once, device=self.device):
            order.append(rows)
            with self._inference():
                encoded = self.method.text_features(*batch)
                batches.append(self.method.prepare_text(encoded))
            if progress is not None:
                progress(len(rows))
        together = concatenate_features(batches)
        # Batches came shortest first.
        back_Q = torch.cat(order).argsort().to(self.device)
        return {name: tokens[back_Q] for name, tokens in together.items()}

    def encode_frames(
        self,
        pixels: Sequence[NDArray[np.uint8]],
        times: Sequence[NDArray[np.float64]],
        *,
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> dict[str, TokenSet]:
        """Encode videos whose pictures are read and cropped already.

        Args:
            pixels: for each video RGB uint8 ``(F, S, S, 3)``; F may differ, and is at least 1.
            times: for each video the second at which each picture is shown, ``(F,)``.
            batch_size: videos encoded at once.
            progress: called with the number of videos after each batch.

        Returns:
            ``{set: (V, N, D)}`` in the order given, fp32, on the model's device; sets with a time carry it.

        Raises:
            ValueError: if there is no video, one has no picture, or pictures and times do not fit.
        """
        inputs = self.inputs
        inputs.check_pictures(pixels, times)  # all, before the first batch is encoded
        batches: list[Features] = []
        for start in range(0, len(pixels), batch_size):
            chosen = slice(start, start + batch_size)
            with self._inference():
                batch = inputs.pictures(
                    pixels[chosen], times[chosen], dtype=self.precision, device=self.device
                )
                batches.append(self.method.prepare_video(self.method.video_features(*batch)))
            if progress is not None:
                progress(len(pixels[chosen]))
        return concatenate_features(batches)

    def patch_shares(self, frames: Frames) -> dict[str, PatchShares]:
        """Tell from which patches the tokens of one video come, see :meth:`Method.patch_shares`."""
        with self._inference():
            pixels, mask, _ = self.inputs.pictures(
                [frames.pixels], [frames.times_seconds], dtype=self.precision, device=self.device
            )
            return self.method.patch_shares(pixels, mask)

    def encode_video(
        self,
        paths: Sequence[VideoPath],
        *,
        spans: Sequence[Span | None] | None = None,
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> dict[str, TokenSet]:
        """Read and encode video files.

        Args:
            paths: at least one file.
            spans: which stretch of each file; the whole file where None.
            batch_size: videos decoded and then encoded at once.
            progress: called with the number of videos after each batch.

        Returns:
            ``{set: (V, N, D)}`` in the order given, see :meth:`encode_frames`.

        Raises:
            ValueError: if no file is given.
            VideoReadError: if a file cannot be read; it names the file and the reason.
        """
        # A string is a sequence too: each of its letters would be a path.
        if isinstance(paths, VideoPath):
            raise ValueError(f"got the path {str(paths)!r} alone; pass a list of paths: [{str(paths)!r}]")
        if not paths:
            raise ValueError("no video files given; pass at least one path")
        stretches = [None] * len(paths) if spans is None else list(spans)
        if len(stretches) != len(paths):
            raise ValueError(
                f"{len(paths)} paths but {len(stretches)} spans; give one span for each path, or none"
            )
        batches: list[Features] = []
        for start in range(0, len(paths), batch_size):
            chosen = slice(start, start + batch_size)
            # Decoded pictures of one batch at a time are in memory.
            read = [
                read_frames(path, self.wanted_times(span or _whole(path)), size_px=self.preprocessing.size_px)
                for path, span in zip(paths[chosen], stretches[chosen], strict=True)
            ]
            pixels, times = [video.pixels for video in read], [video.times_seconds for video in read]
            batches.append(self.encode_frames(pixels, times, batch_size=batch_size, progress=progress))
        return concatenate_features(batches)

    encode_query = encode_text
    """Another name of :meth:`encode_text`, as in sentence-transformers."""
    encode_document = encode_video
    """Another name of :meth:`encode_video`, as in sentence-transformers: here documents are videos."""

    def wanted_times(self, span: Span) -> NDArray[np.float64]:
        """Which seconds of a stretch of video to look at, ascending, float64 ``(at most frames,)``."""
        return self.preprocessing.wanted_times(span)

    def similarity(self, texts: Features | Sequence[str], videos: Features | Sequence[VideoPath]) -> Tensor:
        """Score every text with every video by the trained interaction.

        Args:
            texts: prepared sets from :meth:`encode_text`, or the texts themselves.
            videos: prepared sets from :meth:`encode_video` or :meth:`encode_frames`, or paths.

        Returns:
            ``sim_QV`` without the learned scale, fp32, on the model's device. Computed in blocks: memory
            does not grow with the number of videos beyond the result.
        """
        text = texts if isinstance(texts, Mapping) else self.encode_text(texts)
        video = videos if isinstance(videos, Mapping) else self.encode_video(videos)
        text_rows, video_rows = len(next(iter(text.values()))), len(next(iter(video.values())))
        sim_QV = torch.empty(text_rows, video_rows, device=self.device)
        for start in range(0, video_rows, _VIDEOS_AT_ONCE):
            columns = slice(start, start + _VIDEOS_AT_ONCE)
            # Prepared sets may lie elsewhere (an index, another device): they move block by block.
            some_videos = {name: tokens[columns].to(device=self.device) for name, tokens in video.items()}
            for first in range(0, text_rows, _TEXTS_AT_ONCE):
                rows = slice(first, first + _TEXTS_AT_ONCE)
                some_texts = {name: tokens[rows].to(device=self.device) for name, tokens in text.items()}
                with self._inference():
                    sim_QV[rows, columns] = self.method.similarity(some_texts, some_videos)
        return sim_QV

    def similarity_pairwise(
        self, texts: Features | Sequence[str], videos: Features | Sequence[VideoPath]
    ) -> Tensor:
        """Score text i with video i alone, as sentence-transformers' method of this name.

        Args:
            texts: as for :meth:`similarity`.
            videos: likewise, as many.

        Returns:
            The diagonal of :meth:`similarity`, ``(B,)``.

        Raises:
            ValueError: if there are not as many texts as videos.
        """
        text = texts if isinstance(texts, Mapping) else self.encode_text(texts)
        video = videos if isinstance(videos, Mapping) else self.encode_video(videos)
        text_rows, video_rows = len(next(iter(text.values()))), len(next(iter(video.values())))
        if text_rows != video_rows:
            raise ValueError(f"{text_rows} texts but {video_rows} videos; give one video for each text")
        # Pair by pair: the matrix of which this is the diagonal grows with the square.
        pairs = []
        for row in range(text_rows):
            # By slice, so that a batch of one stays a batch.
            sides = ({name: tokens[row : row + 1] for name, tokens in side.items()} for side in (text, video))
            pairs.append(self.similarity(*sides)[0])
        return torch.cat(pairs)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Compute without gradients, dropout off; then leave the method as it was."""
        # A run that validates on the way trains on with dropout. Elsewhere nothing is to be switched, which
        # takes longer than a small tower does.
        training = self.method.training
        switch = any(module.training for module in self.method.modules())
        if switch:
            self.method.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            if switch:
                self.method.train(training)

    @property
    def _parts(self) -> ModelParts:
        return ModelParts(
            method=self.method,
            tokenizer=self.tokenizer,
            preprocessing=self.preprocessing,
            method_name=self.method_name,
            arguments=self.arguments,
            max_words=self.max_words,
            name=self.name,
            card=self.card,
        )

    @property
    def knows(self) -> str:
        """What its card says that it knows, for people who search with it (the section "Knows"); else ""."""
        return str(self.card.get("Knows", ""))

    def save(
        self,
        folder: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the model as a folder that :func:`load` reads; features after loading are the same bits.

        Args:
            folder: created where absent; a model in it is replaced.
            dtype: type of the stored weights. With fp16 the rounded weights are another model, with
                another fingerprint.
            card: sections of the model card, ``{"Trained on": "...", "Metrics": {"R@1": 50.2}}``, added to
                those that the model brought along.

        Raises:
            ValueError: if the towers were rounded for inference, or a weight does not fit into ``dtype``.
        """
        if self.precision != torch.float32:
            raise ValueError(
                f"this model's towers were rounded to {self.precision} for inference; load it with "
                "precision='fp32' to save it"
            )
        self.card |= dict(card or {})
        fingerprint = write_model_folder(Path(folder), self._parts, dtype=dtype)
        # Rounded weights are another model: this one keeps its fingerprint.
        if dtype == torch.float32:
            self._fingerprint = (self._state(), fingerprint)

    save_pretrained = save
    """Another name of :meth:`save`, as in transformers and sentence-transformers."""

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, device: torch.device | str = "auto", **options: Any
    ) -> Model:
        """Another name of :func:`load`, which takes the same, as in transformers."""
        return load(name_or_folder, device, **options)

    def save_backbone(self, folder: str | Path) -> None:
        """Write the towers alone as a plain CLIP folder, which ``transformers.CLIPModel`` loads."""
        save_clip(folder, self.method.towers, self.tokenizer, self.norm)


def load(
    name_or_folder: str | Path,
    device: torch.device | str = "auto",
    *,
    precision: Precision = "fp32",
    frames: int = 12,
) -> Model:
    """Load a model.

    Args:
        name_or_folder: a folder that vidsift saved, a CLIP folder or file, a CLIP's name on the hub, as
            ``NAME@REVISION`` no other than that revision (all of these give zero-shot CLIP; an index makes
            more of them, see :mod:`vidsift.index.plain_clip`), or "shapes" for the small model that comes
            with the package.
        device: "auto" takes a GPU where there is one; else a name that torch knows.
        precision: of the towers: "fp32", "bf16", or "auto" for bf16 where the machine computes with it.
        frames: frames looked at in a stretch of video, for a plain CLIP; a vidsift folder says so itself.

    Raises:
        ValueError: if the model is not found, not ours, of another format, or its files do not fit; if there
            is no such device, or it cannot run the towers in this precision.
    """
    # Before anything is read: a device that cannot run this is refused at once.
    place = choose_device(device)
    dtype = chosen_dtype(precision, place)
    model = _load(name_or_folder, frames)
    model.to(place)
    return model.round_towers(dtype)


def is_plain_clip(name_or_folder: str | Path) -> bool:
    """Whether a name is neither the bundled model's nor a folder of ours, so that it has to be a CLIP's."""
    folder = Path(name_or_folder)
    return str(name_or_folder) != BUNDLED and not (folder.is_dir() and holds_model(folder))


def model_folder(name_or_folder: str | Path) -> Path:
    """Return where the files of a model folder are, the bundled one's too, whether they are there or not."""
    return _ASSETS / BUNDLED if str(name_or_folder) == BUNDLED else Path(name_or_folder)


def _load(name_or_folder: str | Path, frames: int) -> Model:
    name = str(name_or_folder)
    if name == BUNDLED:
        folder = model_folder(BUNDLED)
        if not holds_model(folder):
            raise ModelFolderError(
                f"the bundled model {BUNDLED!r} is not part of this installation ({folder} is missing); "
                "install the published package, make it with recipes/shapes, or name another model"
            )
        return _load_folder(folder, BUNDLED)
    folder = Path(name_or_folder)
    if not is_plain_clip(name_or_folder):
        # Resolved: "." and ".." are no names.
        return _load_folder(folder, folder.resolve().name)
    # A CLIP in a folder or a file, or on the hub.
    towers, tokenizer, norm = load_clip(name)
    short = folder.name if folder.exists() else name
    return Model.create("zero_shot", towers, tokenizer, norm, frames=frames, name=short)


def _load_folder(folder: Path, name: str) -> Model:
    parts, fingerprint = read_model_folder(folder, name)
    try:
        model = Model(
            parts.method,
            parts.tokenizer,
            parts.preprocessing,
            method_name=parts.method_name,
            arguments=parts.arguments,
            max_words=parts.max_words,
            name=parts.name,
            card=parts.card,
        )
    except ValueError as error:
        raise ModelFolderError(f"{folder}: {error}") from error
    # As recorded, or the fingerprint would be another: what they lack was filled in for the method.
    model.arguments = dict(parts.arguments)
    model._fingerprint = (model._state(), fingerprint)
    return model


def _whole(path: VideoPath) -> Span:
    return Span(0.0, probe(path).duration_seconds)
