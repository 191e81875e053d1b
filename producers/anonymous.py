"""Visitors nobody knows yet: the id in their cookie, by which what they did becomes theirs once they say who they are.

Without a framework: those of :mod:`producers.django` and :mod:`producers.flask` hand it the cookie and set what it asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypedDict
from urllib.parse import unquote

from .ids import new_id

SameSite = Literal["Lax", "Strict", "None"]

# A cookie is what a stranger says: an id that could not be guessed, and nothing that means something elsewhere. A UUID
# that a script in the browser made is one, too.
_ID = re.compile(r"[A-Za-z0-9_-]{16,100}")


def anonymous_id_in(cookie: str | None) -> str | None:
    """The anonymous id that a cookie's value holds; None if it holds none that can be used.

    Args:
        cookie: as the browser sent it; quotes around the id, as JavaScript libraries write them, are left out.
    """
    value = unquote(cookie or "").strip('"')
    return value if _ID.fullmatch(value) else None


class CookieArguments(TypedDict):
    """What ``response.set_cookie()`` takes, in Django and in Flask."""

    key: str
    value: str
    max_age: int
    path: str
    domain: str | None
    secure: bool
    httponly: bool
    samesite: SameSite


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymousCookie:
    """How the cookie is set."""

    name: str = "trackrelay_anonymous_id"
    #: Customer.io joins events of the last 30 days; a visitor who comes back later is still the same one.
    max_age_s: int = 365 * 86_400
    path: str = "/"
    domain: str | None = None
    #: None: if the request came over https.
    secure: bool | None = None
    #: False lets scripts read it: to have the same visitor in the browser's analytics.
    http_only: bool = True
    same_site: SameSite = "Lax"

    def arguments(self, anonymous_id: str, *, over_https: bool) -> CookieArguments:
        """What to call ``response.set_cookie()`` with."""
        return {
            "key": self.name,
            "value": anonymous_id,
            "max_age": self.max_age_s,
            "path": self.path,
            "domain": self.domain,
            "secure": over_https if self.secure is None else self.secure,
            "httponly": self.http_only,
            "samesite": self.same_site,
        }


class Visitor:
    """Whoever sent one request.

    Args:
        cookie: the value of their cookie, if they brought one.
    """

    def __init__(self, cookie: str | None) -> None:
        #: The id they brought, or were given; None until somebody asks for :attr:`id`.
        self.known_id: str | None = anonymous_id_in(cookie)
        #: Whether the response must set the cookie to ``known_id``.
        self.must_set_cookie = False

    @property
    def id(self) -> str:
        """Their anonymous id, made now if they have none: a page that does not ask sets no cookie, and can be cached."""
        return self.known_id or self.renew()

    def renew(self) -> str:
        """Give them another id, and return it. At logout: whoever comes next at this browser is somebody else, and an
        anonymous id belongs to one person only."""
        self.known_id, self.must_set_cookie = new_id(), True
        return self.known_id
