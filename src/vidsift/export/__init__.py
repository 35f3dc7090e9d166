"""Hits -> files for other programs: timelines for editors, tables, playlists.

excerpts         a stretch of a file in seconds and in pictures; several of them on one timeline
otio_timeline    OpenTimelineIO, and by its adapter the edit decision list
fcpxml           Final Cut Pro's XML
lists            CSV and M3U8
write            by the name of the file
"""
