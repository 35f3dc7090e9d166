"""CONTRIBUTING's section about data sets, followed to the letter: its file, its line, its commands."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from tests.data.annotated import stand_ins
from tests.methods import tiny
from tests.training.small import silent, write

from vidsift.cli.main import main
from vidsift.data import catalog
from vidsift.data.source import DataSource
from vidsift.index.storage import Store
from vidsift.training.trainer import train

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"

LINES = (
    "k1,train,0,0.5,somebody cuts an onion",
    "k1,train,0.5,1,somebody weeps",
    "k2,train,0,1,a pan is heated",
    "k3,val,0,1,water boils",
    "k4,val,0,1,rice is washed",
    "k5,test,0,0.5,an egg is broken",
    "k5,test,0.5,1.1,an egg is fried",
)


def section() -> str:
    text = CONTRIBUTING.read_text("utf-8")
    section = re.search(r"## Adding a dataset\n(.*?)\n## ", text, re.DOTALL)
    assert section is not None
    return section[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set of the section, with its class in the catalogue."""
    code = re.search(r"```python\n(.*?)```", section(), re.DOTALL)
    assert code is not None
    file = tmp_path / "kitchen.py"
    file.write_text(textwrap.dedent(code[1]), encoding="utf-8")
    spec = spec_from_file_location("vidsift.data.kitchen", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vidsift.data.kitchen", module)
    spec.loader.exec_module(module)
    kitchen = module.Kitchen
    assert issubclass(kitchen, DataSource)
    monkeypatch.setitem(catalog.SOURCES, "kitchen", kitchen)
    stand_ins(tmp_path / "VIDEOS", (f"k{number}" for number in range(1, 6)))
    head = re.search(r"    (video_id,.*)\n", section())
    assert head is not None
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FOLDER" / "kitchen.csv").write_text("\n".join((head[1], *LINES, "")), encoding="utf-8")
    tiny.model().save(tmp_path / "MODEL")
    return tmp_path


def run(home: Path, verb: str, *more: str) -> int:
    """Run the command that the section gives for a verb, the places filled in."""
    command = re.search(rf"       vidsift ({verb} .*)\n", section())
    assert command is not None
    places = {name: str(home / name) for name in ("VIDEOS", "FOLDER", "MODEL")}
    with pytest.raises(SystemExit) as ended:
        main([*(places.get(word, word) for word in command[1].split()), *more])
    return int(ended.value.code or 0)


def test_its_commands_do_what_they_say(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "data check") == 0
    assert capsys.readouterr().out.splitlines() == [
        "split        videos  captions  spans  missing  unreadable  damaged  too short  duplicate",
        "train             3         3      3        0           0        0          0          0",
        "val               2         2      2        0           0        0          0          0",
        "test (test)       2         2      2        0           0        0          0          0",
    ]
    assert run(home, "evaluate", "--workers", "0", "--device", "cpu") == 0
    assert "split test: 2 videos, 2 captions" in capsys.readouterr().out
    where = ("--model", str(home / "MODEL"), "--index", str(home / "index"), "--workers", "1")
    assert run(home, "index", *where, "--device", "cpu") == 0
    assert "Captions of 1 videos of kitchen stored." in capsys.readouterr().out
    (captions,) = Store.open(home / "index").read_captions().values()
    assert captions == ["an egg is broken", "an egg is fried"]


def test_its_recipe_trains(home: Path) -> None:
    data = re.search(r"`data: {source: kitchen, videos: VIDEOS, annotations: FOLDER}`", section())
    assert data is not None
    places = {"source": "kitchen", "videos": str(home / "VIDEOS"), "annotations": str(home / "FOLDER")}
    validation = {"every_steps": 2, "videos": 2, "split": "val"}
    recipe = write(home, data=places | {"batch_size": 3, "workers": 0}, steps=2, validation=validation)
    result = train(recipe, output=home / "run", device="cpu", say=silent)
    assert result["validation"]["text_to_video"]["questions"] == 2


def test_what_is_not_there_or_wrong_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "VIDEOS" / "k5.mp4").unlink()
    assert run(home, "data check") == 1
    lines = capsys.readouterr().out.splitlines()
    file = home / "VIDEOS" / "k5.mp4"
    assert lines[3].split() == ["test", "(test)", "2", "2", "2", "1", "0", "0", "0", "0"]
    assert lines[4:] == [f"missing (test): {file}: there is no such file"]
    assert run(home, "evaluate") == 2
    assert "2 of 2 videos missing" in capsys.readouterr().err
    file = home / "FOLDER" / "kitchen.csv"
    file.write_text(file.read_text("utf-8").replace("k3,val,0,1", "k3,val,zero,1"), encoding="utf-8")
    assert run(home, "data check", "--split", "val") == 1
    assert "'val' are not in the format that they are expected in (ValueError: " in capsys.readouterr().out


def test_the_least_that_a_test_of_the_catalogue_says(home: Path) -> None:
    values = {"source": "kitchen", "videos": str(home / "VIDEOS"), "annotations": str(home / "FOLDER")}
    source = catalog.check_data(values)
    assert json.loads(source.model_dump_json())["split"] == "train"
    assert source.test_splits() == ("test",)
