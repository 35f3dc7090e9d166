"""Similarity and truth -> numbers."""
