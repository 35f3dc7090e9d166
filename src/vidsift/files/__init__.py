"""Files on disk, written whole or not at all, and what a failing disk means in plain words."""
