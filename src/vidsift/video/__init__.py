"""Video files to pictures with their times; numpy, PyAV and Pillow only, never torch.

The room, file by file, in the order in which a file is met:

    find             the videos in folders, by what is in the files
    signatures       what a file may be, by its first bytes; where a photo keeps its video
    file_parts       boxes of ISO media files; where files begin that were joined to one
    encrypted        how a file is encrypted, by its container
    container        one file opened with PyAV: stream, decoder, ticks and seconds
    clock            timestamps that start again on the way, brought onto one clock
    packets          the table of a stream's packets: what can be decoded from where
    timed            a file opened on one clock, its table remembered
    decoder_loops    a run of packets, or a whole stream with its damage, through the decoder
    tiled            photos stored in tiles (HEIF, AVIF), put together
    picture          a decoded frame to an upright RGB picture
    decode           the pictures at given seconds: seeking or decoding through, whichever is cheaper
    probe            the facts of a file: length, size, rotation, codec
    completeness     whether what can be read is all that a file holds
    unreadable       why a file gives no picture
    sampling         segments of a long video, and which seconds of a stretch to look at
    transforms       pictures to CLIP's pixels; thumbnails
    preprocessing    what of a stretch a model looks at
    footage          a picture or a video that somebody searches with
    stack            videos of different lengths in one array
    indexed_file     what is read again of a file that was indexed
    frame_timing     the pictures of a file by number, as editors count them
    clips            seconds of a video as a file of their own
    clip_files       clips as new files of a folder, named after video and seconds
"""

from vidsift.video.decode import FrameStream, Picture, iter_frames, read_frames
from vidsift.video.find import FoundFile, find_videos
from vidsift.video.probe import VideoInfo, probe
from vidsift.video.sampling import cut

__all__ = [
    "FoundFile",
    "FrameStream",
    "Picture",
    "VideoInfo",
    "cut",
    "find_videos",
    "iter_frames",
    "probe",
    "read_frames",
]
