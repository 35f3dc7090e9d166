"""Frames for the maps of an account: read by a decoding process, for the model to look at again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidsift.errors import SandboxError, VideoChangedError, VideoReadError
from vidsift.service.media import present, told
from vidsift.service.problems import ProblemError
from vidsift.types import Frames
from vidsift.video.thumbnails import segment_frames

if TYPE_CHECKING:
    from vidsift.service.service import Service

__all__ = ["frames_for_maps"]


async def frames_for_maps(service: Service, segment_id: str) -> Frames | str | None:
    """Read the frames that the model looked at in a segment.

    Returns:
        The frames; why they cannot be had; or None where the model could tell nothing from them, or the index
        has no such segment.
    """
    snapshot = service.snapshot()
    index, video = snapshot.index, snapshot.library.owners.get(segment_id)
    if index is None or video is None or not index.model.method.traced_sets:
        return None
    try:
        with service.thumbnail_slots.taken():
            source, _ = await present(service, video)
            return await service.decoders.run(
                segment_frames, source, video.segments[segment_id], index.model.reading
            )
    except (ProblemError, VideoChangedError, SandboxError, VideoReadError, OSError) as error:
        return str(told(error).detail)
