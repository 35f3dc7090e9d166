"""The controlled world: clips of moving shapes whose captions are true by construction."""
