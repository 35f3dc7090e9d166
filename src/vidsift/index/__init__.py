"""Videos -> files on disk: a resumable build over a LanceDB table."""
