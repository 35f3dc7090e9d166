"""Similarity -> similarity: transductive, so reported in rows of its own."""
