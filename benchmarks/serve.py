"""Answers of a running service: how long one person waits, and how 32 at once fare.

    PYTHONPATH=src python benchmarks/serve.py     # writes results/serve.json and .md

A service on a socket, all processors, wall time: an index of made-up segments scored by DRL's WTI over 512
channels, sentences encoded by a text tower of CLIP ViT-B/32's size with random weights. Every sentence is a
new one, and the service is warm. The answers hold what the page shows: ten hits with moments and strips.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from made_up import towers_of
from measuring import ROOT, command_line, machine, rows_of, where, write_results

from search import build
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import train_tokenizer
from vidsift.errors import ServiceError
from vidsift.methods.model import Model
from vidsift.service.app import create_app
from vidsift.service.client import Client
from vidsift.service.server import listen

COMMAND = command_line(__file__, "PYTHONPATH=src")
TARGET_MS = 300
WHO = ("a dog", "two children", "an old man", "a woman in red", "somebody", "a cat", "a team", "the crowd")
DOES = ("jumps over", "looks at", "paints", "carries", "washes", "talks about", "runs past", "opens")
WHAT = ("a fence", "the sea", "a yellow car", "a large box", "some apples", "the door", "a bridge", "a map")


def sentences() -> Iterator[str]:
    """Sentences of about ten tokens, each once."""
    for who, does, what in product(WHO, DOES, WHAT):
        yield f"{who} {does} {what}"


@contextmanager
def serving(folder: Path, segments: int) -> Iterator[str]:
    words = train_tokenizer(list(sentences()), 1000)
    model = Model.create(
        "drl", towers_of(thin=False), words, PixelNorm(224), arguments={"interaction": "wti"}
    )
    app = create_app(build(folder, model, segments))
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def wait_until_read(url: str) -> None:
    for _ in range(600):
        try:
            Client(url).health()
            return
        except ServiceError:
            time.sleep(1)
    raise TimeoutError("the index was not read in ten minutes")


def measure(url: str, clients: int, questions: list[str]) -> dict[str, Any]:
    def ask(query: str) -> float:
        with Client(url, timeout_seconds=600) as client:
            began = time.perf_counter()
            answer = client.search(query)
            assert len(answer.data) == 10
            return (time.perf_counter() - began) * 1000

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        waited = sorted(pool.map(ask, questions))
    seconds = time.perf_counter() - began
    return {
        "clients": clients,
        "questions": len(questions),
        "median_ms": round(float(np.median(waited)), 1),
        "p95_ms": round(float(np.quantile(waited, 0.95)), 1),
        "per_second": round(len(questions) / seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "index", chosen.segments) as url:
        texts = sentences()
        wait_until_read(url)
        measure(url, 1, [next(texts) for _ in range(8)])  # the first reads and measures
        rows = [measure(url, clients, [next(texts) for _ in range(chosen.questions)]) for clients in (1, 32)]
    facts = machine()
    head = ["clients", "questions", "median ms", "95 % within ms", "answers a second"]
    page = [
        "# A running service",
        "",
        f"`{COMMAND}`; {where(facts)}; {chosen.segments:,} segments.",
        f"Target: within {TARGET_MS} ms for one person.",
        "",
        *rows_of(head, [list(row.values()) for row in rows], left=0),
        "",
    ]
    result = {"command": COMMAND, **facts, "segments": chosen.segments, "rows": rows}
    write_results(chosen.out, "serve", result, "\n".join(page))


if __name__ == "__main__":
    main()
