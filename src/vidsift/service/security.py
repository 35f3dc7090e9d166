"""Who may ask: the name in the address, the page that asks, the token; and what every answer tells a browser.

A page of another site that somebody has open must neither read from the service nor make it do things, also
where its name has been pointed at this machine (DNS rebinding). So requests are refused that name the
service by a name that is not its own, or come from a page that is not its own.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote_plus, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response

from vidsift.service.problems import ProblemError, fault_response, problem_response
from vidsift.service.wrong_tokens import WrongTokens, client_network

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADERS", "Access", "Guard", "is_loopback"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_COOKIE_SECONDS = 30 * 86_400
_SHORTEST_TOKEN = 22  # of letters, digits, - and _: 132 bits where they are drawn at random
_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{_SHORTEST_TOKEN},}}")

# No inline scripts or styles: a file name that looks like markup cannot become any, whatever the page does.
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

HEADERS = {
    "content-security-policy": _POLICY,
    # A video file that holds HTML is not shown as a page.
    "x-content-type-options": "nosniff",
    # The address holds the question, and at first the token.
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",  # as frame-ancestors, for browsers that do not know it
    "cross-origin-opener-policy": "same-origin",
    # No page of another site shows pictures from here.
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Headers of every answer, unless it has its own: scripts, styles and pictures come from here alone."""


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        names: by which the service may be called (the ``Host`` header, without the port).
        any_address: it may also be called by any IP address; no other site's name can be pointed there.
        token: that every request must bring; None where none is needed.

    Raises:
        ValueError: the token is too short, or has characters that cannot stand in an address.
    """

    names: frozenset[str] = _LOOPBACK
    any_address: bool = False
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what could be guessed, or not be sent."""
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ValueError(
                f"the token has {len(self.token)} characters; it needs at least {_SHORTEST_TOKEN}, of "
                "letters, digits and . _ ~ - alone: vidsift serve --new-token makes one"
            )

    @classmethod
    def listening_on(cls, host: str, *, token: str | None = None, names: Iterable[str] = ()) -> Access:
        """Choose for an address to listen on: beyond this machine a token is needed, fresh if none is given.

        Args:
            host: the address.
            token: to ask for in any case.
            names: more names by which the service is called, as behind a proxy; a token is needed then too.

        Raises:
            ValueError: as :class:`Access` does.
        """
        known = _LOOPBACK | {name.lower() for name in names}
        if is_loopback(host) and known == _LOOPBACK:
            return cls(known, token=token)
        if is_loopback(host):
            # A service with another name is reached from elsewhere, through a proxy on this machine.
            return cls(known, token=token or secrets.token_urlsafe(32))
        # Names that this machine has in its network; ".local" is that of multicast DNS.
        machine = socket.gethostname().lower()
        known |= {host.lower(), machine, machine.split(".")[0], machine.split(".")[0] + ".local"}
        return cls(known, any_address=True, token=token or secrets.token_urlsafe(32))

    @property
    def cookie(self) -> str:
        """Name of the cookie that keeps the token; services on other ports of a machine have another."""
        # Cookies know no ports: with one name for all, two services would sign each other's visitors out.
        return "vidsift_" + hashlib.sha256((self.token or "").encode()).hexdigest()[:8]

    @property
    def is_personal(self) -> bool:
        """Whether only this machine's people, or who has the token, can ask."""
        return self.token is not None or (self.names <= _LOOPBACK and not self.any_address)

    def knows(self, name: str) -> bool:
        """Whether the service may be called by a name."""
        if name in self.names:
            return True
        if not self.any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def admits(self, token: str | None) -> bool:
        """Whether a token is right; takes as long for a wrong one, which else the time would give away."""
        if self.token is None:
            return True
        return token is not None and secrets.compare_digest(token.encode(), self.token.encode())


