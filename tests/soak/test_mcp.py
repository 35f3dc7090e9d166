"""A whole conversation with the server of an assistant, over the pipes of its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.films import index_films
from tests.service.test_mcp_server import in_a_loop, server_process

from vidsift.video import probe

mcp = pytest.importorskip("mcp", reason="needs vidsift[mcp]")


def test_a_moment_is_searched_and_cut_over_pipes(tmp_path: Path) -> None:
    made = index_films(tmp_path)
    server = server_process(Path(made.options[1]), tmp_path / "clips")

    async def run() -> Any:
        async with mcp.Client(server) as client:
            answer = await client.call_tool("search", {"query": "a red circle", "k": 1})
            (hit,) = answer.structured_content["hits"]
            stretch = {"video_id": hit["video_id"], "start_seconds": 0.5, "end_seconds": 1.5}
            return (await client.call_tool("cut", stretch)).structured_content

    clip = in_a_loop(run)
    assert probe(clip["path"]).duration_seconds == pytest.approx(1.0, abs=0.01)
