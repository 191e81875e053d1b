"""Who may look at the sandbox and steer it: no web page that happens to be open in a developer's browser."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

Headers = Iterable[tuple[bytes, bytes]]

#: Methods that change nothing.
_SAFE = ("GET", "HEAD")
#: What a browser says of a request that another site's page makes.
_FOREIGN = ("cross-site", "same-site")


class Guard:
    """Checks the headers by which a browser says what it asks, and for whom.

    Args:
        host: where the sandbox listens.
        allowed: other names by which it may be asked for.
    """

    def __init__(self, host: str, allowed: Iterable[str]) -> None:
        self._allowed = {_bare(name) for name in (host, *allowed)}
        address = _address(_bare(host))
        # Listening everywhere, it has all of the machine's addresses; a name that was rebound is no address.
        self._any_address = address is not None and address.is_unspecified

    def objection(self, method: str, headers: Headers) -> str | None:
        """Return what speaks against a request to a control endpoint; None: nothing."""
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or not self._is_ours(_host(hosts[0])):
            return (
                f"the Host header is {', '.join(hosts)[:100]!r}; the control endpoints answer to localhost, "
                "to the address the sandbox listens on, and to what --allowed-host names"
            )
        for origin in _values(headers, b"origin"):
            if origin.partition("://")[2].lower() != hosts[0].lower():
                return f"the Origin header is {origin[:100]!r}; another site's page cannot steer the sandbox"
        if method not in _SAFE and set(_values(headers, b"sec-fetch-site")) & set(_FOREIGN):
            return "the browser says that another site's page asks; it cannot steer the sandbox"
        return None

    def _is_ours(self, host: str) -> bool:
        if host in self._allowed or host == "localhost" or host.endswith(".localhost"):
            return bool(host)
        address = _address(host)
        return address is not None and (address.is_loopback or self._any_address)


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for each, value in headers if each.lower() == name]


def _host(netloc: str) -> str:
    """Return the host of a Host header, without its port; "" for what is none."""
    try:
        parts = urlsplit(f"//{netloc}")
        return _bare(parts.hostname or "") if parts.netloc == netloc and "@" not in netloc else ""
    except ValueError:
        return ""


def _bare(host: str) -> str:
    return host.strip().strip("[]").rstrip(".").lower()


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
