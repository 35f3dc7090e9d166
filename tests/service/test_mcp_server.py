"""The tools by the SDK's own client: in this process, and once over the pipes of a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from tests.cli.films import IndexedFilms, index_films
from tests.inline import InlineSandbox

from vidsift.service import mcp_server
from vidsift.service.limits import ServiceLimits
from vidsift.service.mcp_server import LibraryTools, library_server
from vidsift.video import probe

T = TypeVar("T")

mcp = pytest.importorskip("mcp", reason="needs vidsift[mcp]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> IndexedFilms:
    return index_films(tmp_path_factory.mktemp("mcp"))


@pytest.fixture
def tools(made: IndexedFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LibraryTools:
    monkeypatch.setattr(mcp_server, "Sandbox", InlineSandbox)
    limits = ServiceLimits(clip_seconds=1.5)
    return LibraryTools(Path(made.options[1]), tmp_path / "clips", device="cpu", limits=limits)


def in_a_loop(function: Callable[[], Awaitable[T]]) -> T:
    """Run in a thread of its own: a browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(anyio.run, function).result()


def server_process(index: Path, clips: Path) -> Any:
    """How a client starts the server, with the sources of these tests."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    arguments = ["-m", "vidsift", "mcp", str(index), "--clips", str(clips), "--device", "cpu"]
    return mcp.StdioServerParameters(command=sys.executable, args=arguments, env=environment)


def ask(tools: LibraryTools, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """The structured answers of some calls, or the words of the error."""

    async def run() -> list[Any]:
        answers = []
        async with mcp.Client(library_server(tools)) as client:
            for name, arguments in calls:
                result = await client.call_tool(name, arguments)
                answers.append(result.content[0].text if result.is_error else result.structured_content)
        return answers

    return in_a_loop(run)


def test_a_moment_is_searched_explained_and_cut(
    tools: LibraryTools, made: IndexedFilms, tmp_path: Path
) -> None:
    (answer,) = ask(tools, ("search", {"query": 'show me "a red circle"', "k": 2, "group_by": "video"}))
    assert answer["searched_for"] == ["a red circle"]
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    hit = answer["hits"][0]
    assert hit["path"] in map(str, made.films)
    account, cut = ask(
        tools,
        ("explain", {"query": "a red circle", "segment_id": hit["segment_id"]}),
        ("cut", {"video_id": hit["video_id"], "start_seconds": 0.5, "end_seconds": 1.5}),
    )
    assert account["path"] == hit["path"]
    assert account["score"] == pytest.approx(hit["score"], abs=1e-5)
    assert sum(word["gave"] for word in account["words"]) == pytest.approx(account["score"], abs=1e-4)
    assert [word["word"] for word in account["without_word"]] == ["a", "red", "circle"]
    assert Path(cut["path"]).parent == tmp_path / "clips"
    assert cut["exact"]
    assert probe(cut["path"]).duration_seconds == pytest.approx(1.0, abs=0.01)


def test_the_library_is_listed_in_pages(tools: LibraryTools, made: IndexedFilms) -> None:
    all_of_them, page, elsewhere = ask(
        tools, ("library", {}), ("library", {"skip": 1, "k": 1}), ("library", {"under": "/else"})
    )
    assert [video["path"] for video in all_of_them["videos"]] == sorted(map(str, made.films))
    assert all_of_them["total"] == page["total"] == 3
    assert page["videos"] == all_of_them["videos"][1:2]
    assert elsewhere == {"total": 0, "videos": []}


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("search", {"query": "x" * 2001}, "at most 2000"),
        ("search", {"query": ["a"] * 9}, "at most 8"),
        ("search", {"query": "circle", "k": 101}, "less than or equal to 100"),
        ("search", {"query": "circle", "under": "/else"}, "no video of the index lies under"),
        ("search", {"query": "circle", "tags": "sea"}, "list"),
        ("explain", {"query": "circle", "segment_id": "none"}, "no segment of the index"),
        ("explain", {"query": ["a", "b"], "segment_id": "none"}, "one by one"),
        ("cut", {"video_id": "none", "start_seconds": 0, "end_seconds": 1}, "no video of the index"),
        ("cut", {"video_id": "none", "start_seconds": 0, "end_seconds": 2}, "at most 2 s after"),
        ("cut", {"video_id": "none", "start_seconds": 1, "end_seconds": 1}, "has to be after start_seconds"),
        ("cut", {"video_id": "none", "start_seconds": -1, "end_seconds": 1}, "greater than or equal to 0"),
    ],
)
def test_limits_are_those_of_the_service(
    tools: LibraryTools, tmp_path: Path, tool: str, arguments: dict[str, Any], words: str
) -> None:
    (error,) = ask(tools, (tool, arguments))
    assert isinstance(error, str), error
    assert words in error
    assert not (tmp_path / "clips").exists()


def test_over_standard_input_and_output_nothing_but_the_protocol(made: IndexedFilms, tmp_path: Path) -> None:
    """A process as an assistant starts it; tests/soak/test_mcp.py also searches with one."""

    async def run() -> tuple[list[str], Any]:
        async with mcp.Client(server_process(Path(made.options[1]), tmp_path / "clips")) as client:
            tools = await client.list_tools()
            refused = await client.call_tool("search", {"query": "a red circle", "k": 101})
            return [tool.name for tool in tools.tools], refused

    names, refused = in_a_loop(run)
    assert names == ["search", "explain", "cut", "library"]
    assert refused.is_error
    assert "less than or equal to 100" in refused.content[0].text
