"""Similarity -> scalar."""
