"""Running the application: a socket, uvicorn, and an orderly end at Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from vidsift.service.connections import LimitedProtocol

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Server", "listen", "serve"]

_BACKLOG = 2048
_STOP_SECONDS = 30


def listen(host: str, port: int) -> socket.socket:
    """Open a socket; from now on connections wait until :func:`serve` takes them.

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
            # Without it a service that was stopped could not be started again for a minute. On Windows the
            # option would let two programs listen on one port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(
            f"cannot listen on {host}, port {port} ({error.strerror}); is it being served already? "
            "Choose another with --port"
        ) from error
    return sock


def serve(app: FastAPI, sock: socket.socket) -> None:
    """Answer until Ctrl-C, then finish what runs; a second Ctrl-C ends at once."""
    # uvicorn raises the signal again once all is done; Ctrl-C is the ordinary way to end.
    try:
        with contextlib.suppress(KeyboardInterrupt):
            Server(app).run(sockets=[sock])
    finally:
        app.state.service.kill()


class Server(uvicorn.Server):
    """uvicorn, which tells the service that it stops before it waits for answers: streams have to end."""

    def __init__(self, app: FastAPI) -> None:
        """See the class."""
        self._service = app.state.service
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            # limit_concurrency would count connections on which nothing has come, and refuse people for them.
            # Requests are limited by the application, what comes before them by the protocol.
            http=LimitedProtocol,
            ws="none",
        )
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the second time end jobs and cuts as they are."""
        if self.should_exit:
            # A signal handler must not wait for a lock that the code it interrupted may hold.
            threading.Thread(target=self._service.kill, daemon=True).start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._service.stopping.set()
        await super().shutdown(sockets)
