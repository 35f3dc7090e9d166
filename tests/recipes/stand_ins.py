"""The seven benchmarks as they lie on a disk, with a few tiny videos: names and folders of the real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from vidsift.shapes.library import DrawnVideo, draw_split, write_video

TRAINING, VALIDATION, TEST = 8, 2, 4
CAPTIONS = 3
"""Of a video, where a data set has several."""


class Footage:
    """Videos to hand out under any name: a few, as what they show plays no part."""

    def __init__(self, folder: Path, *, size_px: int = 16) -> None:
        """See the class; draws them."""
        folder.mkdir(parents=True)
        self._drawn = draw_split("train", 4, captions_per_video=CAPTIONS)
        self._files = [folder / video.name for video in self._drawn]
        for video, file in zip(self._drawn, self._files, strict=True):
            # Two pictures a second, of which recipes take one.
            write_video(file, video.scene, size_px=size_px, frames_per_second=2)

    @property
    def captions(self) -> list[str]:
        """All sentences."""
        return [caption for video in self._drawn for caption in video.captions]

    def place(self, folder: Path, names: Iterable[str]) -> list[DrawnVideo]:
        """Copy a video for each name, and return what each shows."""
        shown = []
        for number, name in enumerate(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._files[number % len(self._files)], path)
            shown.append(self._drawn[number % len(self._drawn)])
        return shown


def write_data_set(name: str, folder: Path, footage: Footage) -> None:
    """Write ``videos`` and ``annotations`` of a data set, called as in recipes."""
    annotations = folder / "annotations"
    annotations.mkdir(parents=True)
    _WRITERS[name](folder / "videos", annotations, footage)


def _numbered(split: str, count: int) -> list[str]:
    return [f"{split}{number:02d}" for number in range(count)]


_SPLITS = {"train": TRAINING, "val": VALIDATION, "test": TEST}


def _write_json(file: Path, values: Any) -> None:
    file.write_text(json.dumps(values), encoding="utf-8")


def _write_lines(file: Path, lines: Sequence[str]) -> None:
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _msrvtt(videos: Path, annotations: Path, footage: Footage) -> None:
    ids = [f"video{number}" for number in range(TRAINING + TEST)]
    shown = footage.place(videos, [f"{video_id}.mp4" for video_id in ids])
    training = ids[:TRAINING]
    data = {
        "info": {"contributor": "nobody", "year": "2016"},
        "videos": [
            {
                "category": 9,
                "url": f"https://www.youtube.com/watch?v={video_id}",
                "video_id": video_id,
                "start time": 0.0,
                "end time": 4.0,
                "split": "train" if video_id in training else "test",
                "id": number,
            }
            for number, video_id in enumerate(ids)
        ],
        "sentences": [
            {"caption": caption, "video_id": video_id, "sen_id": number * CAPTIONS + place}
            for number, (video_id, video) in enumerate(zip(ids, shown, strict=True))
            for place, caption in enumerate(video.captions)
        ],
    }
    _write_json(annotations / "MSRVTT_data.json", data)
    _write_lines(annotations / "MSRVTT_train.9k.csv", ["video_id", *training])
    rows = [
        f'ret{number},msr{number},{video_id},"{video.captions[0]}"'
        for number, (video_id, video) in enumerate(list(zip(ids, shown, strict=True))[TRAINING:])
    ]
    _write_lines(annotations / "MSRVTT_JSFUSION_test.csv", ["key,vid_key,video_id,sentence", *rows])


def _msvd(videos: Path, annotations: Path, footage: Footage) -> None:
    captions: dict[str, Sequence[str]] = {}
    for split, count in _SPLITS.items():
        ids = [f"{name}abc_{number}_{number + 4}" for number, name in enumerate(_numbered(split, count))]
        shown = footage.place(videos, [f"{video_id}.avi" for video_id in ids])
        captions |= {video_id: video.captions for video_id, video in zip(ids, shown, strict=True)}
        _write_lines(annotations / f"{split}_list.txt", ids)
    _write_json(annotations / "captions_msvd.json", captions)


def _lsmdc(videos: Path, annotations: Path, footage: Footage) -> None:
    files = {
        "train": "LSMDC16_annos_training.csv",
        "val": "LSMDC16_annos_val.csv",
        "test": "LSMDC16_challenge_1000_publictect.csv",
    }
    for number, (split, count) in enumerate(_SPLITS.items()):
        film = f"00{number + 1:02d}_Film_{split}"
        starts = [f"00.00.{clip * 5:02d}.000-00.00.{clip * 5 + 4:02d}.000" for clip in range(count)]
        clips = [f"{film}_{start}" for start in starts]
        shown = footage.place(videos, [f"{film}/{clip}.avi" for clip in clips])
        rows = [
            "\t".join([clip, *start.split("-"), *start.split("-"), f"SOMEONE sees {video.captions[0]}"])
            for clip, start, video in zip(clips, starts, shown, strict=True)
        ]
        _write_lines(annotations / files[split], rows)


def _didemo(videos: Path, annotations: Path, footage: Footage) -> None:
    for split, count in _SPLITS.items():
        names = [f"1000{number}@N00_{name}.mov" for number, name in enumerate(_numbered(split, count))]
        shown = footage.place(videos, names)
        said = [
            {
                "annotation_id": number * CAPTIONS + place,
                "video": name,
                "description": caption,
                "times": [[0, 0]] * 4,
                "num_segments": 1,
                "dl_link": "",
                "reference_description": "",
                "train_times": [],
            }
            for number, (name, video) in enumerate(zip(names, shown, strict=True))
            for place, caption in enumerate(video.captions)
        ]
        _write_json(annotations / f"{split}_data.json", said)
        _write_lines(annotations / f"{split}_list.txt", names)


def _activitynet(videos: Path, annotations: Path, footage: Footage) -> None:
    for split, count in {"train": TRAINING, "val_1": TEST}.items():
        ids = [f"v_{name}" for name in _numbered(split.replace("_", ""), count)]
        shown = footage.place(videos, [f"{video_id}.mp4" for video_id in ids])
        about = {
            video_id: {
                "duration": 4.0,
                "timestamps": [[place * 1.0, place + 1.0] for place in range(CAPTIONS)],
                "sentences": [f" {caption}" for caption in video.captions],
            }
            for video_id, video in zip(ids, shown, strict=True)
        }
        _write_json(annotations / f"{split}.json", about)


def _vatex(videos: Path, annotations: Path, footage: Footage) -> None:
    about: dict[str, Any] = {}
    for split, count in _SPLITS.items():
        ids = [f"{name}-vx_000001_000005" for name in _numbered(split, count)]
        shown = footage.place(videos, [f"{video_id}.mp4" for video_id in ids])
        about |= {
            video_id: {"enCap": video.captions, "chCap": []}
            for video_id, video in zip(ids, shown, strict=True)
        }
        _write_lines(annotations / f"{split}_list.txt", ids)
    _write_json(annotations / "vatex_data.json", about)


def _youcook2(videos: Path, annotations: Path, footage: Footage) -> None:
    database: dict[str, Any] = {}
    # Two steps a video.
    for subset, count in {"training": TRAINING // 2, "validation": TEST // 2}.items():
        ids = _numbered(f"yc{subset[:5]}", count)
        shown = footage.place(videos, [f"{subset}/101/{video_id}.mkv" for video_id in ids])
        for video_id, video in zip(ids, shown, strict=True):
            steps = [
                {"id": number, "segment": [number * 2, number * 2 + 2], "sentence": video.captions[number]}
                for number in range(2)
            ]
            about = {"duration": 4.0, "subset": subset, "recipe_type": "101", "annotations": steps}
            database[video_id] = {**about, "video_url": f"https://www.youtube.com/watch?v={video_id}"}
    _write_json(annotations / "youcookii_annotations_trainval.json", {"database": database})


_WRITERS: dict[str, Callable[[Path, Path, Footage], None]] = {
    "msrvtt": _msrvtt,
    "msvd": _msvd,
    "lsmdc": _lsmdc,
    "didemo": _didemo,
    "activitynet": _activitynet,
    "vatex": _vatex,
    "youcook2": _youcook2,
}
