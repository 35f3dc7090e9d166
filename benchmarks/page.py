"""How long a person waits at the page: from Enter until the first cards are painted, in a real browser.

    PYTHONPATH=src:. python benchmarks/page.py     # writes results/page.json and .md

The service of benchmarks/serve.py (made-up segments, a text tower of CLIP ViT-B/32's size) on the same
processors as the browser, headless Chromium without a GPU. Every sentence is a new one; the service and the
page are warm. Measured in the page itself: from the key's own time to the frame after the one with the cards.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, command_line, machine, rows_of, where, write_results
from serve import sentences, serving
from tests.page.browser import ARGUMENTS, HIT, browser_path, visit, why_not

COMMAND = command_line(__file__, "PYTHONPATH=src:.")
TARGET_MS = 300
WARM = 8
CLOCK = f"""
addEventListener("keydown", event => {{ if (event.key === "Enter") {{
    const old = document.querySelector("{HIT}");
    const look = () => {{
        const card = document.querySelector("{HIT}");
        if (!card || card === old) requestAnimationFrame(look);
        else requestAnimationFrame(() => {{ window.waited = performance.now() - event.timeStamp; }});
    }};
    window.waited = null;
    look();
}} }}, true);
"""


def measure(url: str, questions: int) -> list[tuple[float, float]]:
    """Milliseconds from Enter to painted cards, and those of the service; the warm ones are left out."""
    from playwright.sync_api import sync_playwright

    waited = []
    texts = sentences()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.add_init_script(CLOCK)
        visit(page, "/", ".home .card")
        for number in range(WARM + questions):
            page.fill("#query", next(texts))
            page.wait_for_load_state("networkidle")
            page.press("#query", "Enter")
            while (milliseconds := page.evaluate("window.waited")) is None:
                page.wait_for_timeout(20)
            if number >= WARM:
                summary = page.get_attribute(".summary", "title") or ""
                waited.append((float(milliseconds), 1000 * float(summary.split()[-2])))
        browser.close()
    return waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    if reason := why_not():
        raise SystemExit(f"the page cannot be timed here: {reason}")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "index", chosen.segments) as url:
        waited, served = np.array(measure(url, chosen.questions)).T
    facts: dict[str, Any] = machine()
    row = {
        "questions": len(waited),
        "median_ms": round(float(np.median(waited)), 1),
        "p95_ms": round(float(np.quantile(waited, 0.95)), 1),
        "service_median_ms": round(float(np.median(served)), 1),
        "target_ms": TARGET_MS,
    }
    lines = [
        "# From Enter to the first cards",
        "",
        f"`{COMMAND}`; {where(facts)}; {chosen.segments:,} segments.",
        "",
        *rows_of(
            ["questions", "median ms", "95 % within ms", "of it the service, median ms", "target ms"],
            [list(row.values())],
            left=0,
        ),
        "",
    ]
    result = {"command": COMMAND, **facts, "segments": chosen.segments, **row}
    write_results(chosen.out, "page", result, "\n".join(lines))


if __name__ == "__main__":
    main()
