"""Visitors nobody knows yet: the id in their cookie, by which what they did becomes theirs once they say who they are.

Without a framework: those of :mod:`trackrelay.django` and :mod:`trackrelay.flask` hand it the cookie and set what it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypedDict
from urllib.parse import unquote

from trackrelay.errors import ConfigurationError
from trackrelay.suggestion import did_you_mean

from .ids import new_id

SameSite = Literal["Lax", "Strict", "None"]

# A cookie is what a stranger says: an id that could not be guessed, and nothing that means something elsewhere. A UUID
# that a script in the browser made is one, too.
_ID = re.compile(r"[A-Za-z0-9_-]{16,100}")

# What can be said of a cookie without ending its header: RFC 6265, section 4.1.1.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[^;\x00-\x20\x7f]*")
_DOMAIN = re.compile(r"[^;,\x00-\x20\x7f]+")


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

    def __post_init__(self) -> None:
        """Raises: ConfigurationError: a value that no cookie can have, with field, limit and value."""
        limits = (
            ("NAME", "letters, digits and !#$%&'*+-.^_`|~", _matches(_NAME, self.name)),
            (
                "MAX_AGE_S",
                "a whole number of seconds from 1",
                type(self.max_age_s) is int and self.max_age_s > 0,
            ),
            ("PATH", "a path that begins with /", _matches(_PATH, self.path)),
            (
                "DOMAIN",
                "a host's name, or None",
                self.domain is None or _matches(_DOMAIN, self.domain),
            ),
            ("SECURE", "True, False or None", self.secure is None or isinstance(self.secure, bool)),
            ("HTTP_ONLY", "True or False", isinstance(self.http_only, bool)),
            ("SAME_SITE", "'Lax', 'Strict' or 'None'", self.same_site in ("Lax", "Strict", "None")),
        )
        for name, limit, is_within in limits:
            if not is_within:
                actual = getattr(self, name.lower())
                raise ConfigurationError(
                    f"{name} of the anonymous cookie must be {limit}; it is {actual!r}"
                )

    @classmethod
    def of(cls, told: object) -> AnonymousCookie:
        """The cookie that is different in what ``told`` says: a dict of fields, their names in capitals.

        Raises:
            ConfigurationError: it is no dict, names no field, or has a value that no cookie can have.
        """
        if not isinstance(told, Mapping):
            raise ConfigurationError(
                f"the anonymous cookie must be a dict of settings; it is a {type(told).__name__}"
            )
        known = [field.name.upper() for field in fields(cls)]
        for name in told:
            if name not in known:
                hint = did_you_mean(name, known, otherwise=f"it has {', '.join(known)}")
                raise ConfigurationError(f"the anonymous cookie has no setting {name!r}; {hint}")
        return cls(**{name.lower(): value for name, value in told.items()})

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


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


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
