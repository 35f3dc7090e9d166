"""Every method of the catalogue, tiny, with the arguments that change what it takes or compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

__all__ = ["VARIANTS", "every_variant"]

VARIANTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "zero_shot": ("zero_shot", {}),
    "query_scoring": ("query_scoring", {}),
    "query_scoring-cosine": ("query_scoring", {"temperature": 0.02, "average": "cosine"}),
    "query_scoring-max": ("query_scoring", {"pooling": "max"}),
    "query_scoring-token-wise": ("query_scoring", {"pooling": "token_wise"}),
    "clip4clip-meanP": ("clip4clip", {"head": "meanP"}),
    "clip4clip-seqLSTM": ("clip4clip", {"head": "seqLSTM"}),
    "clip4clip-seqTransf": ("clip4clip", {"head": "seqTransf", "temporal_layers": 2}),
    "clip4clip-tightTransf": ("clip4clip", {"head": "tightTransf", "cross_layers": 1}),
    "drl-dp": ("drl", {"interaction": "dp", "temporal": "none"}),
    "drl-dp-raw": ("drl", {"interaction": "dp", "temporal": "none", "dp_frames": "raw"}),
    "drl-ti-sum": ("drl", {"interaction": "ti", "temporal": "none", "ti_pooling": "sum"}),
    "drl-ti": ("drl", {"interaction": "ti", "temporal": "lstm"}),
    "drl-ti-zero": ("drl", {"interaction": "ti", "padding": "zero", "temporal_layers": 1}),
    "drl-wti": ("drl", {"temporal_layers": 1}),
    "drl-wti-shift": ("drl", {"temporal": "none", "shift_blocks": [-1], "weight_layers": 3}),
    "drl-wti-none": ("drl", {"temporal": "none", "cdcr": "none", "weight_layers": 1}),
    "drl-wti-random": ("drl", {"temporal": "none", "cdcr": "random"}),
    "drl-wti-summed": ("drl", {"temporal": "none", "cdcr": "best_match_summed"}),
    "drl-wti-t2v": ("drl", {"temporal": "none", "paths": "t2v"}),
    "drl-wti-words": (
        "drl",
        {"temporal_layers": 1, "temporal_window": 1, "paths": "t2v", "word_ends": False},
    ),
    "drl-ti-v2t": ("drl", {"interaction": "ti", "temporal": "none", "paths": "v2t", "cdcr_centred": False}),
    "drl-hi": ("drl", {"interaction": "hi", "levels": 1, "temporal_layers": 1}),
    "drl-mlp": ("drl", {"interaction": "mlp", "temporal": "none"}),
    "drl-xti-word": (
        "drl",
        {"interaction": "xti", "temporal": "none", "cross_layers": 1, "cross_text": "word"},
    ),
    "drl-xti": ("drl", {"interaction": "xti", "temporal": "none", "cross_layers": 1}),
    "pidro": ("pidro", {"head_layers": 1}),
    "pidro-base": ("pidro", {"head_layers": 1, "routing": "none", "patches": False}),
    "pidro-selected": ("pidro", {"head_layers": 1, "patch_tokens": 5, "patch_width": 8}),
    "pidro-transformer": ("pidro", {"head_layers": 1, "routing": "transformer", "patch_layers": 1}),
    "prost": ("prost", {"objects": 4, "phrases": 5}),
    "prost-included": ("prost", {"objects": 3, "phrases": 4, "max_frames": 6, "padding": "included"}),
    "xclip": ("xclip", {"temporal_layers": 1}),
    "xclip-included": ("xclip", {"padding": "included", "temporal": "lstm", "max_frames": 5}),
    "ts2net": ("ts2net", {"temporal_layers": 1}),
    "ts2net-tiled": (
        "ts2net",
        {"temporal_layers": 1, "frame_mask": "tiled", "selected": 2, "gradient": "full"},
    ),
    "xpool": ("xpool", {}),
    "clip2tv": ("clip2tv", {"temporal_layers": 1, "matching_layers": 1}),
    "clip2tv-align": ("clip2tv", {"temporal_layers": 1, "matching": False, "distillation": 0.0}),
    "video_colbert": ("video_colbert", {"temporal_layers": 1}),
    "video_colbert-bare": (
        "video_colbert",
        {"temporal_layers": 1, "query_expansion": False, "visual_expansion": 0, "video_lambda": 0.5},
    ),
    "clip2video": ("clip2video", {"temporal_layers": 1}),
    "clip2video-linear": (
        "clip2video",
        {"temporal_layers": 1, "temporal_difference": "linear", "temporal_alignment": "none"},
    ),
    "clip2video-frame": (
        "clip2video",
        {"temporal_layers": 1, "temporal_difference": "none", "temporal_alignment": "frame", "centres": 2},
    ),
}

every_variant = pytest.mark.parametrize(("method", "arguments"), VARIANTS.values(), ids=list(VARIANTS))
