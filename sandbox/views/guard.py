"""Protects the control endpoints from web pages that are open in a developer's browser."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

Headers = Iterable[tuple[bytes, bytes]]

#: Methods that change nothing.
_SAFE = ("GET", "HEAD")
#: The values of Sec-Fetch-Site for a request from the page of another site.
_FOREIGN = ("cross-site", "same-site")


class Guard:
    """Checks the headers in which a browser names the host, and the page that sends a request.

    Args:
        host: The address that the sandbox listens on.
        allowed: Further host names to accept.
    """

    def __init__(self, host: str, allowed: Iterable[str]) -> None:
        self._allowed = {_bare(name) for name in (host, *allowed)}
        address = _address(_bare(host))
        # A sandbox on 0.0.0.0 accepts every address. Names stay refused: DNS can be rebound.
        self._any_address = address is not None and address.is_unspecified

    def objection(self, method: str, headers: Headers) -> str | None:
        """Return why a request to a control endpoint is refused, or None."""
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or not self._is_ours(_host(hosts[0])):
            return (
                f"the Host header is {', '.join(hosts)[:100]!r}; the control endpoints accept "
                "localhost, the address the sandbox listens on, and names given by --allowed-host"
            )
        for origin in _values(headers, b"origin"):
            if origin.partition("://")[2].lower() != hosts[0].lower():
                return (
                    f"the Origin header is {origin[:100]!r}; "
                    "another site's page cannot control the sandbox"
                )
        if method not in _SAFE and set(_values(headers, b"sec-fetch-site")) & set(_FOREIGN):
            return "the request comes from another site's page, which cannot control the sandbox"
        return None

    def _is_ours(self, host: str) -> bool:
        if host in self._allowed or host == "localhost" or host.endswith(".localhost"):
            return bool(host)
        address = _address(host)
        return address is not None and (address.is_loopback or self._any_address)


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for each, value in headers if each.lower() == name]


def _host(netloc: str) -> str:
    """Return the host of a Host header without its port, or "" if the header is not valid."""
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
