"""A split of the Shapes world: what its videos show, what is said of them, and their files.

:func:`draw_split` decides what the videos of a split show and what is said of them, :func:`write_library`
writes them as H.264 files with their captions. Both are functions of their seed: the same seed gives the same
scenes, words, pixels and, on one machine, the same files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.files.disk_errors import saving
from vidsift.files.whole import write_json_whole, write_text_whole
from vidsift.shapes.captions import Caption, describe_scene
from vidsift.shapes.grounding import ground_words
from vidsift.shapes.groups import GROUP_SIZE, hard_negative_group, require_groups
from vidsift.shapes.render import render
from vidsift.shapes.sentence_parts import CaptionWord
from vidsift.shapes.world import (
    DURATION_SECONDS,
    SPLITS,
    TAGS,
    Scene,
    Statement,
    holds,
    require_split,
    unseen_combinations,
)

__all__ = [
    "DrawnVideo",
    "Register",
    "VideoJob",
    "draw_split",
    "require_even",
    "split_of_library",
    "tell_apart",
    "write_folder",
    "write_library",
    "write_pictures",
    "write_video",
    "write_videos",
]

_ATTEMPTS = 12


@dataclass(frozen=True)
class DrawnVideo:
    """One video of a split: what it shows and what is said of it.

    Attributes:
        name: name of its file.
        scene: what it shows.
        captions: sentences that hold of this video and of no other of its split.
        group: number of its group of hard negatives within the split.
        unseen: combinations that training never shows; empty outside test.
        words: of each caption the words that say something that is seen.
    """

    name: str
    scene: Scene
    captions: tuple[str, ...]
    group: int
    unseen: tuple[str, ...]
    words: tuple[tuple[CaptionWord, ...], ...] = ()

    def grounding(self) -> list[list[dict[str, Any]]]:
        """Which word of each caption is true when and where, see :mod:`vidsift.shapes.grounding`."""
        return [
            ground_words(self.scene, text, words)
            for text, words in zip(self.captions, self.words, strict=True)
        ]


class Register:
    """The scenes accepted into a split and all that was stated of them, found by shape and colour."""

    def __init__(self) -> None:
        """Start with none."""
        self.scenes: defaultdict[tuple[str, str], list[Scene]] = defaultdict(list)
        self.statements: defaultdict[tuple[str, str], list[Statement]] = defaultdict(list)

    def already_described(self, scene: Scene) -> bool:
        """Say whether a sentence about another video holds of this scene."""
        # Statements lie under their first mention, which has to be one of the scene's things.
        pairs = {(thing.shape, thing.colour) for thing in scene.things}
        return any(holds(statement, scene) for pair in pairs for statement in self.statements[pair])

    def is_ambiguous(self, statement: Statement) -> bool:
        """Say whether a statement holds of an accepted scene."""
        # A scene of which it holds has its first mention among its things: only those are looked through.
        first = statement.mentions[0]
        return any(holds(statement, scene) for scene in self.scenes[first.shape, first.colour])

    def add(self, scene: Scene, said: Sequence[Caption]) -> None:
        """Accept a scene with its sentences."""
        for thing in scene.things:
            self.scenes[thing.shape, thing.colour].append(scene)
        for caption in said:
            first = caption.statement.mentions[0]
            self.statements[first.shape, first.colour].append(caption.statement)


def tell_apart(
    scene: Scene,
    group: Sequence[Scene],
    register: Register,
    count: int,
    describe: Callable[[float], Caption],
) -> list[Caption] | None:
    """Find sentences that no other video fits.

    Args:
        scene: what they are about.
        group: the scene and its hard negatives.
        register: of all that was accepted before.
        count: how many, all different.
        describe: draws one; it takes how many of all attempts are over, 0 to 1.

    Returns:
        The sentences; None if there are none.
    """
    said: list[Caption] = []
    for attempt in range(_ATTEMPTS * count):
        caption = describe(attempt / (_ATTEMPTS * count - 1))
        unclear = any(other is not scene and holds(caption.statement, other) for other in group)
        if unclear or register.is_ambiguous(caption.statement) or caption.text in {c.text for c in said}:
            continue
        said.append(caption)
        if len(said) == count:
            return said
    return None


def draw_split(
    split: str, videos: int, seed: int = 0, *, captions_per_video: int = 3, tags: Sequence[str] = TAGS
) -> list[DrawnVideo]:
    """Decide what the videos of a split show and what is said of them.

    Tags take turns, so each has the same share. In test, every second group of each tag holds unseen
    combinations. No caption of the split holds of another of its videos: a group that cannot be told from
    what is there already is drawn anew.

    Args:
        split: "train", "val" or "test".
        videos: how many, a multiple of four (groups of four hard negatives).
        seed: the same seed, split and number give the same videos.
        captions_per_video: sentences for each video, all different.
        tags: which tags take turns.

    Raises:
        ValueError: unknown split, a number that is no multiple of four, or no captions.
    """
    require_split(split)
    require_groups("videos", videos)
    if captions_per_video < 1:
        raise ValueError(f"captions_per_video is {captions_per_video}: expected at least 1")
    register = Register()
    drawn: list[DrawnVideo] = []
    for number in range(videos // GROUP_SIZE):
        # Another stream of numbers for each split and group: what one draws moves no other.
        rng = np.random.default_rng([seed, SPLITS.index(split), number])
        tag = tags[number % len(tags)]
        unseen = split == "test" and (number // len(tags)) % 2 == 1
        accepted: list[list[Caption]] = []
        group: list[Scene] = []
        while not accepted:
            group = hard_negative_group(rng, split, tag, unseen=unseen)
            if any(register.already_described(scene) for scene in group):
                continue
            attempts = [
                tell_apart(scene, group, register, captions_per_video, _describing(scene, rng))
                for scene in group
            ]
            # All four or none: a group of three has lost a hard negative.
            accepted = [said for said in attempts if said is not None] if all(attempts) else []
        for scene, said in zip(group, accepted, strict=True):
            register.add(scene, said)
            name = f"{split}-{len(drawn):05d}.mp4"
            texts, words = tuple(it.text for it in said), tuple(it.words for it in said)
            drawn.append(DrawnVideo(name, scene, texts, number, unseen_combinations(scene), words))
    return drawn


def _describing(scene: Scene, rng: np.random.Generator) -> Callable[[float], Caption]:
    """Draw longer sentences where short ones fit other videos too."""
    return lambda over: describe_scene(scene, rng, 0.5 + 0.5 * over)


def write_video(
    path: Path | str,
    scene: Scene,
    *,
    size_px: int = 128,
    frames_per_second: int = 12,
    duration_seconds: float = DURATION_SECONDS,
) -> None:
    """Write a scene as an H.264 file, replacing what is there."""
    _write_job(VideoJob(str(path), ((scene, duration_seconds),), size_px, frames_per_second))


def write_pictures(path: Path | str, pictures: Iterable[NDArray[np.uint8]], frames_per_second: int) -> None:
    """Write square pictures ``(S, S, 3)``, at least one, as an H.264 file, replacing what is there."""
    import av

    with av.open(str(path), "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=Fraction(frames_per_second))
        track.pix_fmt = "yuv420p"
        # One thread: the encoder's choices, and with them the bytes, do not depend on the machine's load.
        track.options = {"preset": "veryfast", "crf": "18", "threads": "1", "g": "24"}
        for picture in pictures:
            if not track.codec_context.is_open:
                track.width = track.height = picture.shape[0]
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(track.encode())


class VideoJob(NamedTuple):
    """A file to be written: ``parts`` are scenes one after the other with their seconds."""

    path: str
    parts: tuple[tuple[Scene, float], ...]
    size_px: int
    frames_per_second: int


def _write_job(job: VideoJob) -> None:
    write_pictures(job.path, _pictures(job), job.frames_per_second)


def _pictures(job: VideoJob) -> Iterator[NDArray[np.uint8]]:
    """Render part by part: a recording of minutes is never in memory as a whole."""
    rate, start, shown = job.frames_per_second, 0.0, 0
    for scene, seconds in job.parts:
        # A part may begin between two pictures: counted from the first part on, later ones are not shifted.
        end = round((start + seconds) * rate)
        yield from render(scene, np.arange(end - shown) / rate + (shown / rate - start), job.size_px)
        start, shown = start + seconds, end


def _spoken_name(video: DrawnVideo) -> str:
    words = [
        w for w in video.captions[0].replace(",", "").split() if w not in ("a", "an", "the", "there", "is")
    ]
    return "-".join(words[:9]) + f"-{video.name.rpartition('-')[2]}"


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
    grounding: bool = False,
    workers: int | None = None,
) -> list[DrawnVideo]:
    """Write a split as video files with their captions.

    Beside the MP4 files the folder gets ``captions.jsonl``, one object a video (``video``, ``captions``,
    ``split``, ``tag``, ``group``, ``unseen``, ``scene``), and ``shapes.json``, which says how it was made.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        split: "train", "val" or "test".
        videos: how many, a multiple of four.
        seed: the same seed gives the same library.
        size_px: height and width, even.
        frames_per_second: pictures a second.
        captions_per_video: sentences for each video.
        spoken_names: name files after their first caption instead of by number.
        grounding: also write which word of each caption is true when and where, which
            ``vidsift evaluate --grounding`` needs.
        workers: processes that render; None takes every core, 1 none but this one. With more than one, a
            script must call this under ``if __name__ == "__main__":``, as the processes import it anew.

    Returns:
        The videos, in the order of ``captions.jsonl``, with the names of their files.

    Raises:
        NotSavedError: the disk takes no more.
    """
    require_even(size_px)
    drawn = draw_split(split, videos, seed, captions_per_video=captions_per_video)
    if spoken_names:
        drawn = [replace(video, name=_spoken_name(video)) for video in drawn]
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
    shown = [(str(root / video.name), ((video.scene, DURATION_SECONDS),)) for video in drawn]
    jobs = [VideoJob(path, parts, size_px, frames_per_second) for path, parts in shown]
    write_folder(root, jobs, workers, "".join(_listed(video, split, grounding) for video in drawn), about)
    return drawn


def require_even(size_px: int) -> None:
    """Refuse a size that no file can have.

    Raises:
        ValueError: it is odd.
    """
    if size_px % 2:
        raise ValueError(f"size_px is {size_px}: H.264 needs an even number")


def write_folder(
    root: Path, jobs: Sequence[VideoJob], workers: int | None, listed: str, about: Mapping[str, Any]
) -> None:
    """Write the videos of a library, and then what is said of them.

    Args:
        root: made if it is missing.
        jobs: the videos.
        workers: see :func:`write_library`.
        listed: what ``captions.jsonl`` holds.
        about: what ``shapes.json`` holds.

    Raises:
        NotSavedError: the disk takes no more.
    """
    with saving("the videos", root):
        root.mkdir(parents=True, exist_ok=True)
        write_videos(jobs, workers)
        # Last, and whole: who finds them takes the videos for whole too.
        write_text_whole(root / "captions.jsonl", listed)
        write_json_whole(root / "shapes.json", about)


def write_videos(jobs: Sequence[VideoJob], workers: int | None) -> None:
    """Write files in several processes; see ``workers`` of :func:`write_library`.

    Raises:
        ValueError: the pictures are of no rate, or nobody works.
    """
    if any(job.frames_per_second < 1 for job in jobs):
        raise ValueError(f"frames_per_second is {jobs[0].frames_per_second}: expected at least 1")
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}: expected at least 1, or None for every core")
    processes = workers or (os.cpu_count() or 1)
    if processes == 1:
        for job in jobs:
            _write_job(job)
        return
    # Fresh processes: forking one in which torch runs threads can hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_write_job, jobs, chunksize=max(1, min(8, len(jobs) // (4 * processes)))))


def _listed(video: DrawnVideo, split: str, grounding: bool) -> str:
    """A video as a line of ``captions.jsonl``."""
    about = {
        "video": video.name,
        "captions": video.captions,
        # Version 1 had none: without being asked for, its files stay what they were.
        **({"grounding": video.grounding()} if grounding else {}),
        "split": split,
        "tag": video.scene.tag,
        "group": video.group,
        "unseen": video.unseen,
        "scene": asdict(video.scene),
    }
    return json.dumps(about) + "\n"


def split_of_library(folder: Path) -> str:
    """Return the split of a whole library, as ``shapes.json`` names it; "" where there is no such file.

    Version 0.1 named no split on the lines of ``captions.jsonl``: without this, the videos that its library
    holds for tests could be trained on.

    Raises:
        ValueError: the file holds no JSON object.
    """
    about = folder / "shapes.json"
    if not about.is_file():
        return ""
    try:
        return str(json.loads(about.read_text(encoding="utf-8")).get("split", ""))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{about}: no JSON object: {error}") from error
