"""Video files to pictures with their times; numpy, PyAV and Pillow only, never torch."""

from vidsift.video.decode import FrameStream, Picture, iter_frames, read_frames
from vidsift.video.find import Found, find_videos
from vidsift.video.probe import VideoInfo, probe
from vidsift.video.segments import cut

__all__ = [
    "Found",
    "FrameStream",
    "Picture",
    "VideoInfo",
    "cut",
    "find_videos",
    "iter_frames",
    "probe",
    "read_frames",
]
