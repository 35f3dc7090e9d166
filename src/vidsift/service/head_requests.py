"""HEAD wherever GET is: the headers that GET would have, without its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from starlette.routing import Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadRequests"]


class HeadRequests:
    """Middleware that answers HEAD as GET, up to the body.

    Args:
        app: the application.
        own_routes: that answer HEAD themselves, with headers that GET has not.
    """

    def __init__(self, app: ASGIApp, own_routes: Sequence[BaseRoute]) -> None:
        """See the class."""
        self._app = app
        self._own_routes = own_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or self._is_answered_apart(scope):
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        with anyio.CancelScope() as answering:

            async def send_headers(message: Message) -> None:
                if "route" in as_get:
                    scope["route"] = as_get["route"]  # for whoever counts
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                answering.cancel()  # a stream would go on

            await self._app(as_get, receive, send_headers)

    def _is_answered_apart(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._own_routes)
