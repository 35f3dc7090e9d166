"""Saved results and models -> the figures of papers."""
