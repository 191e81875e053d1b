"""The addresses of Customer.io's APIs in each region."""

from __future__ import annotations

from urllib.parse import urlsplit

TRACK_URLS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
APP_URLS = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def unencrypted(url: str | None, allow_http: bool | None) -> str | None:
    """Return why personal data would travel unencrypted to an address, or None if it would not."""
    parts = urlsplit(url or "")
    if parts.scheme != "http" or parts.hostname in _LOOPBACK or allow_http:
        return None
    return (
        f"must be https:// (personal data would travel unencrypted); it is {parts.geturl()!r}. "
        "TRACKRELAY_ALLOW_HTTP=1 allows it"
    )
