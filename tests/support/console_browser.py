"""A client of a console in this process that keeps cookies and follows no redirects by itself."""

from __future__ import annotations

import asyncio
import html
import re
import time
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.applications import Starlette

from trackrelay.configuration.console_values import ConsoleUser, Role
from trackrelay.worker.console.identity import SESSION_COOKIE

HOST = "console.test"
#: A script that must stay text, in whatever place it is shown.
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        """The last header of that name."""
        return next((value for each, value in reversed(self.headers) if each == name), None)

    @property
    def location(self) -> str:
        """Where it leads."""
        return self.header("location") or self.header("hx-redirect") or ""

    @property
    def text(self) -> str:
        """What a person reads: without elements, in single blanks."""
        bare = re.sub(r"<(script|style|head)\b.*?</\1>", " ", self.body, flags=re.S)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())

    @property
    def set_cookies(self) -> dict[str, str]:
        """The cookies that it sets, each with its attributes."""
        found = [value for name, value in self.headers if name == "set-cookie"]
        return {each.partition("=")[0]: each.partition("=")[2] for each in found}


@dataclass
class ConsoleBrowser:
    """One visitor."""

    app: Starlette
    root_path: str = ""
    address: str = "198.51.100.7"
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def sign_in(self, user: ConsoleUser) -> ConsoleBrowser:
        """Have a session, without the form."""
        identities = self.app.state.parts.identities
        self.cookies[SESSION_COOKIE] = identities.session(user, time.time())
        return self

    def get(self, path: str, **headers: str) -> Page:
        """Open an address."""
        return self.send("GET", path, headers=headers)

    def post(self, path: str, /, **fields: Any) -> Page:
        """Send a form of the console, with the token of a page that was opened before."""
        return self.send("POST", path, {"csrf": self.csrf, **fields})

    @property
    def csrf(self) -> str:
        """The token of the forms."""
        page = self.get("/jobs")
        found = re.search(r'name="csrf" value="([^"]+)"', page.body)
        return found[1] if found else ""

    def send(
        self,
        method: str,
        path: str,
        fields: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Page:
        """Send any request."""
        content = urlencode(fields, doseq=True).encode() if fields is not None else body or b""
        page = asyncio.run(self._exchange(method, path, content, headers or {}))
        for name, value in page.set_cookies.items():
            first = SimpleCookie(f"{name}={value}")[name]
            if first["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = first.value
        return page

    async def _exchange(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> Page:
        path, _, query = path.partition("?")
        given = {
            "host": HOST,
            "content-type": "application/x-www-form-urlencoded",
            "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            **self.headers,
            **{name.replace("_", "-").lower(): value for name, value in headers.items()},
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self.root_path + unquote(path, errors="replace"),
            "raw_path": (self.root_path + path).encode(),
            "root_path": self.root_path,
            "query_string": query.encode(),
            "headers": [
                (name.encode(), value.encode("latin-1")) for name, value in given.items() if value
            ],
            "client": (self.address, 40000),
            "server": (HOST, 80),
        }
        answer: dict[str, Any] = {"body": b""}
        ended = asyncio.Event()
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": content, "more_body": False}
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer["start"] = message
            elif message["type"] == "http.response.body":
                answer["body"] += message.get("body", b"")
                # Of a stream, the first event is enough.
                if not message.get("more_body") or b"\n\n" in answer["body"]:
                    ended.set()

        await self.app(scope, receive, send)
        start = answer["start"]
        found = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        return Page(start["status"], found, answer["body"].decode())


def user(name: str, *roles: Role, password_hash: str = "") -> ConsoleUser:
    """Return a user with roles."""
    return ConsoleUser(name, frozenset({Role.VIEW, *roles}), password_hash)
