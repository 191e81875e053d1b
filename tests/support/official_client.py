"""The official client, pointed at a sandbox, and code that runs with either client."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import customerio  # type: ignore[import-untyped]
import pytest
import requests
from requests.adapters import HTTPAdapter

from trackrelay.sandbox.sandbox_process import SandboxProcess

#: A bracket too many in the README of 3.2.0.
MISPRINT = ("last_used=1514764800})", "last_used=1514764800)")
#: What the README's snippets take for given.
GIVEN = {"ID": "id", "EMAIL": "email"}


class PlainHttp(HTTPAdapter):
    """Send the client's https requests as http, and to this machine alone."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        request.url = str(request.url).replace("https://", "http://", 1)
        assert request.url.startswith("http://127.0.0.1:")
        return super().send(request, *args, **kwargs)


@contextmanager
def pointed_at(sandbox: SandboxProcess) -> Iterator[None]:
    """Inside, every client of the official package, however it is made, sends to the sandbox."""
    build = customerio.CustomerIO._build_session

    def over_http(client: Any) -> requests.Session:
        session: requests.Session = build(client)
        session.mount("https://", PlainHttp())
        return session

    here = customerio.Regions.US._replace(track_host=sandbox.url.removeprefix("http://"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(customerio.Regions, "US", here)
        patch.setitem(customerio.CustomerIO.__init__.__globals__, "Regions", customerio.Regions)
        patch.setattr(customerio.CustomerIO, "_build_session", over_http)
        defaults = customerio.CustomerIO.__init__.__defaults__
        patch.setattr(
            customerio.CustomerIO.__init__,
            "__defaults__",
            tuple(here if hasattr(d, "api_host") else d for d in defaults),
        )
        yield


def documented_snippets() -> list[str]:
    """The Python of the official README, but for what needs the App API."""
    text = importlib.metadata.metadata("customerio").get_payload()
    snippets = re.findall(r"```python\n(.*?)```", str(text), re.DOTALL)
    return [snippet.replace(*MISPRINT) for snippet in snippets if "APIClient" not in snippet]


def run(snippets: list[str], package: str, sandbox: SandboxProcess) -> None:
    """Run snippets one after the other, as one session, importing from ``package``."""
    names: dict[str, Any] = {**GIVEN, "site_id": sandbox.site_id, "api_key": sandbox.api_key}
    for snippet in snippets:
        exec(
            compile(
                snippet.replace("from customerio import", f"from {package} import"),
                "<README>",
                "exec",
            ),
            names,
        )
