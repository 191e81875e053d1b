"""The proxy that the environment names.

Its URL may hold a password, and libraries quote a URL that they cannot parse.
"""

from __future__ import annotations

import os

from requests.utils import get_environ_proxies, select_proxy

from trackrelay.configuration.server_urls import web_url

_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def proxy_problem(base_url: str) -> str | None:
    """Return what is wrong with the proxy for ``base_url``, without quoting it; None if nothing."""
    proxy = select_proxy(base_url, get_environ_proxies(base_url))
    if not proxy:
        return None
    try:
        web_url(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError as error:
        return f"{_variable(proxy)}: {error}"
    return None


def _variable(proxy: str) -> str:
    names = (name for each in _VARIABLES for name in (each, each.lower()))
    return next((name for name in names if os.environ.get(name) == proxy), "the proxy")
