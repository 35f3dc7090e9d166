"""Hits over HTTP."""