class Guard:
    """Middleware that refuses who may not ask, and adds :data:`HEADERS` to every answer.

    A bug of the service is answered here too, so that its answer has these headers.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """See the class."""
        self._app = app
        self._access = access
        self._wrong_tokens = WrongTokens()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # There are no web sockets; the framework would answer without these checks.
            await send({"type": "websocket.close", "code": 1008})
            return

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._answer(scope)(scope, receive, send_guarded)
        except Exception as error:
            if started:  # the status has been sent: all that is left is to break the connection off
                raise
            await fault_response(error)(scope, receive, send_guarded)

    def _answer(self, scope: Scope) -> ASGIApp:
        """What answers a request: the application, or at once."""
        try:
            return self._check(scope) or self._app
        except ProblemError as refused:
            return problem_response(refused.status_code, refused.detail, dict(refused.headers or {}))

    def _check(self, scope: Scope) -> Response | None:
        """Return an answer that is given at once, or None for a request that goes on."""
        host = _single_header(scope, b"host")
        if host is None or not self._access.knows(_name_in(host)):
            raise ProblemError(
                421,
                f"the Host header is {host!r}, by which this service is not called; use the address that it "
                "printed at its start, or have the name allowed by whoever runs it",
            )
        _check_page(scope, host)
        if self._access.token is None:
            return None
        return self._check_token(scope)

    def _check_token(self, scope: Scope) -> Response | None:
        query = scope.get("query_string", b"").decode("latin-1")
        in_address = parse_qs(query).get("token", [])[-1:] if scope["path"] == "/" else []
        scheme, _, credentials = (_single_header(scope, b"authorization") or "").partition(" ")
        in_header = [credentials.strip()] if scheme.lower() == "bearer" else []
        cookie = _cookie(scope, self._access.cookie)
        client = client_network(scope["client"][0] if scope.get("client") else "")
        brought = [*in_address, *in_header, *([] if cookie is None else [cookie])]
        wait_seconds = self._wrong_tokens.wait_seconds(client) if brought else 0.0
        if wait_seconds:
            raise ProblemError(
                429,
                f"too many wrong tokens came from {client or 'this client'}; try again in "
                f"{wait_seconds:.0f} s, with the token that the service printed at its start",
                {"retry-after": f"{wait_seconds:.0f}"},
            )
        if sum(map(self._access.admits, brought)):  # all are compared, whichever is right
            self._wrong_tokens.right(client)
            return self._without_token(query) if in_address and self._access.admits(in_address[0]) else None
        if brought:
            self._wrong_tokens.wrong(client)
        raise ProblemError(
            401,
            "open the address with the token that the service printed at its start, or send it as "
            "'Authorization: Bearer TOKEN'",
            {"www-authenticate": "Bearer"},
        )

    def _without_token(self, query: str) -> Response:
        """Lead on to the page; whoever shares its address must not share the token with it."""
        rest = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "token"]
        redirect = RedirectResponse("/?" + "&".join(rest) if any(rest) else "/", 303)
        # "lax" sends the cookie along when a link elsewhere leads here, and not with what other pages load.
        redirect.set_cookie(
            self._access.cookie,
            self._access.token or "",
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="lax",
        )
        return redirect


def _check_page(scope: Scope, host: str) -> None:
    """Refuse what a page of another site asks for; following a link to the page is allowed."""
    foreign = ProblemError(
        403,
        "the request comes from a page of another site; only the service's own page and programs may ask: "
        "open the address that it printed at its start",
    )
    origin = _single_header(scope, b"origin")
    if origin is not None:
        try:
            page_host = urlsplit(origin).netloc.lower()
        except ValueError:
            page_host = ""
        if page_host != host.lower():
            raise foreign
    # Browsers leave Origin out of plain GETs, as of a picture in another site's page; they send this instead.
    if _single_header(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
        link = scope["method"] in ("GET", "HEAD") and _single_header(scope, b"sec-fetch-mode") == "navigate"
        if not (link and scope["path"] in ("/", "/docs")):
            raise foreign


def _single_header(scope: Scope, name: bytes) -> str | None:
    """The value of a header; "" where it is there twice, of which a proxy may have checked the other."""
    values = [value for key, value in scope["headers"] if key.lower() == name]
    if not values:
        return None
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _name_in(host: str) -> str:
    """The name in a ``Host`` header, without the port.

    Example:
        >>> _name_in("LocalHost:8765"), _name_in("[::1]:8765"), _name_in("::1")
        ('localhost', '::1', '')
    """
    if host.startswith("["):
        name, closed, _port = host[1:].partition("]")
        return name.lower() if closed else ""
    name, _, _port = host.partition(":")
    return "" if host.count(":") > 1 else name.lower()


def _cookie(scope: Scope, name: str) -> str | None:
    return cookie_parser(_single_header(scope, b"cookie") or "").get(name)
