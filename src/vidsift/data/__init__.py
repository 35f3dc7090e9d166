"""Captions and videos -> batches."""
