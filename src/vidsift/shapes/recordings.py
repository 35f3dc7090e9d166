"""Long recordings of Shapes 2: minutes of clips one after the other, and one short event of each asked for.

What a sentence says happens once in its recording and in no other one, in seconds that are known exactly:
what finding a moment in long footage is measured by.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidsift.shapes.captions import Caption
from vidsift.shapes.clip_captions import describe_clip
from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.clips import COMING_AND_GOING, ShapesClip, event_span
from vidsift.shapes.grounding import ground_caption
from vidsift.shapes.library import Register, VideoJob, require_even, write_folder
from vidsift.shapes.world import SPLITS, TAGS, holds, pick, require_split

__all__ = ["Recording", "RecordingQuestion", "draw_recordings", "write_recordings"]

# Keeps its random numbers apart from those of splits, streams and sets.
_RECORDINGS_KEY = 74
_ATTEMPTS = 40


class RecordingQuestion(NamedTuple):
    """A sentence about an event, and which: number of the clip in its recording, index of the event."""

    caption: Caption
    clip: int
    event: int


@dataclass(frozen=True)
class Recording:
    """A long video.

    Attributes:
        name: name of its file.
        clips: what it shows, one after the other.
        questions: sentences, each about an event that happens nowhere else.
    """

    name: str
    clips: tuple[ShapesClip, ...]
    questions: tuple[RecordingQuestion, ...]

    @property
    def starts_seconds(self) -> list[float]:
        """Where each clip begins, and at last where the recording ends."""
        return [0.0, *np.cumsum([clip.duration_seconds for clip in self.clips]).tolist()]

    def moments(self) -> list[dict[str, Any]]:
        """The sentences with the seconds in which what they say happens."""
        starts, moments = self.starts_seconds, []
        for caption, number, event in self.questions:
            span = event_span(self.clips[number], self.clips[number].events[event])
            start, end = (round(starts[number] + seconds, 3) for seconds in span)
            moments.append({"caption": caption.text, "start": start, "end": end})
        return moments

    def grounding(self) -> list[list[dict[str, Any]]]:
        """Which word of each sentence is true when and where, see :mod:`vidsift.shapes.grounding`."""
        starts = self.starts_seconds
        return [
            ground_caption(self.clips[number], caption, starts[number])
            for caption, number, _ in self.questions
        ]


def draw_recordings(
    split: str = "test", recordings: int = 8, minutes: float = 5.0, seed: int = 0
) -> list[Recording]:
    """Decide what recordings show and what is asked of them.

    Args:
        split: "train", "val" or "test".
        recordings: how many.
        minutes: how long each is at least; it ends with the clip in which they are over.
        seed: the same seed gives the same recordings.

    Returns:
        Recordings with a sentence for nearly every clip; none for one whose events others share.

    Raises:
        ValueError: an unknown split, no recordings, or no length.
    """
    require_split(split)
    if recordings < 1 or not 0 < minutes < float("inf"):
        raise ValueError(
            f"{recordings} recordings of {minutes} minutes: expected at least one, with a length"
        )
    register = Register()
    shown: list[tuple[ShapesClip, ...]] = []
    for number in range(recordings):
        rng = np.random.default_rng([seed, SPLITS.index(split), number, _RECORDINGS_KEY])
        clips: list[ShapesClip] = []
        while sum(clip.duration_seconds for clip in clips) < minutes * 60:
            # One of each group: what the others show nearly alike would be asked for as well.
            clips.append(pick(rng, clip_group(rng, split, TAGS[len(clips) % len(TAGS)])))
            register.add(clips[-1], ())
        shown.append(tuple(clips))
    drawn = []
    for number, parts in enumerate(shown):
        rng = np.random.default_rng([seed, SPLITS.index(split), number, _RECORDINGS_KEY, 1])
        questions = (_ask(clip, place, register, rng) for place, clip in enumerate(parts))
        sentences = tuple(each for each in questions if each is not None)
        drawn.append(Recording(f"{split}-recording-{number:05d}.mp4", parts, sentences))
    return drawn


def _ask(
    clip: ShapesClip, place: int, register: Register, rng: np.random.Generator
) -> RecordingQuestion | None:
    """Find a sentence about an event that happens in this clip alone; None where there is none."""
    acts = [i for i, event in enumerate(clip.events) if event.motion not in COMING_AND_GOING]
    # A clip in which nothing else happens is asked for what comes or goes.
    events = acts or list(range(len(clip.events)))
    for _ in range(_ATTEMPTS):
        event = pick(rng, events)
        caption = describe_clip(clip, rng, event=event)
        first = caption.statement.mentions[0]
        others = register.scenes[first.shape, first.colour]
        if not any(other is not clip and holds(caption.statement, other) for other in others):
            return RecordingQuestion(caption, place, event)
    return None


def write_recordings(
    folder: Path | str,
    split: str = "test",
    recordings: int = 8,
    minutes: float = 5.0,
    seed: int = 0,
    *,
    size_px: int = 128,
    frames_per_second: int = 12,
    workers: int | None = None,
) -> list[Recording]:
    """Write long recordings as video files, with sentences about short events and their seconds.

    Beside the MP4 files the folder gets ``captions.jsonl``, an object a recording (``video``, ``captions``,
    ``moments``, ``grounding``, ``split``, ``scene``), and ``shapes.json``.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        split: "train", "val" or "test".
        recordings: how many.
        minutes: how long each is at least.
        seed: the same seed gives the same recordings.
        size_px: height and width, even.
        frames_per_second: pictures a second.
        workers: see :func:`~vidsift.shapes.library.write_library`.

    Returns:
        The recordings, in the order of ``captions.jsonl``.

    Raises:
        ValueError: see :func:`draw_recordings`; or an odd size.
        NotSavedError: the disk takes no more.
    """
    require_even(size_px)
    drawn = draw_recordings(split, recordings, minutes, seed)
    root = Path(folder)
    jobs = [
        VideoJob(
            str(root / recording.name),
            tuple((clip, clip.duration_seconds) for clip in recording.clips),
            size_px,
            frames_per_second,
        )
        for recording in drawn
    ]
    about = {"world": 2, "split": split, "recordings": recordings, "minutes": minutes, "seed": seed}
    about |= {"size_px": size_px, "frames_per_second": frames_per_second}
    write_folder(root, jobs, workers, _lines(drawn, split), about)
    return drawn


def _lines(drawn: Sequence[Recording], split: str) -> str:
    """The recordings as ``captions.jsonl`` has them."""
    lines = []
    for recording in drawn:
        about = {
            "video": recording.name,
            "captions": [question.caption.text for question in recording.questions],
            "moments": recording.moments(),
            "grounding": recording.grounding(),
            "split": split,
            "scene": [asdict(clip) for clip in recording.clips],
        }
        lines.append(json.dumps(about) + "\n")
    return "".join(lines)
