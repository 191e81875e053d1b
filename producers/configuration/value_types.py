"""Types of settings. Each reads a value from text, or from an argument of ``configure()``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit

from trackrelay.operations.checks.object_types import is_number
from trackrelay.operations.checks.rejection import class_name, cut, kind_of

from . import server_urls

#: A hundred years. Neither Python nor Postgres can subtract much more from the current time.
MAX_DURATION_S = 36_500 * 86_400
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*")
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})


@dataclass(frozen=True, slots=True)
class SettingType:
    """How a setting's value is read.

    Attributes:
        values: which values it takes, in Markdown.
        read: returns the value; raises ValueError with a message that begins with a verb, such as
            "must be a whole number". The message never quotes a secret.
    """

    values: str
    read: Callable[[Any], Any]


def text(values: str = "text") -> SettingType:
    """Return the type of any text."""
    return SettingType(values, _text)


def boolean() -> SettingType:
    """Return the type of a switch."""

    def read(raw: Any) -> bool:
        if isinstance(raw, bool):
            return raw
        given = raw.strip().lower() if isinstance(raw, str) else ""
        if given not in _TRUE | _FALSE:
            raise ValueError(f"must be 1 or 0; it is {_shown(raw)}")
        return given in _TRUE

    return SettingType("`1` or `0`", read)


def choice(*choices: str) -> SettingType:
    """Return the type of one of some words."""

    def read(raw: Any) -> str:
        if not isinstance(raw, str) or raw not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}; it is {_shown(raw)}")
        return str(raw)

    return SettingType(", ".join(f"`{each}`" for each in choices), read)


def whole_number(low: int, high: int) -> SettingType:
    """Return the type of a whole number from ``low`` to ``high``."""

    def read(raw: Any) -> int:
        try:
            value = int(raw) if isinstance(raw, int | str) else low - 1
        except ValueError:
            value = low - 1
        if isinstance(raw, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high:,}; it is {_shown(raw)}")
        return value

    return SettingType(f"{low} to {high:,}", read)


def positive_number(high: float) -> SettingType:
    """Return the type of a number above 0, up to ``high``."""

    def read(raw: Any) -> float:
        try:
            value = float(raw) if isinstance(raw, int | float | str) else 0.0
        except (ValueError, OverflowError):
            value = 0.0
        if isinstance(raw, bool) or not 0 < value <= high:
            raise ValueError(f"must be a number above 0, up to {high:,}; it is {_shown(raw)}")
        return value

    return SettingType(f"above 0, up to {high:,}", read)


def share() -> SettingType:
    """Return the type of a share: a percentage, or a number above 0, up to 1."""

    def read(raw: Any) -> float:
        given = raw.strip() if isinstance(raw, str) else raw
        try:
            if isinstance(given, str) and given.endswith("%"):
                value = float(given[:-1]) / 100
            else:
                value = float(given) if isinstance(given, int | float | str) else 0.0
        except (ValueError, OverflowError):
            value = 0.0
        if isinstance(raw, bool) or not 0 < value <= 1:
            raise ValueError(
                f"must be a percentage such as 1%, or a number above 0, up to 1; it is "
                f"{_shown(raw)}"
            )
        return value

    return SettingType("`1%`, `0.01`", read)


def duration() -> SettingType:
    """Return the type of a duration, up to a hundred years."""
    return SettingType("`90s`, `10m`, `12h`, `3d`", parse_duration)


def short_duration(low_s: float, high_s: float) -> SettingType:
    """Return the type of a duration from ``low_s`` to ``high_s`` seconds."""

    def read(raw: Any) -> timedelta:
        try:
            value = parse_duration(raw)
        except (ValueError, OverflowError):
            value = timedelta(seconds=-1)
        if not low_s <= value.total_seconds() <= high_s:
            raise ValueError(
                f"must be a number of seconds from {low_s:g} to {high_s:g}, or a duration such "
                f"as 1s; it is {_shown(raw)}"
            )
        return value

    return SettingType(f"`{low_s:g}s` to `{high_s:g}s`", read)


def time_zone() -> SettingType:
    """Return the type of a time zone."""

    def read(raw: Any) -> tzinfo:
        if isinstance(raw, tzinfo):
            return raw
        from zoneinfo import ZoneInfo

        try:
            return ZoneInfo(raw)
        except (KeyError, ValueError, OSError, TypeError):
            raise ValueError(
                f"must name a time zone such as Europe/Berlin; it is {_shown(raw)}"
            ) from None

    return SettingType("a time zone, such as `Europe/Berlin`", read)


def file_path() -> SettingType:
    """Return the type of the path of a file."""

    def read(raw: Any) -> str:
        path = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise ValueError(f"must be the path of a file; it is {_shown(path)}")
        return path

    return SettingType("a path", read)


def numbers_by_name() -> SettingType:
    """Return the type of names with whole numbers."""
    return SettingType("`product=1,company=2`", _numbers_by_name)


def server_url(check: Callable[[str], str], schemes: Iterable[str]) -> SettingType:
    """Return the type of a server's URL, which ``check`` brings into one form."""

    def read(raw: Any) -> str:
        __traceback_hide__ = True  # debug pages show the variables of a frame
        try:
            return check(_text(raw))
        except ValueError as error:
            raise ValueError(str(error).removeprefix("it ")) from None

    return SettingType(", ".join(f"`{each}`" for each in schemes), read)


def api_url() -> SettingType:
    """Return the type of the base URL of one of Customer.io's APIs."""
    return SettingType("an `https://` URL", _api_url)


def parse_duration(value: object) -> timedelta:
    """Return a duration such as ``90s``, ``10m``, ``12h`` or ``3d``, or a number of seconds.

    Raises:
        ValueError: it is not a duration, or longer than a hundred years.
    """
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError(f"must be a duration such as 90s, 10m, 12h or 3d; it is {_shown(value)}")
    if not seconds <= MAX_DURATION_S:
        raise ValueError(f"must be at most 36500d; it is {_shown(value)}")
    return timedelta(seconds=seconds)


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match[1]) * _UNITS_S[match[2]]
    return None


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"must be text, not {class_name(raw)}")
    return raw


def _shown(raw: Any) -> str:
    if isinstance(raw, str):
        return repr(cut(str.__str__(raw), 100))
    if type(raw) in (int, float, bool) and (type(raw) is not int or raw.bit_length() <= 64):
        return repr(raw)
    # The repr of other objects can be gigabytes long.
    return kind_of(raw)


def _numbers_by_name(raw: Any) -> dict[str, str]:
    if isinstance(raw, Mapping):
        given = [(str(name), str(number)) for name, number in raw.items()]
    else:
        parts = [pair.partition("=") for pair in _text(raw).split(",")]
        given = [(name, number) for name, _, number in parts]
    numbers: dict[str, str] = {}
    for name, number in ((name.strip(), number.strip()) for name, number in given):
        if not name or name.isdigit() or not is_number(number) or name in numbers:
            raise ValueError(
                "must be names with whole numbers from 1, each name once, such as "
                f"product=1,company=2; it has {f'{name}={number}'[:60]!r}"
            )
        numbers[name] = number
    return numbers


def _api_url(raw: Any) -> str:
    __traceback_hide__ = True  # debug pages show the variables of a frame
    url = _text(raw)
    # Do not quote such a URL: everything before the "@" can be a password.
    if "@" in url:
        raise ValueError(
            "must not contain credentials; set CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY"
        )
    try:
        server_urls.web_url(url)
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("it ")) from None
    if parts.query:
        raise ValueError("must not have a query ('?'): requests add paths to it")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"must be an https:// URL; it is {_shown(url)}")
    return url
