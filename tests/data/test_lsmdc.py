"""LSMDC: lines between tabs, clips in folders of films, several sentences of a clip."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.annotated import source_with

from vidsift.errors import CaptionsError

TIMES = "00.00.51.926\t00.00.54.129\t00.00.51.926\t00.00.54.129"
AMERICAN = "0001_American_Beauty_00.00.51.926-00.00.54.129"
BLIND = "3011_BLIND_DATING_01.11.23.496-01.11.25.853"
TRAINING = (
    f'{AMERICAN}\t{TIMES}\tSOMEONE says "no, never.\r\n'
    f"{BLIND}\t{TIMES}\tShe nods.\n"
    f"{AMERICAN}\t{TIMES}\tHe leaves.\n"
)


def test_clips_lie_in_the_folders_of_their_films(tmp_path: Path) -> None:
    film = tmp_path / "videos" / "0001_American_Beauty"
    film.mkdir(parents=True)
    (film / f"{AMERICAN}.avi").touch()
    source = source_with(
        tmp_path,
        "lsmdc",
        {
            "LSMDC16_annos_training.csv": TRAINING,
            "LSMDC16_challenge_1000_publictect.csv": f"{BLIND}\t{TIMES}\tShe nods.\n",
        },
    )
    first, second = source.entries("train")
    assert first.path == film / f"{AMERICAN}.avi"
    # A quote that is left open is a letter like others.
    assert first.captions == ('SOMEONE says "no, never.', "He leaves.")
    assert second.captions == ("She nods.",)
    assert second.path == tmp_path / "videos" / f"{BLIND}.avi"
    assert not first.is_part
    (tested,) = source.entries("test")
    assert tested.id == BLIND
    assert source.test_splits() == ("test", "public-test")
    with pytest.raises(CaptionsError, match=r"LSMDC16_annos_val.csv"):
        source.entries("val")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"{AMERICAN}\t{TIMES}\n", "line 1: 5 values between tabs, expected 6: clip, start_aligned"),
        (f"{AMERICAN}\t{TIMES}\ta\tb\n", "line 1: 7 values"),
        (f"{AMERICAN}\t{TIMES}\t \n", "expected a sentence"),
        (f"../{AMERICAN}\t{TIMES}\ta\n", "lies outside the folder"),
    ],
)
def test_lines_that_are_none_are_refused(tmp_path: Path, line: str, problem: str) -> None:
    source = source_with(tmp_path, "lsmdc", {"LSMDC16_annos_val.csv": line})
    with pytest.raises(CaptionsError, match=problem):
        source.entries("val")
