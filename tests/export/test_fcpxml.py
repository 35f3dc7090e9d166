from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree

import pytest
from tests.export.making import EDGES, FILM, NTSC, PAL, RATES, edges, excerpt

from vidsift.export.excerpts import laid_out
from vidsift.export.fcpxml import fcpxml_text


def seconds(element: ElementTree.Element, name: str) -> Fraction:
    text = element.attrib[name]
    assert text.endswith("s")
    return Fraction(text[:-1])


@pytest.mark.parametrize("rate", RATES)
def test_times_are_exact_fractions_of_the_pictures(rate: Fraction) -> None:
    root = ElementTree.fromstring(fcpxml_text(laid_out(edges(rate), rate), "the sea", rate))
    (format_,) = root.findall("resources/format")
    assert seconds(format_, "frameDuration") == 1 / rate
    assert (format_.attrib["width"], format_.attrib["height"]) == ("1920", "1080")
    assets = root.findall("resources/asset")
    assert [asset.find("media-rep").attrib["src"] for asset in assets] == [  # type: ignore[union-attr]
        "file:///films/0.mp4",
        "file:///films/1.mp4",
    ]
    assert {seconds(asset, "duration") for asset in assets} == {200_000 / rate}
    sequence = root.find("library/event/project/sequence")
    assert sequence is not None
    assert seconds(sequence, "duration") == sum(stop - first for first, stop in EDGES) / rate
    assert sequence.attrib["tcFormat"] == ("DF" if rate.denominator > 1 and rate > 25 else "NDF")
    offset = Fraction(0)
    for place, (clip, (first, stop)) in enumerate(
        zip(sequence.findall("spine/asset-clip"), EDGES, strict=True)
    ):
        assert clip.attrib["ref"] == assets[place % 2].attrib["id"]
        assert seconds(clip, "start") == first / rate
        assert seconds(clip, "duration") == (stop - first) / rate
        assert seconds(clip, "offset") == offset
        assert clip.find("conform-rate") is None
        offset += (stop - first) / rate


def test_ids_are_unique_and_every_reference_is_there() -> None:
    made = [
        excerpt(0, 5, PAL),
        excerpt(0, 5, FILM, path="/b.mp4"),
        excerpt(9, 12, Fraction(8), path="/c.mp4"),
    ]
    root = ElementTree.fromstring(fcpxml_text(laid_out(made, PAL), "sea", PAL))
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids)) == 6
    named = [
        element.attrib[key] for element in root.iter() for key in ("ref", "format") if key in element.attrib
    ]
    assert set(named) == set(ids)


def test_another_rate_is_played_at_its_own_speed() -> None:
    made = [
        excerpt(0, 25, PAL),
        excerpt(48, 72, FILM, path="/b.mp4"),
        excerpt(16, 24, Fraction(8), path="/c.mp4"),
    ]
    root = ElementTree.fromstring(fcpxml_text(laid_out(made, PAL), "sea", PAL))
    _, film, drawn = root.iter("asset-clip")
    assert seconds(film, "start") == 48 / FILM
    assert seconds(film, "duration") == 1
    assert film[0].attrib == {"scaleEnabled": "0", "srcFrameRate": "23.98"}
    assert drawn[0].attrib == {"scaleEnabled": "0"}  # the format has no name for 8 a second


def test_a_files_own_timecode_and_odd_names() -> None:
    path = "/films/a & b <\n\x01 é.mp4"
    camera = excerpt(30, 60, NTSC, first_frame=107_892, path=path)
    root = ElementTree.fromstring(fcpxml_text(laid_out([camera], NTSC), "\x00 title", NTSC))
    asset = root.find("resources/asset")
    clip = next(root.iter("asset-clip"))
    assert asset is not None
    assert seconds(asset, "start") == 107_892 / NTSC
    assert seconds(clip, "start") == 107_922 / NTSC
    assert asset.attrib["name"] == clip.attrib["name"] == "a & b <__ é.mp4"
    assert asset[0].attrib["src"] == "file:///films/a%20%26%20b%20%3C%0A%01%20%C3%A9.mp4"
