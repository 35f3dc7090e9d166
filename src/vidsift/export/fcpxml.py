"""Excerpts as XML of Final Cut Pro, which DaVinci Resolve and Premiere's converters read too.

Written here and not by otio-fcpx-xml-adapter: its version 1.0.0 knows no rate of 1001ths (it writes an empty
``frameDuration``, and cannot read its own file), and reads numbers of pictures rounded down (1799 as 1798).

Source: Apple, FCPXML 1.9 (elements and attributes of its DTD). Times are fractions of seconds, exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from vidsift.export.excerpts import Excerpt, Placed, printable, rate_label
from vidsift.video.frame_timing import DROP_FRAME_RATES, TIMECODE_RATES

__all__ = ["fcpxml_text"]

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n'


def fcpxml_text(placed: Sequence[Placed], title: str, rate: Fraction) -> str:
    """Return a project with one sequence.

    Files of another rate than the sequence's are played at their own speed (``conform-rate``, no scaling).
    """
    root = ElementTree.Element("fcpxml", version="1.9")
    resources = ElementTree.SubElement(root, "resources")
    # The picture of a sequence is that of the best hit with its rate.
    model = next((piece.excerpt for piece in placed if piece.excerpt.timing.rate == rate), placed[0].excerpt)
    formats = {_format_of(model, rate): "r1"}
    for piece in placed:
        formats.setdefault(_format_of(piece.excerpt, piece.excerpt.timing.rate), f"r{len(formats) + 1}")
    for (counted, width, height), name in formats.items():
        ElementTree.SubElement(
            resources,
            "format",
            id=name,
            frameDuration=_seconds(1 / counted),
            width=str(width),
            height=str(height),
        )
    assets = _add_assets(resources, placed, formats)
    event = ElementTree.SubElement(ElementTree.SubElement(root, "library"), "event", name=printable(title))
    project = ElementTree.SubElement(event, "project", name=printable(title))
    sequence = ElementTree.SubElement(
        project,
        "sequence",
        format="r1",
        duration=_seconds(sum(piece.length for piece in placed) / rate),
        tcStart="0s",
        tcFormat=_counting(rate),
    )
    spine = ElementTree.SubElement(sequence, "spine")
    for piece in placed:
        _add_clip(spine, piece, assets[piece.excerpt.path], rate)
    ElementTree.indent(root)
    return _HEAD + ElementTree.tostring(root, encoding="unicode") + "\n"


def _format_of(excerpt: Excerpt, rate: Fraction) -> tuple[Fraction, int, int]:
    return rate, excerpt.timing.width_px, excerpt.timing.height_px


def _add_assets(
    resources: ElementTree.Element,
    placed: Sequence[Placed],
    formats: dict[tuple[Fraction, int, int], str],
) -> dict[str, str]:
    """Add each file once; return their ids by path."""
    assets: dict[str, str] = {}
    for excerpt in (piece.excerpt for piece in placed):
        if excerpt.path in assets:
            continue
        timing = excerpt.timing
        assets[excerpt.path] = f"r{len(formats) + len(assets) + 1}"
        asset = ElementTree.SubElement(
            resources,
            "asset",
            id=assets[excerpt.path],
            name=excerpt.name,
            start=_seconds(timing.first_frame / timing.rate),
            duration=_seconds(timing.frames / timing.rate),
            hasVideo="1",
            format=formats[_format_of(excerpt, timing.rate)],
        )
        if timing.has_sound:
            asset.set("hasAudio", "1")
        ElementTree.SubElement(asset, "media-rep", kind="original-media", src=Path(excerpt.path).as_uri())
    return assets


def _add_clip(spine: ElementTree.Element, piece: Placed, asset: str, rate: Fraction) -> None:
    excerpt, timing = piece.excerpt, piece.excerpt.timing
    clip = ElementTree.SubElement(
        spine,
        "asset-clip",
        ref=asset,
        name=excerpt.name,
        offset=_seconds(piece.offset / rate),
        start=_seconds((timing.first_frame + excerpt.first) / timing.rate),
        duration=_seconds(piece.length / rate),
        tcFormat=_counting(timing.rate),
    )
    if timing.rate != rate:
        conform = ElementTree.SubElement(clip, "conform-rate", scaleEnabled="0")
        if timing.rate in TIMECODE_RATES:  # the format names no others
            conform.set("srcFrameRate", rate_label(timing.rate))


def _seconds(value: Fraction | int) -> str:
    value = Fraction(value)
    return f"{value.numerator}s" if value.denominator == 1 else f"{value.numerator}/{value.denominator}s"


def _counting(rate: Fraction) -> str:
    return "DF" if rate in DROP_FRAME_RATES else "NDF"
