"""What 600 connections whose headers never end cost those who ask properly, by server.

    PYTHONPATH=src python benchmarks/slow_headers.py     # writes results/slow-headers.json and .md

Each of the connections sends one byte of a header every 7 s, and is opened again when it is closed. Meanwhile
somebody asks for an answer of two bytes again and again, each time on a new connection. Servers that are not
installed are left out (`pip install hypercorn granian`). All serve the same application in one process.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from measuring import ROOT, command_line, machine, rows_of, where, write_results

COMMAND = command_line(__file__, "PYTHONPATH=src")
CONNECTIONS, EVERY_SECONDS, ASK_SECONDS, PATIENCE_SECONDS = 600, 7.0, 30.0, 5.0
SERVERS = ("uvicorn", "hypercorn", "granian", "vidsift")
LABELS = {
    "uvicorn": "uvicorn, at most 512 connections",
    "hypercorn": "hypercorn",
    "granian": "granian",
    "vidsift": "uvicorn with `service/connections.py`",
}

WHY = """\
The service stays with uvicorn and limits of its own. hypercorn and granian hold up as well, and granian is
the quickest; but both answer what is no HTTP, and headers that come too late, without a body that says what
to do, where every other problem of the service is one of RFC 9457; granian starts processes of its own, while
the index, the model and the jobs of a service live in the process that prints its address and ends by Ctrl-C;
and neither prefers a client that opens few connections to one that opens hundreds."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything with two bytes."""
    if scope["type"] == "lifespan":
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def serve(server: str, port: int) -> None:
    """Serve the application until the process is ended."""
    if server == "hypercorn":
        import asyncio

        from hypercorn.asyncio import serve as run
        from hypercorn.config import Config

        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        asyncio.run(run(application, config))
    elif server == "granian":
        from granian import Granian
        from granian.constants import Interfaces

        sys.path.insert(0, str(Path(__file__).parent))
        Granian("slow_headers:application", address="127.0.0.1", port=port, interface=Interfaces.ASGI).serve()
    else:
        import uvicorn

        from vidsift.service.connections import LimitedProtocol

        options: dict[str, Any] = {"limit_concurrency": 512}
        if server == "vidsift":
            options = {"http": LimitedProtocol, "ws": "none"}
        uvicorn.run(application, port=port, log_level="critical", **options)


class Dribblers:
    """Connections that send a byte of their headers now and then, for ever."""

    def __init__(self, port: int) -> None:
        """Open them, and begin."""
        self._port = port
        self._sockets: list[socket.socket] = []
        self.opened = 0
        self.ended = threading.Event()
        for _ in range(CONNECTIONS):
            self._sockets.append(self._open())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _open(self) -> socket.socket:
        self.opened += 1
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        return connection

    def _run(self) -> None:
        while not self.ended.wait(EVERY_SECONDS / CONNECTIONS):
            connection = self._sockets.pop(0)
            try:
                connection.sendall(b"a")
            except OSError:
                connection.close()
                try:
                    connection = self._open()
                except OSError:
                    continue
            self._sockets.append(connection)

    def close(self) -> None:
        """End all of them."""
        self.ended.set()
        self._thread.join()
        for connection in self._sockets:
            connection.close()


def ask(port: int) -> float | None:
    """Seconds until the answer; None without a right one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    begin = time.perf_counter()
    try:
        connection.request("GET", "/healthz")
        return time.perf_counter() - begin if connection.getresponse().read() == b"ok" else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def measure(server: str) -> dict[str, Any] | None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, __file__, "--serve", server, "--port", str(port)])
    try:
        until = time.monotonic() + 30
        while ask(port) is None:
            if process.poll() is not None or time.monotonic() > until:
                return None
            time.sleep(0.1)
        alone = [ask(port) for _ in range(200)]
        slow = Dribblers(port)
        answers = []
        begin = time.monotonic()
        while time.monotonic() - begin < ASK_SECONDS:
            answers.append(ask(port))
            time.sleep(0.1)
        slow.close()
        right = [seconds for seconds in answers if seconds is not None]
        return {
            "asked": len(answers),
            "answered": len(right),
            "alone_ms": 1000 * statistics.median(seconds for seconds in alone if seconds is not None),
            "median_ms": 1000 * statistics.median(right) if right else None,
            "slowest_ms": 1000 * max(right) if right else None,
            "slow_connections_opened": slow.opened,
        }
    finally:
        process.terminate()
        process.wait()


def page(facts: dict[str, Any]) -> str:
    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    rows = [
        (
            LABELS[name],
            f"{row['answered']} of {row['asked']}",
            ms(row["alone_ms"]),
            ms(row["median_ms"]),
            ms(row["slowest_ms"]),
            row["slow_connections_opened"],
        )
        for name, row in facts["servers"].items()
    ]
    head = (
        "server",
        "answered",
        "median alone, ms",
        "median beside them, ms",
        "slowest, ms",
        "slow connections opened",
    )
    about = (
        f"{CONNECTIONS} connections send a byte of a header every {EVERY_SECONDS:g} s and are opened again "
        f"when they are closed; for {ASK_SECONDS:g} s somebody asks on new connections, with "
        f"{PATIENCE_SECONDS:g} s of patience. One process each, wall time."
    )
    versions = f"Versions: {', '.join(facts['versions'])}."
    title = ["# Headers that never end", "", f"`{COMMAND}`, {where(facts['machine'])}.", ""]
    return "\n".join([*title, about, "", *rows_of(head, rows), "", versions, "", WHY, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=SERVERS)
    parser.add_argument("--port", type=int)
    parser.add_argument("--output", type=Path, default=ROOT / "results")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.port)
        return
    from importlib.metadata import PackageNotFoundError, version

    measured = {name: row for name in SERVERS if (row := measure(name)) is not None}
    versions = []
    for name in ("uvicorn", "hypercorn", "granian"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    facts = {"command": COMMAND, "machine": machine(), "servers": measured, "versions": versions}
    write_results(given.output, "slow-headers", facts, page(facts))


if __name__ == "__main__":
    main()
