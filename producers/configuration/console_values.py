"""Types of the console's settings: who may sign in, and which proxies are believed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .value_types import SettingType

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

#: The name that stands for everybody whom a reverse proxy has signed in.
ANYBODY = "*"
#: What ``trackrelay console hash-password`` prints. It has no character that a shell, a `.env` file
#: or Compose would read as something else.
PASSWORD_HASH = re.compile(r"scrypt\.\d{1,2}\.\d{1,2}\.\d{1,2}\.[\w-]{16,64}\.[\w-]{32,128}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_NAME = re.compile(r"[^\s:,]{1,100}")
_EXAMPLE = "such as ada:operate:scrypt.…, made by `trackrelay console hash-password`"


class Role(StrEnum):
    """What somebody may do in the console. Each role includes :attr:`VIEW`."""

    #: See what is delivered, what waits and what failed, without content.
    VIEW = "view"
    #: See the content of jobs, and attributes of people.
    VIEW_PAYLOADS = "view_payloads"
    #: Pause, resume, repair, replay, discard and acknowledge.
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class ConsoleUser:
    """Somebody who may use the console."""

    name: str
    roles: frozenset[Role]
    #: Empty for somebody whom a proxy or a framework signs in.
    password_hash: str = field(default="", repr=False)


def console_users() -> SettingType:
    """Return the type of a list of users."""
    return SettingType("`name:role+role:hash`, separated by commas", _users)


def header_name() -> SettingType:
    """Return the type of the name of an HTTP header."""
    return SettingType("the name of a header", _header)


def networks() -> SettingType:
    """Return the type of a list of addresses and networks."""
    return SettingType("`127.0.0.1,10.0.0.0/8`", _networks)


def _users(raw: Any) -> tuple[ConsoleUser, ...]:
    __traceback_hide__ = True  # debug pages show the variables of a frame
    if not isinstance(raw, str):
        raise ValueError(f"must be a list of users, {_EXAMPLE}")
    users = tuple(
        _user(number, entry) for number, entry in enumerate(re.split(r"[\s,]+", raw.strip()), 1)
    )
    names = [each.name for each in users]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"must name each user once; it names {repeated[0]!r} twice")
    return users


def _user(number: int, entry: str) -> ConsoleUser:
    name, _, rest = entry.partition(":")
    roles, _, password_hash = rest.partition(":")
    # Do not quote an entry: somebody may have put a password there.
    if not _NAME.fullmatch(name) or not roles:
        raise ValueError(f"must name users with their roles, {_EXAMPLE}; entry {number} does not")
    known = {str(role): role for role in Role}
    unknown = [role for role in roles.split("+") if role not in known]
    if unknown:
        raise ValueError(
            f"must give roles out of {', '.join(known)}; entry {number} gives another one"
        )
    if password_hash and not PASSWORD_HASH.fullmatch(password_hash):
        raise ValueError(
            f"must have the hashes of passwords, {_EXAMPLE}; the one of entry {number} is not"
        )
    return ConsoleUser(
        name, frozenset({Role.VIEW, *(known[role] for role in roles.split("+"))}), password_hash
    )


def _header(raw: Any) -> str:
    if not isinstance(raw, str) or not _HEADER.fullmatch(raw):
        raise ValueError("must be the name of a header, such as X-Forwarded-User")
    return raw


def _networks(raw: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    # Every application imports this module, and only the console needs that one.
    from ipaddress import ip_network

    entries = re.split(r"[\s,]+", raw.strip()) if isinstance(raw, str) else [None]
    try:
        return tuple(ip_network(entry or "", strict=False) for entry in entries)
    except ValueError:
        raise ValueError("must be addresses or networks, such as 127.0.0.1,10.0.0.0/8") from None
