"""Shapes: splits, files and endless training batches of the synthetic world.

:func:`draw_split` decides what the videos of a split show and what is said of them, :func:`write_library`
writes them as H.264 files with their captions, :func:`stream` draws and renders fresh batches without end.
All three are functions of their seed: the same seed gives the same scenes, words, pixels and, on one
machine, the same files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.files.saving import saving
from vidsift.files.whole import write_text_whole
from vidsift.shapes.captions import Caption, captions, describe
from vidsift.shapes.groups import GROUP_SIZE, draw_scene, hard_negative_group
from vidsift.shapes.render import render
from vidsift.shapes.world import (
    DURATION_SECONDS,
    SPLITS,
    TAGS,
    Claim,
    Scene,
    holds,
    unseen_combinations,
)
from vidsift.types import Span
from vidsift.video.preprocessing import SAMPLING, Sampling
from vidsift.video.sampling import random_within_seconds

__all__ = [
    "Clip",
    "StreamBatch",
    "captions",
    "clip_times",
    "draw_scene",
    "draw_split",
    "hard_negative_group",
    "render",
    "stream",
    "stream_batch",
    "write_library",
    "write_video",
]

_ATTEMPTS = 12
_STREAM_KEY = 7


@dataclass(frozen=True)
class Clip:
    """One video of a split: what it shows and what is said of it.

    Attributes:
        name: name of its file.
        scene: what it shows.
        captions: sentences that hold of this video and of no other of its split.
        group: number of its group of hard negatives within the split.
        unseen: combinations that training never shows; empty outside test.
    """

    name: str
    scene: Scene
    captions: tuple[str, ...]
    group: int
    unseen: tuple[str, ...]


class StreamBatch(NamedTuple):
    """One training batch: ``pixels`` uint8 ``(B, F, S, S, 3)`` and a sentence for each clip.

    With several captions each, ``captions`` holds a first sentence for every clip, then a second, and so on.
    """

    pixels: NDArray[np.uint8]
    captions: list[str]


class _Register:
    """The scenes accepted into a split and all that was claimed of them, found by shape and colour."""

    def __init__(self) -> None:
        self.scenes: defaultdict[tuple[str, str], list[Scene]] = defaultdict(list)
        self.claims: defaultdict[tuple[str, str], list[Claim]] = defaultdict(list)

    def already_described(self, scene: Scene) -> bool:
        """Say whether a sentence about another video holds of this scene."""
        pairs = {(thing.shape, thing.colour) for thing in scene.things}
        return any(holds(claim, scene) for pair in pairs for claim in self.claims[pair])

    def is_ambiguous(self, claim: Claim) -> bool:
        """Say whether a claim holds of an accepted scene."""
        first = claim.mentions[0]
        return any(holds(claim, scene) for scene in self.scenes[first.shape, first.colour])

    def add(self, scene: Scene, said: Sequence[Caption]) -> None:
        """Accept a scene with its sentences."""
        for thing in scene.things:
            self.scenes[thing.shape, thing.colour].append(scene)
        for caption in said:
            first = caption.claim.mentions[0]
            self.claims[first.shape, first.colour].append(caption.claim)


def _tell_apart(
    scene: Scene, group: Sequence[Scene], register: _Register, rng: np.random.Generator, count: int
) -> list[Caption] | None:
    """Find sentences that no other video fits, longer ones where short ones do; None if there are none."""
    said: list[Caption] = []
    for attempt in range(_ATTEMPTS * count):
        caption = describe(scene, rng, min(1.0, 0.5 + 0.5 * attempt / (_ATTEMPTS * count - 1)))
        unclear = any(other is not scene and holds(caption.claim, other) for other in group)
        if unclear or register.is_ambiguous(caption.claim) or caption.text in {c.text for c in said}:
            continue
        said.append(caption)
        if len(said) == count:
            return said
    return None


def draw_split(
    split: str, videos: int, seed: int = 0, *, captions_per_video: int = 3, tags: Sequence[str] = TAGS
) -> list[Clip]:
    """Decide what the videos of a split show and what is said of them.

    Tags take turns, so each has the same share. In test, every second group of each tag holds unseen
    combinations. No caption of the split holds of another of its videos: a group that cannot be told from
    what is there already is drawn anew.

    Args:
        split: "train", "val" or "test".
        videos: how many, a multiple of four (groups of four hard negatives).
        seed: the same seed, split and number give the same clips.
        captions_per_video: sentences for each video, all different.
        tags: which tags take turns.

    Raises:
        ValueError: unknown split, or a number that is no multiple of four.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    if videos < GROUP_SIZE or videos % GROUP_SIZE:
        raise ValueError(f"videos is {videos}: expected a multiple of {GROUP_SIZE}, the size of a group")
    register = _Register()
    clips: list[Clip] = []
    for number in range(videos // GROUP_SIZE):
        rng = np.random.default_rng([seed, SPLITS.index(split), number])
        tag = tags[number % len(tags)]
        unseen = split == "test" and (number // len(tags)) % 2 == 1
        told: list[list[Caption]] = []
        group: list[Scene] = []
        while not told:
            group = hard_negative_group(rng, split, tag, unseen=unseen)
            if any(register.already_described(scene) for scene in group):
                continue
            found = [_tell_apart(scene, group, register, rng, captions_per_video) for scene in group]
            told = [said for said in found if said is not None] if all(found) else []
        for scene, said in zip(group, told, strict=True):
            register.add(scene, said)
            name = f"{split}-{len(clips):05d}.mp4"
            texts = tuple(caption.text for caption in said)
            clips.append(Clip(name, scene, texts, number, unseen_combinations(scene)))
    return clips


def write_video(path: Path | str, scene: Scene, *, size_px: int = 128, frames_per_second: int = 12) -> None:
    """Write a scene as an H.264 file of four seconds, replacing what is there."""
    import av

    length = round(DURATION_SECONDS * frames_per_second)
    pictures = render(scene, np.arange(length) / frames_per_second, size_px)
    with av.open(str(path), "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=Fraction(frames_per_second))
        track.width = track.height = size_px
        track.pix_fmt = "yuv420p"
        # One thread: the encoder's choices, and with them the bytes, do not depend on the machine's load.
        track.options = {"preset": "veryfast", "crf": "18", "threads": "1", "g": "24"}
        for picture in pictures:
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(track.encode())


def _write_one(job: tuple[str, Scene, int, int]) -> None:
    path, scene, size_px, frames_per_second = job
    write_video(path, scene, size_px=size_px, frames_per_second=frames_per_second)


def _spoken_name(clip: Clip) -> str:
    words = [
        w for w in clip.captions[0].replace(",", "").split() if w not in ("a", "an", "the", "there", "is")
    ]
    return "-".join(words[:9]) + f"-{clip.name.rpartition('-')[2]}"


def _pool(workers: int) -> ProcessPoolExecutor:
    # Fresh processes: forking one in which torch runs threads can hang.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def write_library(
    folder: Path | str,
    split: str = "test",
    videos: int = 600,
    seed: int = 0,
    *,
    size_px: int = 128,
    frames_per_second: int = 12,
    captions_per_video: int = 3,
    spoken_names: bool = False,
    workers: int | None = None,
) -> list[Clip]:
    """Write a split as video files with their captions.

    Beside the MP4 files the folder gets ``captions.jsonl``, one object a video (``video``, ``captions``,
    ``tag``, ``group``, ``unseen``, ``scene``), and ``shapes.json``, which says how it was made.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        split: "train", "val" or "test".
        videos: how many, a multiple of four.
        seed: the same seed gives the same library.
        size_px: height and width, even.
        frames_per_second: pictures a second.
        captions_per_video: sentences for each video.
        spoken_names: name files after their first caption instead of by number.
        workers: processes that render; None takes every core, 1 none but this one. With more than one, a
            script must call this under ``if __name__ == "__main__":``, as the processes import it anew.

    Returns:
        The clips, in the order of ``captions.jsonl``, with the names of their files.

    Raises:
        NotSavedError: the disk takes no more.
    """
    if size_px % 2:
        raise ValueError(f"size_px is {size_px}: H.264 needs an even number")
    clips = draw_split(split, videos, seed, captions_per_video=captions_per_video)
    if spoken_names:
        clips = [Clip(_spoken_name(c), c.scene, c.captions, c.group, c.unseen) for c in clips]
    about = {
        "split": split,
        "videos": videos,
        "seed": seed,
        "size_px": size_px,
        "frames_per_second": frames_per_second,
        "duration_seconds": DURATION_SECONDS,
        "captions_per_video": captions_per_video,
    }
    root = Path(folder)
    jobs = [(str(root / clip.name), clip.scene, size_px, frames_per_second) for clip in clips]
    processes = workers or (os.cpu_count() or 1)
    with saving("the videos", root):
        root.mkdir(parents=True, exist_ok=True)
        if processes == 1:
            for job in jobs:
                _write_one(job)
        else:
            with _pool(processes) as pool:
                list(pool.map(_write_one, jobs, chunksize=8))
        # Last, and whole: who finds them takes the videos for whole too.
        write_text_whole(root / "captions.jsonl", "".join(map(_listed, clips)))
        write_text_whole(root / "shapes.json", json.dumps(about, indent=2) + "\n")
    return clips


def _listed(clip: Clip) -> str:
    """A clip as a line of ``captions.jsonl``."""
    about = {
        "video": clip.name,
        "captions": clip.captions,
        "tag": clip.scene.tag,
        "group": clip.group,
        "unseen": clip.unseen,
        "scene": asdict(clip.scene),
    }
    return json.dumps(about) + "\n"


def clip_times(frames: int, sampling: Sampling = "uniform") -> NDArray[np.float64]:
    """Return the seconds of a clip that a model looks at, ``(at most frames,)``; a clip has 4 seconds."""
    return SAMPLING[sampling](Span(0.0, DURATION_SECONDS), frames)


def stream_batch(
    seed: int,
    step: int,
    batch: int = 64,
    frames: int = 8,
    size_px: int = 64,
    *,
    split: str = "train",
    captions_each: int = 1,
    jitter: float = 0.0,
    tags: Sequence[str] = TAGS,
    grouped: bool = True,
    sampling: Sampling = "uniform",
) -> StreamBatch:
    """Draw and render the batch of one step.

    Args:
        seed: of the whole stream.
        step: which batch; any can be asked for, in any process.
        batch: clips, a multiple of four: groups of hard negatives, the tags taking turns.
        frames: pictures a clip; with 1, a still at any time.
        size_px: height and width of the pictures.
        split: "train" or "val".
        captions_each: sentences for each clip.
        jitter: how far a picture may move in what it stands for, 0 (not at all) to 1 (anywhere in it): its
            stretch of the clip, around the middle; but for "uniform" the second that it begins.
        tags: which tags take turns.
        grouped: False draws scenes one by one, so that a batch holds no hard negatives (easier).
        sampling: which seconds a clip is looked at; "uniform" takes the middles of ``frames`` equal
            stretches, others may give fewer pictures.

    Raises:
        ValueError: a batch that is no multiple of four, or an unknown split.
    """
    if batch < GROUP_SIZE or batch % GROUP_SIZE:
        raise ValueError(f"batch is {batch}: expected a multiple of {GROUP_SIZE}, the size of a group")
    rng = np.random.default_rng([seed, SPLITS.index(split), _STREAM_KEY, step])
    together = GROUP_SIZE if grouped else 1
    groups = batch // together
    fixed = clip_times(frames, sampling)
    pixels = np.empty((batch, len(fixed), size_px, size_px, 3), np.uint8)
    texts: list[list[str]] = [[] for _ in range(captions_each)]
    stretch = DURATION_SECONDS / frames
    for number in range(groups):
        tag = tags[(step * groups + number) % len(tags)]
        scenes = hard_negative_group(rng, split, tag) if grouped else [draw_scene(rng, split, tag)]
        for place, scene in enumerate(scenes):
            times = fixed
            if sampling != "uniform":
                times = random_within_seconds(times, Span(0.0, DURATION_SECONDS), rng, jitter)
            elif frames == 1 or jitter:
                times = times + (1.0 if frames == 1 else jitter) * stretch * (rng.random(frames) - 0.5)
            pixels[number * together + place] = render(scene, times, size_px)
            for row in texts:
                row.append(describe(scene, rng).text)
    return StreamBatch(pixels, [text for row in texts for text in row])


def stream(
    seed: int,
    batch: int = 64,
    frames: int = 8,
    size_px: int = 64,
    *,
    split: str = "train",
    captions_each: int = 1,
    jitter: float = 0.0,
    tags: Sequence[str] = TAGS,
    start_step: int = 0,
    workers: int = 0,
    ahead: int = 4,
) -> Iterator[StreamBatch]:
    """Yield fresh training batches without end; see :func:`stream_batch` for the arguments.

    Args:
        seed: of the whole stream.
        batch: clips a batch.
        frames: pictures a clip.
        size_px: height and width of the pictures.
        split: "train" or "val".
        captions_each: sentences for each clip.
        jitter: how far a picture may be from the middle of its stretch.
        tags: which tags take turns.
        start_step: first batch; a run that resumes at step n sees what it would have seen.
        workers: processes that render ahead; 0 renders in this one. The batches are the same.
        ahead: batches rendered in advance.
    """
    draw = partial(
        stream_batch,
        seed,
        batch=batch,
        frames=frames,
        size_px=size_px,
        split=split,
        captions_each=captions_each,
        jitter=jitter,
        tags=tags,
    )
    steps = count(start_step)
    if workers == 0:
        yield from map(draw, steps)
    with _pool(workers) as pool:
        waiting = deque(pool.submit(draw, next(steps)) for _ in range(ahead))
        try:
            while True:
                yield waiting.popleft().result()
                waiting.append(pool.submit(draw, next(steps)))
        finally:
            for future in waiting:
                future.cancel()
