"""Anonymous visitors: the id in their cookie, and the cookie itself.

Customer.io assigns a visitor's events to a person once an identify carries both ids. This module
knows no framework: :mod:`trackrelay.django` and :mod:`trackrelay.flask` read and set the cookie.
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

# A stranger can send any cookie. An id is long enough not to be guessed, and has no special
# characters. A UUID that a script in the browser made is accepted.
_ID = re.compile(r"[A-Za-z0-9_-]{16,100}")

# What may stand in a cookie's header: RFC 6265, section 4.1.1.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[^;\x00-\x20\x7f]*")
_DOMAIN = re.compile(r"[^;,\x00-\x20\x7f]+")


def anonymous_id_in(cookie: str | None) -> str | None:
    """Return the anonymous id in the value of a cookie, or None if there is no valid one.

    Args:
        cookie: the value that the browser sent. JavaScript libraries put quotes around the id.
    """
    value = unquote(cookie or "").strip('"')
    return value if _ID.fullmatch(value) else None


class CookieArguments(TypedDict):
    """The arguments of ``response.set_cookie()`` in Django and in Flask."""

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
    """The settings of the cookie."""

    name: str = "trackrelay_anonymous_id"
    #: Customer.io joins events of the last 30 days. A visitor who returns later keeps the id.
    max_age_s: int = 365 * 86_400
    path: str = "/"
    domain: str | None = None
    #: None: only if the request came over https.
    secure: bool | None = None
    #: False lets scripts in the browser read the id.
    http_only: bool = True
    same_site: SameSite = "Lax"

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigurationError: no cookie can have a value; it names the setting, the limit and the
                value.
        """
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
    def of(cls, settings: object) -> AnonymousCookie:
        """Return the cookie with the given settings, whose names are in capitals.

        Raises:
            ConfigurationError: ``settings`` is no dict, or has an unknown name or an invalid value.
        """
        if not isinstance(settings, Mapping):
            raise ConfigurationError(
                f"the anonymous cookie must be a dict of settings; it is a "
                f"{type(settings).__name__}"
            )
        known = [field.name.upper() for field in fields(cls)]
        for name in settings:
            if name not in known:
                hint = did_you_mean(name, known, otherwise=f"it has {', '.join(known)}")
                raise ConfigurationError(f"the anonymous cookie has no setting {name!r}; {hint}")
        return cls(**{name.lower(): value for name, value in settings.items()})

    def arguments(self, anonymous_id: str, *, over_https: bool) -> CookieArguments:
        """Return the arguments of ``response.set_cookie()``."""
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
    """The visitor who sent a request.

    Args:
        cookie: the value of the visitor's cookie, if there is one.
    """

    def __init__(self, cookie: str | None) -> None:
        #: The id in the cookie, or a new one; None until :attr:`id` is read.
        self.known_id: str | None = anonymous_id_in(cookie)
        #: Whether the response must set the cookie.
        self.must_set_cookie = False

    @property
    def id(self) -> str:
        """The visitor's anonymous id. It is made at the first read.

        A page that does not read it sets no cookie, and can be cached.
        """
        return self.known_id or self.renew()

    def renew(self) -> str:
        """Give the visitor a new id, and return it.

        Call it at logout: the next visitor at this browser may be another person, and an anonymous
        id belongs to one person.
        """
        self.known_id, self.must_set_cookie = new_id(), True
        return self.known_id
