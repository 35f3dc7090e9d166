"""Running the application: a socket, a server, and an orderly end."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["listen", "serve"]

_WAITING = 2048
_STOP_SECONDS = 30
_MORE_CONNECTIONS = 64
"""Connections above the limit of requests on which there is room for saying why."""


def listen(host: str, port: int) -> socket.socket:
    """Open a socket; from now on questions wait until :func:`serve` takes them.

    Args:
        host: address or name.
        port: 0 for a free one.

    Raises:
        OSError: the address is not one of this machine, or the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family)
    except (OSError, UnicodeError) as error:
        raise OSError(f"--host is {host!r}, which is no address of this machine; try 127.0.0.1") from error
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_WAITING)
    except OSError as error:
        sock.close()
        raise OSError(
            f"cannot listen on {host}, port {port} ({error.strerror}); is it being served already? "
            "Choose another with --port"
        ) from error
    return sock


def serve(app: FastAPI, sock: socket.socket) -> None:
    """Answer until Ctrl-C, then finish what runs; a second Ctrl-C ends at once."""
    # Once all is done the server raises Ctrl-C again; it was the ordinary way to end.
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _Server(_config(app), app).run(sockets=[sock])
    finally:
        app.state.service.kill()


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        limit_concurrency=app.state.service.limits.requests + _MORE_CONNECTIONS,
    )


class _Server(uvicorn.Server):
    """Tells the service that it stops before it waits for answers: streams without an end have to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._service = app.state.service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            # Asked a second time: nobody waits for jobs and cuts any more.
            threading.Thread(target=self._service.kill, daemon=True).start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stopping.set()
        await super().shutdown(sockets)
