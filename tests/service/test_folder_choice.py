"""Folders of the machine, for who chooses one to add."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.service.serving import problem, served

from vidsift.service import folder_choice as module
from vidsift.service.folder_choice import list_folders, starting_places
from vidsift.service.security import Access


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    for name in ("b films", "A clips", "a clips 2", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "a film.mp4").touch()
    return tmp_path


def test_folders_alone_are_listed_by_name(disk: Path) -> None:
    listed = list_folders(str(disk))
    assert listed.path == str(disk)
    assert listed.parent == str(disk.parent)
    assert [Path(path).name for path in listed.folders] == ["A clips", "a clips 2", "b films"]
    assert listed.more == 0
    top = list_folders(disk.anchor)
    assert top.parent is None


def test_a_folder_of_thousands_says_how_many_are_missing(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOLDERS", 2)
    listed = list_folders(str(disk))
    assert ([Path(path).name for path in listed.folders], listed.more) == (["A clips", "a clips 2"], 1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names or links")
def test_names_that_are_no_text_and_links_in_a_circle_are_left_out(disk: Path) -> None:
    os.mkdir(os.fsencode(disk) + b"/caf\xe9")  # noqa: PTH102 - Path takes no bytes
    (disk / "two\nlines").mkdir()
    (disk / "round").symlink_to("round")
    (disk / "elsewhere").symlink_to(disk / "b films")
    names = [Path(path).name for path in list_folders(str(disk)).folders]
    assert names == ["A clips", "a clips 2", "b films", "elsewhere"]


def test_people_begin_at_home_and_at_their_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, mounts = tmp_path / "me", tmp_path / "media"
    for folder in (home / "Videos", mounts / "me" / "CAMERA"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(module, "_MOUNTS", (str(mounts),))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("USER", "me")
    places = starting_places()
    assert places[:2] == [str(home), str(home / "Videos")]
    assert str(mounts / "me" / "CAMERA") in places
    monkeypatch.setenv("USER", "you")
    assert str(mounts / "me") in starting_places()


def test_over_http_a_folder_is_named_in_any_way_that_people_have(tmp_path: Path, disk: Path) -> None:
    with served(tmp_path / "index") as client:
        assert client.get("/v1/index").json()["folder_chooser"] is True
        for named in (str(disk), f' "{disk}" ', disk.as_uri(), str(disk / "b films" / "..")):
            answer = client.get("/v1/folders", params={"path": named}).json()
            assert answer["path"] == str(disk)
            assert [Path(path).name for path in answer["folders"]] == ["A clips", "a clips 2", "b films"]
        begun = client.get("/v1/folders").json()
        assert begun["path"] == begun["places"][0] == str(Path.home())
        for path, words in (
            (str(disk / "gone"), "is not there"),
            ("films", "is no full path"),
            (str(disk / "a film.mp4"), "cannot be looked into (not a directory); choose another"),
        ):
            assert words in problem(client.get("/v1/folders", params={"path": path}), 422)


@pytest.mark.parametrize(
    ("access", "folder_chooser", "status"),
    [
        (Access(), True, 200),
        (Access(), False, 403),
        (Access(names=frozenset({"testserver"}), any_address=True), True, 403),
        (Access(names=frozenset({"testserver"}), any_address=True, token="a" * 30), True, 200),
    ],
)
def test_folders_are_shown_to_this_machines_people_or_who_has_the_token(
    tmp_path: Path, access: Access, folder_chooser: bool, status: int
) -> None:
    from vidsift.service.app import create_app

    app = create_app(tmp_path / "index", access=access, folder_chooser=folder_chooser)
    headers = {"authorization": f"Bearer {access.token}"} if access.token else {}
    name = "testserver" if access.any_address else "localhost"
    with TestClient(app, base_url=f"http://{name}", headers=headers) as client:
        answer = client.get("/v1/folders")
        assert answer.status_code == status
        assert client.get("/v1/index").json()["folder_chooser"] is (status == 200)
