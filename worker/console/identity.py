"""Who sends a request: by a session, by a reverse proxy's header, or by the framework around."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from trackrelay.configuration.console_values import ConsoleUser, Role

from .console_settings import ConsoleSettings
from .signatures import Signer, peek

#: How long a session lasts.
SESSION_S = 12 * 3600.0
#: A session of this age is replaced by a new one when it is used.
RENEW_S = 3600.0
SESSION_COOKIE = "trackrelay_session"
CSRF_COOKIE = "trackrelay_csrf"
#: Returns the user of the framework that the console is mounted in, from the ASGI scope.
FrameworkUser = Callable[[dict[str, Any]], ConsoleUser | None]


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """A link that ``trackrelay console`` prints for whoever started it."""

    user_name: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def user(self) -> ConsoleUser:
        """The user whom the link signs in. The session ends with the process that made the link."""
        return ConsoleUser(self.user_name, frozenset(Role), self.token)


@dataclass(frozen=True, slots=True)
class Identities:
    """Knows the user of a request."""

    settings: ConsoleSettings
    signer: Signer
    link: OneTimeLink | None = None
    framework_user: FrameworkUser | None = None

    @property
    def has_sessions(self) -> bool:
        """Whether people sign in here."""
        return self.framework_user is None and not self.settings.proxy_header

    def user_of(self, request: Request) -> ConsoleUser | None:
        """Return who sends the request; None if nobody is signed in."""
        if self.framework_user is not None:
            return self.framework_user(dict(request.scope))
        if header := self.settings.proxy_header:
            peer = request.client.host if request.client else ""
            names = request.headers.getlist(header)
            # A second header may come from the visitor.
            if len(names) != 1 or not names[0] or not self.settings.is_proxy(peer):
                return None
            return self.settings.signed_in_by_proxy(names[0].strip())
        return self._of_session(request.cookies.get(SESSION_COOKIE), time.time())

    def named(self, name: str) -> ConsoleUser | None:
        """Return a user who can have a session."""
        if self.link is not None and name == self.link.user.name:
            return self.link.user
        found = self.settings.user(name)
        return found if found and found.password_hash else None

    def session(self, user: ConsoleUser, now: float) -> str:
        """Return the value of the cookie that keeps ``user`` signed in."""
        payload = {"user": user.name, "at": now, "id": secrets.token_urlsafe(9)}
        return self.signer.sign("session", payload, _credentials(user))

    def session_to_renew(self, request: Request, user: ConsoleUser, now: float) -> bool:
        """Return whether the session that the request used is old enough to be replaced."""
        payload = peek(request.cookies.get(SESSION_COOKIE)) if self.has_sessions else None
        at = payload.get("at") if payload else None
        return isinstance(at, int | float) and now - at > RENEW_S

    def _of_session(self, cookie: str | None, now: float) -> ConsoleUser | None:
        payload = peek(cookie)
        user = self.named(str(payload.get("user"))) if payload else None
        if user is None:
            return None
        found = self.signer.read("session", cookie, _credentials(user), since=now - SESSION_S)
        return user if found else None

    def csrf_token(self, request: Request, user: ConsoleUser | None) -> str:
        """Return what a form must send back; empty without the cookie that it belongs to."""
        # The cookie that this answer sets, if the browser has none yet.
        nonce = request.scope.get(CSRF_COOKIE) or request.cookies.get(CSRF_COOKIE, "")
        return self.signer.digest("form", f"{nonce}\0{user.name if user else ''}") if nonce else ""

    def address_of(self, request: Request) -> str:
        """Return the address of the visitor. What a proxy says of it counts from named ones."""
        address = request.client.host if request.client else ""
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while self.settings.is_proxy(address) and forwarded and forwarded[-1].strip():
            address = forwarded.pop().strip()
        return address[:64]

    def is_encrypted(self, request: Request) -> bool:
        """Return whether the visitor's connection is encrypted."""
        peer = request.client.host if request.client else ""
        if self.settings.is_proxy(peer) and (said := request.headers.get("x-forwarded-proto")):
            return said.rpartition(",")[2].strip() == "https"
        return request.url.scheme == "https"


def _credentials(user: ConsoleUser) -> str:
    # A new password, or a change of roles, ends the sessions of the user.
    return "\0".join([user.name, user.password_hash, *sorted(user.roles)])
