"""Indexing: wall time of the whole beside decoding alone and encoding alone.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/index.py     # writes results/index.json and .md

The model is a CLIP of ViT-B/32's size with random weights; one thread encodes, one worker process decodes, so
that on two free processors neither takes from the other. Decoding alone is the same worker with nobody
encoding; encoding alone has all pictures in memory. The three take turns; the least of the rounds counts.
Other work on the machine shows in wall time: the load is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch
from measuring import ROOT, command_line, machine, rows_of, write_results
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import train_tokenizer
from vidsift.index.build import build_index
from vidsift.index.decode_worker import ReadSettings, Segment, decode_pool
from vidsift.methods.model import Model

COMMAND = command_line(__file__)
TARGET, FPS, SECONDS = 1.15, 30, 10


def render(folder: Path, count: int, width_px: int, height_px: int) -> list[str]:
    """H.264 files of moving gradients with noise, a key frame every 250 pictures."""
    folder.mkdir()
    rows, columns = np.arange(height_px)[:, None], np.arange(width_px)[None, :]
    for number in range(count):
        rng = np.random.default_rng(number)
        noise = rng.integers(0, 40, (height_px, width_px), dtype=np.uint8)
        with av.open(str(folder / f"{number:03d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"g": "250", "preset": "veryfast"})
            video = cast(Any, stream)
            video.width, video.height, video.pix_fmt = width_px, height_px, "yuv420p"
            for picture in range(FPS * SECONDS):
                moving = ((rows * 2 + columns * 3 + picture * (5 + number)) % 200).astype(np.uint8)
                pixels = np.stack([moving + noise, 200 - moving + noise, moving // 2 + noise], axis=-1)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = picture, Fraction(1, FPS)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
    return [str(path) for path in sorted(folder.iterdir())]


def vit_b32() -> Model:
    """Zero-shot CLIP of the published size, not its weights."""
    words = train_tokenizer(["a dog"], 540)
    text = {
        "vocab_size": words.vocabulary_size,
        "num_hidden_layers": 1,
        "bos_token_id": words.start_id,
        "eos_token_id": words.end_id,
    }
    torch.manual_seed(0)
    towers = ClipTowers(CLIPConfig(projection_dim=512, text_config=text, vision_config={})).eval()
    return Model.create("zero_shot", towers, words, PixelNorm(224), frames=12)


def wall(work: Callable[[], Any]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def decode(paths: list[str], settings: ReadSettings) -> list[Segment]:
    with decode_pool(settings, 1) as pool:
        return [item[1] for item in pool.run(paths) if item is not None and isinstance(item[1], Segment)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=[1280, 720])
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = vit_b32()
    settings = ReadSettings(model.preprocessing, "auto", frozenset())
    with tempfile.TemporaryDirectory() as folder:
        paths = render(Path(folder) / "videos", chosen.videos, *chosen.size)
        segments = decode(paths, settings)

        def encode() -> None:
            for segment in segments:
                model.encode_frames([segment.pixels], [segment.times_seconds], batch_size=1)

        encode()
        rounds: list[dict[str, float]] = []
        for number in range(chosen.rounds):
            index = Path(folder) / f"index{number}"
            rounds.append(
                {
                    "decode_s": wall(lambda: decode(paths, settings)),
                    "encode_s": wall(encode),
                    "whole_s": wall(partial(build_index, paths, index, model, workers=1)),
                    "load": os.getloadavg()[0],
                }
            )
            print(json.dumps(rounds[-1]), flush=True)
    best = {name: min(turn[name] for turn in rounds) for name in ("decode_s", "encode_s", "whole_s")}
    ratio = best["whole_s"] / max(best["decode_s"], best["encode_s"])
    result = {
        "command": COMMAND,
        **machine(),
        "videos": chosen.videos,
        "size_px": chosen.size,
        "rounds": rounds,
        "best": best,
        "whole_over_slower": round(ratio, 3),
        "target": TARGET,
    }
    load = max(turn["load"] for turn in rounds)
    times = [f"{best[name]:.2f} s" for name in ("decode_s", "encode_s", "whole_s")]
    lines = [
        "# Indexing",
        "",
        (
            f"`{COMMAND}`: wall time, least of {len(rounds)} rounds; {chosen.videos} videos of "
            f"{SECONDS} s, {chosen.size[0]} x {chosen.size[1]}, 12 frames each; ViT-B/32's size, fp32; one "
            f"thread encodes, one process decodes; {os.cpu_count()} processors, load up to {load:.1f}."
        ),
        "",
        *rows_of(
            ["decode alone", "encode alone", "whole", "whole / slower", "target"],
            [[*times, f"{ratio:.2f}", TARGET]],
            left=0,
        ),
    ]
    write_results(chosen.out, "index", result, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
