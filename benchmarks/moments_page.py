"""The page of ``benchmarks/moments.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from measuring import rows_of, where

from vidsift.shapes.world import TAGS


def _about(measured: Mapping[str, Any]) -> str:
    minutes, length = 60 * measured["hours"], f"{measured['moment_s']:.1f} s (median)"
    return (
        f"{measured['recordings']} recordings of Shapes 2, {minutes:.0f} minutes together, and "
        f"{measured['sentences']} sentences about an event that happens in one of them alone, for {length}. "
        f"The CLIP has seen stills of Shapes (version 1) alone: {measured['trained']}."
    )


def _setting(key: Sequence[Any]) -> str:
    seconds, rate, pooling = key
    return f"{pooling}, {seconds:g} s, {rate:g}/s"


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def page(measured: Mapping[str, Any]) -> str:
    """The results as a page."""
    runs = {
        (run["segment_s"], run["rate"], run["shots"], run["pooling"]): run["summary"]
        for run in measured["runs"]
    }
    kinds = list(dict.fromkeys(run["pooling"] for run in measured["runs"]))
    settings = list(dict.fromkeys(key[:3] for key in runs))

    def table(value: Any) -> list[str]:
        body = [
            [f"{seconds:g} s" + (", at shots" if shots else ""), f"{rate:g}"]
            + [value(runs[seconds, rate, shots, kind]) for kind in kinds]
            for seconds, rate, shots in settings
        ]
        return rows_of(["segments", "frames/s", *kinds], body)

    def rules(key: tuple[float, float, bool, str]) -> list[str]:
        names = ("R@1 IoU 0.3", "R@1 IoU 0.5", "R@1 IoU 0.7", "mIoU")
        body = [
            [rule]
            + [f"{of[name]:.1f}" for name in names]
            + [
                f"{runs[key]['corpus'][rule][name]:.1f}" if rule in runs[key]["corpus"] else ""
                for name in names
            ]
            for rule, of in runs[key]["given"].items()
        ]
        head = ["moment", *names, *(f"in the corpus: {name}" for name in names)]
        return rows_of(head, body)

    lines = [
        "# Moments in recordings, by a CLIP that nobody trained on video",
        "",
        f"`{measured['command']}`",
        f"on {where(measured)}; {', '.join(measured['able'])}.",
        "",
        _about(measured),
        "",
        (
            "Temperatures are in units of the CLIP's own (1x is 1 over its learned scale, of this one "
            f"{measured['scale']:.1f}; of OpenAI's 100, so that the paper's 0.1 is 10x)."
        ),
        "",
        "## The right recording, and the right segment of it",
        "",
        "R@1 in percent of the recording / of a segment that holds at least half of what happens.",
        "",
        *table(lambda of: f"{of['recording R@1']:.1f} / {of['segment R@1']:.1f}"),
        "",
        "## The moment of the first hit",
        "",
        "In the whole corpus: R@1 at IoU 0.5 / mIoU, by the frames that the score came from.",
        "",
        *table(
            lambda of: f"{of['corpus']['shares']['R@1 IoU 0.5']:.1f} / {of['corpus']['shares']['mIoU']:.1f}"
        ),
        "",
        "The same given the recording.",
        "",
        *table(
            lambda of: f"{of['given']['shares']['R@1 IoU 0.5']:.1f} / {of['given']['shares']['mIoU']:.1f}"
        ),
        "",
        "## How a moment is read off",
        "",
        "By what frames gave (shares), or by how well each matches by itself; thresholds, smoothing.",
    ]
    for key in measured["rules_of"]:
        seconds, rate, _shots, kind = key
        lines += ["", f"{kind}, segments of {seconds:g} s, {rate:g} frames a second:", "", *rules(tuple(key))]
    lines += [
        "",
        "## Differences",
        "",
        (
            "Points, with intervals of 95 % over recordings: against the mean over 12 frames of 30 s, which "
            "a plain CLIP was indexed by before; and of the best frame of 30 s, one a second, against others."
        ),
        "",
        *rows_of(
            ["setting", "against", "recording R@1", "segment R@1", "mIoU in the corpus"],
            [
                [_setting(of["left"]), _setting(of["right"])]
                + [
                    "{:+.1f} ({:+.1f} to {:+.1f})".format(*of[name])
                    for name in ("recording", "segment", "mIoU")
                ]
                for of in measured["differences"]
            ],
            left=2,
        ),
        "",
        "## What it costs",
        "",
        (
            f"For an hour of video, by `vidsift index` on {measured['cost_recordings']} recordings with this "
            "small CLIP; tokens of ViT-B/32 are four times as wide, and its time goes into frames."
        ),
        "",
        *rows_of(
            ["segments", "frames/s", "frames", "segments", "CPU s", "index MB", "tokens MB, ViT-B/32"],
            [
                [
                    f"{of['segment_s']:g} s",
                    f"{of['rate']:g}",
                    f"{of['frames_per_hour']:,}",
                    f"{of['segments_per_hour']:,}",
                    f"{of['cpu_s_per_hour']:.0f}",
                    f"{of['bytes_per_hour'] / 1e6:.1f}",
                    f"{of['token_bytes_per_hour'] * 512 / measured['channels'] / 1e6:.1f}",
                ]
                for of in measured["costs"]
            ],
        ),
        "",
        "## Short clips, of which the sentence says all",
        "",
        (
            f"R@1 among {measured['clips']} clips of four seconds, 12 frames, by what the sentence is "
            "about: what weighing frames costs where nothing is diluted."
        ),
        "",
        *rows_of(
            ["frames weigh by", "R@1", *TAGS],
            [
                [of["pooling"], f"{of['R@1']:.1f}", *(f"{of[tag]:.1f}" for tag in TAGS)]
                for of in measured["short_clips"]
            ],
        ),
    ]
    return "\n".join(lines) + "\n"
