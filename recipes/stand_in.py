"""Stand-ins, to walk through the recipes before anything is downloaded: MSR-VTT's layout and a small CLIP.

    python recipes/stand_in.py data/msrvtt --clip data/small-clip
    vidsift train recipes/msrvtt/drl-wti.yaml model.start=data/small-clip steps=20 data.batch_size=16

The videos are scenes of the Shapes world (docs/shapes.md), in files that are called and listed as MSR-VTT's:
``videos/video0.mp4`` and so on, ``annotations/MSRVTT_data.json``, ``MSRVTT_train.9k.csv`` and ``.7k.csv``,
``MSRVTT_JSFUSION_test.csv``. The CLIP has fresh weights and a vocabulary learned from the captions. The same
seed gives the same files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import train_tokenizer
from vidsift.encoders.weights import save_clip
from vidsift.shapes.groups import GROUP_SIZE
from vidsift.shapes.library import DrawnVideo, draw_split, write_video
from vidsift.shapes.world import TAGS
from vidsift.training.recipe import NewClip
from vidsift.training.setup import clip_config

SMALL = NewClip(
    dim=128,
    image_px=64,
    patch_px=16,
    vision_width=128,
    vision_layers=4,
    text_width=128,
    text_layers=3,
    head_width=64,
    vocabulary=1280,
    activation="relu",
)
"""As recipes/shapes/backbone.yaml has it: a step of 64 videos takes about a second of one core."""


def write_msrvtt(
    folder: Path,
    *,
    training: int = 128,
    test: int = 64,
    captions: int = 4,
    size_px: int = 64,
    frames_per_second: int = 3,
    tags: Sequence[str] = TAGS,
    seed: int = 0,
    workers: int = 1,
) -> list[str]:
    """Write videos and annotations as MSR-VTT's lie on a disk.

    Args:
        folder: gets ``videos`` and ``annotations``; files of the same names are replaced.
        training: videos in ``MSRVTT_train.9k.csv``, three quarters of them in ``.7k.csv``.
        test: videos in ``MSRVTT_JSFUSION_test.csv``.
        captions: of each video of training, which all are trained on; the list for testing names one.
        size_px: height and width, even.
        frames_per_second: 3, as released recipes compress theirs.
        tags: kinds of scenes, of :data:`~vidsift.shapes.world.TAGS`.
        seed: of everything drawn.
        workers: processes that render.

    Returns:
        The captions of training.
    """
    whole_groups = -(-training // GROUP_SIZE) * GROUP_SIZE
    train = draw_split("train", whole_groups, seed, captions_per_video=captions, tags=tags)
    # One of each group of look-alikes, as 1k-A has none; the official file has captions of its videos too.
    tested = draw_split("test", GROUP_SIZE * test, seed, captions_per_video=captions, tags=tags)
    drawn = {"train": train[:training], "test": tested[::GROUP_SIZE]}
    numbered = [(split, video) for split, videos in drawn.items() for video in videos]
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    jobs = [
        (folder / "videos" / f"video{number}.mp4", video, size_px, frames_per_second)
        for number, (_, video) in enumerate(numbered)
    ]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(_render, jobs, chunksize=16))
    else:
        for job in jobs:
            _render(job)
    _annotate(folder / "annotations", numbered)
    return [caption for video in drawn["train"] for caption in video.captions]


def _render(job: tuple[Path, DrawnVideo, int, int]) -> None:
    path, video, size_px, frames_per_second = job
    write_video(path, video.scene, size_px=size_px, frames_per_second=frames_per_second)


def _annotate(folder: Path, numbered: Sequence[tuple[str, DrawnVideo]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    videos: list[dict[str, Any]] = []
    sentences: list[dict[str, Any]] = []
    ids: dict[str, list[str]] = {"train": [], "test": []}
    for number, (split, video) in enumerate(numbered):
        video_id = f"video{number}"
        ids[split].append(video_id)
        # Of the 10,000 videos the first 6,513 are "train" and the next 497 "validate": 9k has both.
        official = split if split == "test" or number % 14 else "validate"
        videos.append(
            {
                "category": 0,
                "url": f"https://www.youtube.com/watch?v={video_id}",
                "video_id": video_id,
                "start time": 0.0,
                "end time": 4.0,
                "split": official,
                "id": number,
            }
        )
        sentences += [
            {"caption": caption, "video_id": video_id, "sen_id": len(sentences) + place}
            for place, caption in enumerate(video.captions)
        ]
    data = {"info": {"contributor": "Shapes", "year": "2026"}, "videos": videos, "sentences": sentences}
    (folder / "MSRVTT_data.json").write_text(json.dumps(data), encoding="utf-8")
    for name, listed in (("9k", ids["train"]), ("7k", ids["train"][: len(ids["train"]) * 3 // 4])):
        text = "\n".join(["video_id", *listed, ""])
        (folder / f"MSRVTT_train.{name}.csv").write_text(text, encoding="utf-8")
    test = [(number, video) for number, (split, video) in enumerate(numbered) if split == "test"]
    rows = [
        f'ret{place},msr{number},video{number},"{video.captions[0]}"'
        for place, (number, video) in enumerate(test)
    ]
    text = "\n".join(["key,vid_key,video_id,sentence", *rows, ""])
    (folder / "MSRVTT_JSFUSION_test.csv").write_text(text, encoding="utf-8")


def write_small_clip(
    folder: Path, captions: Sequence[str], sizes: NewClip = SMALL, *, spread: float = 0.2, seed: int = 0
) -> None:
    """Write a CLIP with fresh weights as ``transformers`` stores them.

    Args:
        folder: ``model.start`` of a recipe.
        captions: its vocabulary is learned from.
        sizes: of towers and vocabulary.
        spread: standard deviation of the embeddings of words; at CLIP's own 0.02 a small one takes ten times
            as long to learn its first words.
        seed: of the weights.
    """
    tokenizer = train_tokenizer(captions, sizes.vocabulary)
    torch.manual_seed(seed)
    towers = ClipTowers(clip_config(sizes, tokenizer))
    text, vision = towers.clip.text_model.embeddings, towers.clip.vision_model.embeddings
    torch.nn.init.normal_(text.token_embedding.weight, std=spread)
    for places in (text.position_embedding, vision.position_embedding):
        torch.nn.init.normal_(places.weight, std=spread / 2)
    save_clip(folder, towers, tokenizer, PixelNorm(sizes.image_px))


def main() -> None:
    """Write what was asked for."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path, help="Gets videos and annotations, e.g. data/msrvtt.")
    options.add_argument("--clip", type=Path, help="Write a small CLIP here, too.")
    options.add_argument("--training", type=int, default=128, help="Videos to train on.")
    options.add_argument("--test", type=int, default=64, help="Videos of 1k-A.")
    options.add_argument("--workers", type=int, default=1, help="Processes that render.")
    chosen = options.parse_args()
    captions = write_msrvtt(chosen.folder, training=chosen.training, test=chosen.test, workers=chosen.workers)
    print(f"{chosen.training} + {chosen.test} videos with their annotations in {chosen.folder}")
    if chosen.clip is not None:
        write_small_clip(chosen.clip, captions)
        print(f"a small CLIP of fresh weights in {chosen.clip}")


if __name__ == "__main__":
    main()
