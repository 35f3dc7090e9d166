"""A large library on the page: what a person waits for with 5,000 videos in 100,000 segments.

    PYTHONPATH=src:. python benchmarks/large_library.py     # writes results/large-library.json and .md

The bundled model, a service and headless Chromium on the same processors. Segments have the tokens of clips
of Shapes, each a little moved; every question is a new one, and the service is warm. Answers over HTTP are
timed by a client on the same machine, the page from a key or a click to the frame after the one that shows
the first cards. What service and page add is that less the search alone, ``Index.search``.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import torch
from measuring import ROOT, command_line, machine, rows_of, where, write_results
from PIL import Image
from tests.page.browser import ARGUMENTS, HIT, browser_path, serving, visit, why_not

from vidsift.index.encode import segment_id, segment_table, sets_of
from vidsift.index.manifest import Manifest
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import BUNDLED, Model, load
from vidsift.search.searcher import Index
from vidsift.service.app import create_app
from vidsift.shapes.library import draw_split
from vidsift.shapes.render import render
from vidsift.shapes.stream import clip_times
from vidsift.types import Features, Span

COMMAND = command_line(__file__, "PYTHONPATH=src:.")
VIDEOS, SEGMENTS, SECONDS = 5_000, 20, 4.0
DRAWN, PART, MOVED = 640, 20_000, 0.05
OWN_MS, TOTAL_MS = 100, 300
TYPING_MS = 1500  # of a person, in which the page has learned all of the answers before
SHELF = ".shelf .card"
TAGS = ("holiday", "drone", "interview", "family")


def sentences() -> Iterator[str]:
    """Captions of clips that are in no library, each once."""
    for video in draw_split("val", 640, 7):
        yield from video.captions


def features_of_clips(model: Model) -> Features:
    """The sets of so many different clips of Shapes."""
    looks = model.preprocessing
    times = clip_times(looks.frames, looks.sampling)
    pixels = [render(video.scene, times, looks.size_px) for video in draw_split("test", DRAWN)]
    return model.encode_frames(pixels, [times] * len(pixels), batch_size=32)


def moved(
    features: Features, rows: np.ndarray[Any, Any], starts: np.ndarray[Any, Any], seed: int
) -> Features:
    """The sets of these clips, every token a little moved, at other seconds of their videos."""
    rng = torch.Generator().manual_seed(seed)
    made = {}
    for name, sets in features.items():
        chosen = sets[torch.from_numpy(rows)]
        noise = torch.randn(chosen.tokens.shape, generator=rng) / chosen.tokens.shape[-1] ** 0.5
        length = torch.linalg.vector_norm(chosen.tokens, dim=-1, keepdim=True)
        tokens = torch.nn.functional.normalize(chosen.tokens + MOVED * length * noise, dim=-1) * length
        times = chosen.times_seconds
        later = None if times is None else times + torch.from_numpy(starts)[:, None]
        made[name] = chosen.replace(tokens=tokens, times_seconds=later)
    return made


def build(folder: Path, model: Model, videos: int) -> None:
    """An index of so many videos of 20 segments each, in 50 folders; every fifth video is tagged."""
    looks = model.preprocessing.to_dict()
    manifest = Manifest(
        BUNDLED, model.name, model.method_name, model.fingerprint, "4s", looks, sets_of(model)
    )
    store, clips = Store.create(folder, manifest), features_of_clips(model)
    picture = io.BytesIO()
    Image.new("RGB", (320, 180), (90, 120, 150)).save(picture, "JPEG")
    rng = np.random.default_rng(0)
    for first in range(0, videos, PART // SEGMENTS):
        names = [f"{number:032x}" for number in range(first, min(first + PART // SEGMENTS, videos))]
        spans = [Span(place * SECONDS, (place + 1) * SECONDS) for place in range(SEGMENTS)]
        facts = [
            {
                "segment_id": segment_id(name, span),
                "video_id": name,
                "start_seconds": span.start_seconds,
                "end_seconds": span.end_seconds,
                "duration_seconds": SEGMENTS * SECONDS,
                "width_px": 320,
                "height_px": 180,
                "codec": "h264",
                "fps": 24.0,
                "thumbnail": picture.getvalue(),
            }
            for name in names
            for span in spans
        ]
        starts = np.array([fact["start_seconds"] for fact in facts])
        rows = rng.integers(DRAWN, size=len(facts))
        files = [
            FileRecord(
                f"/videos/{int(name, 16) % 50:02d}/clip {int(name, 16):05d}.mp4",
                1,
                int(name, 16) * 10**12,
                name,
            )
            for name in names
        ]
        store.commit(segment_table(facts, moved(clips, rows, starts, first), manifest.sets), files)
    for number in range(0, videos, 5):
        if number < 200:
            store.set_tags(f"{number:032x}", [TAGS[number // 5 % len(TAGS)]])


def search_alone(index: Index, texts: Iterator[str], times: int) -> float:
    """What the search itself takes, with as many hits as the page asks for."""
    return median_ms(lambda: index.search(next(texts), k=25), times)


def median_ms(ask: Callable[[], object], times: int) -> float:
    """The median of so many calls, after one that does not count."""
    ask()
    waited = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        waited.append(1000 * (time.perf_counter() - began))
    return round(float(np.median(waited)), 1)


def over_http(url: str, texts: Iterator[str], times: int) -> dict[str, float]:
    """What each request of the page costs."""

    def ask(path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(url + path, data, {"content-type": "application/json"}), timeout=600) as answer:
            return json.load(answer)

    def get(path: str) -> float:
        return median_ms(lambda: ask(path), times)

    def search(**more: Any) -> float:
        return median_ms(lambda: ask("/v1/search", {"query": next(texts), "k": 24, **more}), times)

    search()
    middle = ask("/v1/videos?limit=500")["next_page"]
    return {
        "the overview": get("/v1/index"),
        "the first page of videos": get("/v1/videos?limit=24"),
        "a later page of videos": get(f"/v1/videos?limit=24&page={middle}"),
        "videos of a folder": get("/v1/videos?limit=24&under=/videos/07"),
        "a search": search(),
        "a search in a folder": search(filter={"under": "/videos/07"}),
        "a search among tagged videos": search(filter={"tags": ["drone"]}),
        "a search, one hit a video": search(group_by="video"),
    }


CLOCK = f"""
window.painted = (selector, from, old) => {{
    window.waited = null;
    const look = () => {{
        const card = document.querySelector(selector);
        if (!card || card === old) requestAnimationFrame(look);
        else requestAnimationFrame(() => {{ window.waited = performance.now() - from; }});
    }};
    look();
}};
addEventListener("keydown", event => {{
    if (event.key === "Enter") painted("{HIT}", event.timeStamp, document.querySelector("{HIT}"));
}}, true);
"""


def on_page(url: str, texts: Iterator[str], times: int) -> dict[str, float]:
    """What a person waits for in the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.add_init_script(CLOCK)

        def waited() -> float:
            while (milliseconds := page.evaluate("window.waited")) is None:
                page.wait_for_timeout(5)
            return float(milliseconds)

        visit(page, "/", ".home .card")
        answers = []
        for number in range(times + 3):
            page.fill("#query", next(texts))
            page.wait_for_timeout(TYPING_MS)
            page.press("#query", "Enter")
            if number >= 3:
                answers.append(waited())
            else:
                waited()
        opened = []
        for _ in range(5):
            visit(page, "/", ".home .card")
            page.wait_for_timeout(TYPING_MS)
            page.evaluate(
                "selector => { const link = document.querySelector('a[href*=\"view=library\"]');"
                " window.painted(selector, performance.now(), null); link.click(); }",
                SHELF,
            )
            opened.append(waited())
        browser.close()
    return {
        "from Enter to the first cards": round(float(np.median(answers)), 1),
        "of these 95 % within": round(float(np.quantile(answers, 0.95)), 1),
        "from a click to the library": round(float(np.median(opened)), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    if reason := why_not():
        raise SystemExit(f"the page cannot be timed here: {reason}")
    texts = sentences()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "index"
        build(folder, load(BUNDLED, device="cpu"), chosen.videos)
        alone = search_alone(Index.open(folder), texts, chosen.times)
        with serving(create_app(folder)) as url:
            requests = over_http(url, texts, chosen.times)
            page = on_page(url, texts, chosen.times)
    report(chosen, alone, requests, page)


def report(
    chosen: argparse.Namespace, alone: float, requests: dict[str, float], page: dict[str, float]
) -> None:
    """Write what was measured."""
    facts = machine()
    total = page["from Enter to the first cards"]
    rows = [
        ["`Index.search` alone", alone, ""],
        *([name, value, ""] for name, value in requests.items()),
        *([name, value, TOTAL_MS if value == total else ""] for name, value in page.items()),
        ["service and page beside the search", round(total - alone, 1), OWN_MS],
    ]
    segments = chosen.videos * SEGMENTS
    lines = [
        "# A large library on the page",
        "",
        f"`{COMMAND}`; {where(facts)}; {chosen.videos:,} videos, {segments:,} segments.",
        "",
        f"Medians of {chosen.times}.",
        "",
        *rows_of(["what", "ms", "target"], rows, left=1),
        "",
    ]
    result = {
        "command": COMMAND,
        **facts,
        "videos": chosen.videos,
        "segments": segments,
        "times": chosen.times,
        "search_ms": alone,
        "requests_ms": requests,
        "page_ms": page,
    }
    write_results(chosen.out, "large-library", result, "\n".join(lines))


if __name__ == "__main__":
    main()
