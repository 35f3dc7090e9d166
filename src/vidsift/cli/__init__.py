"""One verb a file; heavy imports stand inside the functions."""
