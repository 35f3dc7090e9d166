"""Processes with limits, in which other people's files are read: one call at a time, or a pool of them."""
