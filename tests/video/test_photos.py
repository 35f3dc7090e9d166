"""Photos that carry a video: found among those that do not, and read as that video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.video.making import Recipe, all_numbers, make, picture
from tests.video.photographing import box, heif, jpeg, motion_photos

from vidsift.errors import PictureError
from vidsift.video import find, find_videos, probe, read_frames
from vidsift.video.signatures import video_in_photo


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("video"), Recipe(frames=30)).read_bytes()


NAMES = ["google.jpg", "older.JPG", "elements.jpeg", "samsung.jpg", "motion.heic"]


@pytest.mark.parametrize("name", NAMES)
def test_the_video_of_a_photo_is_read(tmp_path: Path, video: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(dict(motion_photos(video))[name])
    assert [file.path for file in find_videos([tmp_path])] == [path]
    assert probe(path).duration_seconds == pytest.approx(1.0)
    for method in ("through", "seek"):
        frames = read_frames(path, [0.1, 0.5, 0.9], method=method)
        assert (all_numbers(frames.pixels), frames.damage) == ([3, 15, 27], None)


def test_photos_without_one_are_passed_over(tmp_path: Path, video: bytes) -> None:
    """Also those that say so and are not, such as one that was edited and lost its video."""
    described = b'<x Camera:MotionPhoto="1"><i Item:Length="4000" Item:Semantic="MotionPhoto"/></x>'
    photos = {
        "plain.jpg": jpeg(),
        "edited.jpg": jpeg(described) + bytes(5000),
        "short.jpg": jpeg(described) + b"x",
        "off.jpg": jpeg(described.replace(b'"1"', b'"0"')) + video,
        "padded.jpg": jpeg() + bytes(20),
        "table.jpg": jpeg() + b"SEFH" + bytes(20) + (24).to_bytes(4, "little") + b"SEFT",
        "cut.jpg": jpeg()[:200],
        "photo.heic": heif(),
        "empty.heic": heif() + box(b"mpvd", b""),
        "odd.heic": heif() + bytes(3),
        "tiny.jpg": b"\xff\xd8\xff",
    }
    for name, data in photos.items():
        (tmp_path / name).write_bytes(data)
        assert video_in_photo(tmp_path / name) is None, name
    Image.fromarray(picture(1)).save(tmp_path / "photo.png")
    Image.fromarray(picture(1)).save(tmp_path / "photo.webp")
    over: list[tuple[str, str]] = []
    assert (
        list(find_videos([tmp_path], on_passed_over=lambda path, what: over.append((path.name, what)))) == []
    )
    pictures = ["empty.heic", "odd.heic", "photo.heic"]
    assert sorted(over) == [(name, "single picture") for name in pictures]
    with pytest.raises(PictureError, match="is not a video"):
        probe(tmp_path / "plain.jpg")


def test_a_photo_that_cannot_be_opened_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.JPG").write_bytes(jpeg())
    (tmp_path / "unknown").write_bytes(jpeg())

    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(find, "at_a_glance", refused)
    (only,) = find_videos([tmp_path])
    assert (only.path.name, only.rejected) == ("unknown", "cannot be read: Permission denied")


def test_the_photos_that_once_led_the_results(media: Callable[[str], Path]) -> None:
    """A still AVIF is known by its first bytes, a still GIF when it is read."""
    folder = media("hard/photo.avif").parent
    over: list[str] = []
    files = find_videos([folder], on_passed_over=lambda path, what: over.append(f"{path.name}: {what}"))
    names = {file.path.name for file in files}
    assert {"one.gif", "anamorphic.mp4"} <= names
    assert over == ["photo.avif: single picture"]
    assert probe(folder / "one.gif").single_picture


def test_a_photo_costs_a_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may hold ten thousand: none is read, and none is handed to FFmpeg."""
    photo = jpeg(b'<x Camera:MotionPhoto="0"/>')
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(photo + bytes(100_000) + b"\xff\xd9")
    Image.fromarray(picture(1)).save(tmp_path / "photo.png", pnginfo=None)
    read: list[int] = []

    class Counting:
        def __init__(self, file: object) -> None:
            self.file = file

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def read(self, count: int = -1) -> bytes:
            data: bytes = self.file.read(count)  # type: ignore[attr-defined]
            read.append(len(data))
            return data

        def seek(self, *place: int) -> int:
            return int(self.file.seek(*place))  # type: ignore[attr-defined]

    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *mode, **more: Counting(real(path, *mode, **more)))
    files = find_videos([tmp_path], look_inside=lambda path: pytest.fail(f"{path} was looked into"))
    assert list(files) == []
    assert sum(read) < 21 * 600
