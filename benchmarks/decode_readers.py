"""The readers that are compared, each reduced to: path and times in, central squares of 224 px out.

Every reader answers "which picture is shown at this time" by the best means that its interface offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE_PX = 224
Pixels = NDArray[np.uint8]
Reader = Callable[[str, Sequence[float]], list[Pixels]]


def _clip(pixels: Pixels) -> Pixels:
    """CLIP's resize and crop by Pillow, as every loader around these readers does it."""
    image = Image.fromarray(pixels)
    width, height = image.size
    scale = SIZE_PX / min(width, height)
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - SIZE_PX) // 2, (image.height - SIZE_PX) // 2
    return np.asarray(image.crop((left, top, left + SIZE_PX, top + SIZE_PX)))


def vidsift(method: Any) -> Reader:
    from vidsift.video import read_frames

    return lambda path, times: list(read_frames(path, times, method=method, size_px=SIZE_PX).pixels)


def pyav(path: str, times: Sequence[float]) -> list[Pixels]:
    """Decode everything up to the last picture wanted, convert only those wanted."""
    import av

    pictures: list[Pixels] = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        start = (container.start_time or 0) / 1_000_000
        before = None
        for frame in container.decode(stream):
            while (
                before is not None
                and len(pictures) < len(times)
                and frame.time - start > times[len(pictures)]
            ):
                pictures.append(_clip(np.asarray(before.to_ndarray(format="rgb24"), np.uint8)))
            before = frame
            if len(pictures) == len(times):
                break
        while before is not None and len(pictures) < len(times):
            pictures.append(_clip(np.asarray(before.to_ndarray(format="rgb24"), np.uint8)))
    return pictures


def torchcodec(seek_mode: str) -> Reader:
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)

    def read(path: str, times: Sequence[float]) -> list[Pixels]:
        decoder = VideoDecoder(path, seek_mode=seek_mode, num_ffmpeg_threads=1, dimension_order="NHWC")
        start = decoder.metadata.begin_stream_seconds or 0.0
        pictures = decoder.get_frames_played_at([start + time for time in times]).data.numpy()
        return [_clip(picture) for picture in pictures]

    return read


def decord(native_resize: bool) -> Reader:
    from decord import VideoReader, cpu

    def read(path: str, times: Sequence[float]) -> list[Pixels]:
        size = {"width": 398, "height": SIZE_PX} if native_resize else {}
        reader = VideoReader(path, ctx=cpu(0), num_threads=1, **size)
        starts = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        wanted = np.searchsorted(starts - max(0.0, starts[0]), times, side="right") - 1
        pictures = reader.get_batch(wanted.tolist()).asnumpy()
        if native_resize:
            left = (398 - SIZE_PX) // 2
            return [picture[:, left : left + SIZE_PX] for picture in pictures]
        return [_clip(picture) for picture in pictures]

    return read


def opencv() -> Reader:
    import cv2

    cv2.setNumThreads(1)

    def read(path: str, times: Sequence[float]) -> list[Pixels]:
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not capture.isOpened():
            raise RuntimeError("cannot open")
        pictures: list[Pixels] = []
        for time in times:
            capture.set(cv2.CAP_PROP_POS_FRAMES, int(time * capture.get(cv2.CAP_PROP_FPS)))
            good, picture = capture.read()
            if not good:
                raise RuntimeError(f"no picture at {time} s")
            pictures.append(_clip(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
        capture.release()
        return pictures

    return read


READERS: dict[str, Callable[[], Reader]] = {
    "vidsift": lambda: vidsift("auto"),
    "vidsift, through": lambda: vidsift("through"),
    "PyAV, all decoded": lambda: pyav,
    "torchcodec, exact": lambda: torchcodec("exact"),
    "torchcodec, approximate": lambda: torchcodec("approximate"),
    "decord": lambda: decord(native_resize=False),
    "decord, own resize": lambda: decord(native_resize=True),
    "OpenCV": opencv,
}
"""Name of a reader -> how to get it; getting it fails where the package is missing."""

TIMED = tuple(name for name in READERS if name != "vidsift, through")
JUDGED = tuple(name for name in READERS if name != "decord, own resize")
"""Readers in the table of times, and in that of pitfalls (where sizes differ)."""

PEERS = tuple(name for name in READERS if name.split()[0].rstrip(",") in ("torchcodec", "decord", "OpenCV"))
