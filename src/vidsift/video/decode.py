"""Pictures of a video at wanted times: the same ones whichever way they are reached.

The picture at time t is the one a player shows then: the last whose presentation time is not after t.

Two ways lead to it. *Through* decodes from the start to the last wanted picture. *Seek* first reads the
table of packets, then decodes only from the key frames that matter, and skips pictures that no other
picture depends on. Whatever the table cannot be trusted with (no presentation times, duplicates, marks
of damage, a picture that does not arrive) is decoded through instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidsift.errors import VideoReadError
from vidsift.types import Frames
from vidsift.video.container import OpenVideo
from vidsift.video.decoder_loops import Shown, decode_run, decode_through, missing_end
from vidsift.video.packets import PacketTable, SeekError, packets_from, plan_runs
from vidsift.video.picture import to_rgb, upright_aspect
from vidsift.video.tiled import is_tiled
from vidsift.video.timed import open_timed, table_of
from vidsift.video.transforms import clip_pixels
from vidsift.video.unreadable import refuse_encrypted, why_no_picture

__all__ = ["DecodeMethod", "FrameStream", "Picture", "iter_frames", "read_frames"]

DecodeMethod = Literal["auto", "through", "seek"]

_GAPS_NAMED = 3


class Picture(NamedTuple):
    """One picture on its way.

    Attributes:
        wanted_index: which of the wanted times it answers, as a position in the list given.
        time_seconds: when it is shown, on the video's clock.
        pixels: RGB, upright, uint8 ``(H, W, 3)``.
    """

    wanted_index: int
    time_seconds: float
    pixels: NDArray[np.uint8]


class _Wanted:
    """The wanted times in ascending order, and how far they are answered."""

    def __init__(self, times_seconds: NDArray[np.float64]) -> None:
        self.order = np.argsort(times_seconds, kind="stable")
        self.times = times_seconds[self.order]
        self.answered = 0

    def __bool__(self) -> bool:
        return self.answered < len(self.times)

    @property
    def rest(self) -> NDArray[np.float64]:
        return self.times[self.answered :]

    def leave_out(self, gaps: NDArray[np.float64]) -> None:
        """Want nothing within some stretches of seconds, ``(G, 2)``, ascending."""
        after = np.searchsorted(gaps[:, 0], self.times, side="right") - 1
        inside = (after >= 0) & (self.times < gaps[np.maximum(after, 0), 1])
        self.order, self.times = self.order[~inside], self.times[~inside]

    def take(self, before_seconds: float) -> list[int]:
        """Answer the times before this second; return which they were."""
        stop = int(np.searchsorted(self.times, before_seconds, side="left"))
        return self.take_number(stop - self.answered)

    def take_number(self, number: int) -> list[int]:
        """Answer the next ``number`` times; return which they were."""
        indices: list[int] = self.order[self.answered : self.answered + max(0, number)].tolist()
        self.answered += len(indices)
        return indices


class FrameStream:
    """Pictures in the order in which they are shown, one at a time; iterate once.

    Attributes:
        damage: why the file gave less than it should have, once that was met; None for a whole file.
        pixel_aspect: width of a pixel over its height, as a player shows it, in the picture given last.
    """

    def __init__(
        self,
        path: Path,
        times_seconds: NDArray[np.float64],
        method: DecodeMethod,
        size_px: int | None,
        *,
        hold: bool = False,
        on_progress: Callable[[], None] | None = None,
    ) -> None:
        """Remember what is wanted; the file is opened by the first step of the iteration."""
        self.pixel_aspect = 1.0
        self._damage: str | None = None
        self._gaps: str | None = None
        self._hold = hold
        self._path = path
        self._wanted = _Wanted(times_seconds)
        self._method = method
        self._size_px = size_px
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[Picture]:
        """Decode and yield what was not yielded before."""
        if not self._wanted:
            return
        with open_timed(self._path, self._on_progress) as video:
            way = self._method if self._method != "auto" else cheaper_way(video, self._wanted.rest)
            # Tiles are streams of their own: there is no packet that holds the picture.
            way = "through" if is_tiled(video) else way
            last = np.inf if video.without_pts else self._wanted.rest[-1]
            table = table_of(
                video, first_seconds=self._wanted.rest[0] if way == "seek" else 0.0, last_seconds=last
            )
            self._leave_gaps(video, table)
            if way == "seek":
                yield from self._seek(video, table)
        # What seeking could not be trusted with. The file is opened anew: its reader and decoder have moved.
        if self._wanted:
            # A clock that only the table showed has to hold in the second opening, too.
            again = table.clock is not None
            with open_timed(self._path, self._on_progress, read_through=again) as video:
                yield from self._through(video, table)

    @property
    def damage(self) -> str | None:
        """See the class."""
        reasons = [reason for reason in (self._damage, self._gaps) if reason is not None]
        return "; ".join(reasons) if reasons else None

    def _leave_gaps(self, video: OpenVideo, table: PacketTable) -> None:
        """Leave times unanswered at which no picture is shown, and note where that is."""
        gaps = video.seconds(table.gaps)
        gaps = gaps[(gaps[:, 0] < self._wanted.rest[-1]) & (gaps[:, 1] > self._wanted.rest[0])]
        if self._hold or not len(gaps):
            return
        places = [f"{start:.2f} s to {end:.2f} s" for start, end in gaps[:_GAPS_NAMED].tolist()]
        more = len(gaps) - len(places)
        also = f" and in {more} more place{'s' if more > 1 else ''}" if more else ""
        self._gaps = f"no pictures from {', '.join(places)}{also}"
        self._wanted.leave_out(gaps)

    def _answer(self, video: OpenVideo, shown: Shown, indices: list[int]) -> Iterator[Picture]:
        if not indices:
            return
        if self._on_progress is not None:
            self._on_progress()
        pixels = to_rgb(shown.frame)
        self.pixel_aspect = upright_aspect(video.pixel_aspect, shown.frame)
        if self._size_px is not None:
            pixels = clip_pixels(pixels, self._size_px)
        for index in indices:
            yield Picture(index, shown.time_seconds, pixels)

    def _note(self, video: OpenVideo, damage: str) -> None:
        """Remember the first damage; what is encrypted looks like it, and gives no picture that is true."""
        if self._damage is None:
            refuse_encrypted(video)
            self._damage = damage

    def _seek(self, video: OpenVideo, table: PacketTable) -> Iterator[Picture]:
        """Answer by the table of packets; leave unanswered what it cannot be trusted with."""
        wanted = self._wanted
        if not wanted or table.doubt or table.damage or not table.shown.any():
            return
        shown_pts = table.shown_pts()
        shown_seconds = video.seconds(shown_pts)
        end_seconds = video.seconds_of(table.end_ticks)
        cut_off = missing_end(video, end_seconds) if table.whole else None
        times = wanted.times if cut_off is None else wanted.times[wanted.times < end_seconds]
        # The last picture not after each time; before the first it is the first.
        choice = np.maximum(np.searchsorted(shown_seconds, times, side="right") - 1, 0)
        chosen, counts = np.unique(choice, return_counts=True)
        runs = plan_runs(table, shown_pts[chosen])
        expected = iter(zip(shown_pts[chosen].tolist(), counts.tolist(), strict=True))
        try:
            for run, packets in packets_from(video, table, runs):
                for frame in decode_run(video, run, packets, table):
                    pts, count = next(expected)
                    # A wrong picture at a right time would never be noticed later.
                    if frame.pts != pts:
                        raise SeekError(f"picture {frame.pts} came where {pts} was expected")
                    shown = Shown(frame, video.seconds_of(pts), 0.0, False)
                    yield from self._answer(video, shown, wanted.take_number(count))
        except SeekError:
            return
        # Behind the end of a file that is cut off nothing is known: those times stay unanswered.
        if cut_off is not None:
            self._note(video, cut_off)
            wanted.take_number(len(wanted.rest))

    def _through(self, video: OpenVideo, table: PacketTable) -> Iterator[Picture]:
        """Answer by decoding from the start; a time inside a damaged stretch stays unanswered."""
        wanted = self._wanted
        times = video.seconds(table.shown_pts()) if video.without_pts else None
        before: Shown | None = None
        for shown in decode_through(video, partial(self._note, video), times):
            # A picture is given only when the next one is known: until then it may be the one shown.
            if before is not None:
                limit = before.end_seconds if shown.after_gap else shown.time_seconds
                yield from self._answer(video, before, wanted.take(min(limit, shown.time_seconds)))
                # What is left lies in the gap: taken, and not answered.
                wanted.take(shown.time_seconds)
            before = shown
            if not wanted:
                return
        if before is None:
            raise VideoReadError(self._path, why_no_picture(video, self.damage))
        cut_off = missing_end(video, before.end_seconds)
        if cut_off is not None:
            self._note(video, cut_off)
        yield from self._answer(video, before, wanted.take(np.inf if cut_off is None else before.end_seconds))
        wanted.take_number(len(wanted.rest))


def cheaper_way(video: OpenVideo, times_seconds: NDArray[np.float64]) -> Literal["through", "seek"]:
    """Choose the way that decodes less: through only where most pictures up to the last are wanted.

    Args:
        video: open.
        times_seconds: ascending.
    """
    if video.without_pts:
        return "through"
    last = float(times_seconds[-1])
    end = video.announced_end_seconds()
    if end is not None:
        last = min(last, end)
    pictures = max(1.0, last * float(video.frames_per_second))
    # Each seek begins at a key frame: with every second picture wanted, hardly any is skipped.
    return "through" if len(times_seconds) * 2 > pictures else "seek"


def iter_frames(
    path: str | Path,
    times_seconds: Sequence[float] | NDArray[np.float64],
    *,
    method: DecodeMethod = "auto",
    size_px: int | None = None,
    hold: bool = False,
    on_progress: Callable[[], None] | None = None,
) -> FrameStream:
    """Read the pictures shown at the wanted times, one at a time, in one pass over the file.

    Made for long videos: give the times of all segments at once; only one picture is held.

    Args:
        path: the video file.
        times_seconds: in any order, repeated or not; before the first picture means the first, after the
            last means the last.
        method: "through", "seek", or "auto" for the cheaper of the two; the pictures are the same.
        size_px: side of the square that CLIP's transform cuts (:func:`clip_pixels`); None keeps the
            video's own size.
        hold: where no picture comes for long, as while a recorder was paused, give the one before, as a
            player does; else that stretch is left out, and ``damage`` says where it is.
        on_progress: called whenever more of the file has been read, or another picture was wanted and came.

    Returns:
        Iterable of :class:`Picture`, ascending in time, one for each wanted time unless the file is
        damaged there; its ``damage`` is complete when the iteration ends.

    Raises:
        ValueError: no times, or times that are not finite; an unknown method.
        VideoReadError: when iterated, if the file gives no picture at all.
    """
    times = np.asarray(times_seconds, np.float64)
    if times.ndim != 1 or not len(times):
        raise ValueError(f"times_seconds has shape {times.shape}, expected a list of at least one time")
    if not np.isfinite(times).all():
        raise ValueError(f"times_seconds holds {times[~np.isfinite(times)][0]}, expected finite seconds")
    if method not in ("auto", "through", "seek"):
        raise ValueError(f"method is {method!r}, expected 'auto', 'through' or 'seek'")
    if size_px is not None and size_px < 1:
        raise ValueError(f"size_px is {size_px}, expected at least 1 or None")
    return FrameStream(Path(path), times, method, size_px, hold=hold, on_progress=on_progress)


def read_frames(
    path: str | Path,
    times_seconds: Sequence[float] | NDArray[np.float64],
    *,
    method: DecodeMethod = "auto",
    size_px: int | None = None,
    hold: bool = False,
) -> Frames:
    """Read the pictures shown at the wanted times, in the order of the times given.

    Args:
        path: the video file.
        times_seconds: in any order, repeated or not.
        method: "through", "seek" or "auto"; the pictures are the same.
        size_px: side of the square that CLIP's transform cuts; None keeps the video's own size.
        hold: as for :func:`iter_frames`.

    Returns:
        Pictures with the times at which they are shown (not the times asked for). Fewer than asked
        for only where the file is damaged, and then ``damage`` says why.

    Raises:
        VideoReadError: there is not one picture for the times wanted.
        ValueError: as for :func:`iter_frames`.
    """
    stream = iter_frames(path, times_seconds, method=method, size_px=size_px, hold=hold)
    pictures = sorted(stream, key=lambda picture: picture.wanted_index)
    if not pictures:
        raise VideoReadError(path, stream.damage or "holds no picture at the times wanted")
    height, width = pictures[0].pixels.shape[:2]
    pixels = np.stack([_same_size(picture.pixels, width, height) for picture in pictures])
    times = np.asarray([picture.time_seconds for picture in pictures])
    return Frames(pixels, times, stream.damage, stream.pixel_aspect)


def _same_size(pixels_HW3: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale a picture to the size of the first, for streams that change size on the way."""
    if pixels_HW3.shape[:2] == (height, width):
        return pixels_HW3
    image = Image.fromarray(pixels_HW3).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)
