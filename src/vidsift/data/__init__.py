"""Captions and videos -> batches.

The room, file by file:

    entries             one video, or a part of one, what is said of it, and when
    annotation_files    annotation files found by name, read strictly
    videos_on_disk      which file an id means
    plain_pickle        pickles of plain values, read and not run
    source              what a source of data is
    video_files         what sources of video files share; what published data sets share
    msrvtt, msvd, lsmdc, didemo, activitynet, vatex, youcook2
                        a published data set each: parsing only
    folder, caption_rows
                        own data: a folder of videos with JSON lines, JSON, CSV or Parquet
    shapes              scenes drawn while a run goes on
    catalog             every source by its name
    positives           which further videos are right for a caption
    summary             what splits hold and share
    video_check         every video opened: missing, unreadable, damaged, too short, twice
    loading, share, caption_order, video_batches, frame_cache, shapes_batches
                        batches, and pictures that stay on a disk
"""
