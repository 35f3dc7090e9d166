"""Wrong tokens, counted by client: who guesses has to wait, and keeps nobody else out."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["WrongTokens", "client_network"]


class WrongTokens:
    """How many wrong tokens each client brought, and how long it has to wait for another try.

    While it waits its tokens are not looked at, so that guessing gets nowhere. A client that has brought the
    right one never waits: behind a proxy or a router, somebody who guesses may share an address with the
    people of the house.

    Args:
        free: wrong tokens that cost no waiting.
        seconds: in which one more is forgiven.
        clients: that are remembered, the newest ones.
        clock: seconds that pass.
    """

    def __init__(
        self,
        free: int = 10,
        seconds: float = 5.0,
        clients: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none."""
        self._free = free
        self._seconds = seconds
        self._clients = clients
        self._clock = clock
        # Per client the time at which all its wrong tokens are forgiven; infinitely early after a right one.
        self._forgiven: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, client: str) -> float:
        """Return how long a client has to wait; 0 where its next token is looked at."""
        owed = self._forgiven.get(client, 0.0) - self._clock()
        return float(math.ceil(max(0.0, owed - (self._free - 1) * self._seconds)))

    def wrong(self, client: str) -> None:
        """Count a wrong token."""
        forgiven = self._forgiven.get(client, 0.0)
        if forgiven != -math.inf:
            self._set(client, max(forgiven, self._clock()) + self._seconds)

    def right(self, client: str) -> None:
        """A client brought the right token: it never waits."""
        self._set(client, -math.inf)

    def _set(self, client: str, forgiven: float) -> None:
        self._forgiven[client] = forgiven
        self._forgiven.move_to_end(client)
        while len(self._forgiven) > self._clients:
            self._forgiven.popitem(last=False)


def client_network(host: str) -> str:
    """What counts as one client: an address, of IPv6 the network of 64 bits that a household has.

    Example:
        >>> client_network("192.168.0.7"), client_network("2001:db8::7:1"), client_network("")
        ('192.168.0.7', '2001:db8::/64', '')
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
