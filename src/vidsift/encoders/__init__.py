"""Frames and words become tokens with masks: the CLIP towers, the tokenizer, heads across frames, weights.

Import what you need from its module (``vidsift.encoders.clip``, ``.tokenizer``, ``.temporal``, ``.weights``,
``.pixels``, ``.device``): torch is loaded by these, not by this page.
"""
