"""Checks of single values that v1 and v2 share; each words its refusals itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from . import published_limits

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_PHONE = re.compile(r"\+[1-9][0-9]{0,14}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_TYPE_ID = re.compile(r"[1-9][0-9]{0,9}")

#: Customer.io defines their structure, so the size limit of attribute values does not apply.
UNMEASURED = frozenset({"cio_subscription_preferences", "cio_relationships"})


def is_ulid(text: object) -> bool:
    """Return whether a value is a ULID: 26 characters of Crockford's base 32, in either case."""
    return isinstance(text, str) and _ULID.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Return whether a text is a phone number in E.164: a plus and up to 15 digits."""
    return _PHONE.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Return whether a text has one @ with text on both sides, and no spaces."""
    return _EMAIL.fullmatch(text) is not None


def is_type_id(text: object) -> bool:
    """Return whether a value is an object type: a *string* that holds an integer from 1."""
    return isinstance(text, str) and _TYPE_ID.fullmatch(text) is not None


def is_integer(value: object) -> bool:
    """Return whether a value is a JSON integer; true and false are not."""
    return type(value) is int


def as_name(value: object) -> object:
    """Return an identifier as text: Customer.io's own clients send numbers, too."""
    return str(value) if type(value) is int and abs(value) < 2**64 else value


def wrong_preferences(preferences: Any) -> str | None:
    """Return what is wrong with `cio_subscription_preferences`, or None.

    An empty topic means the default of that topic.
    """
    if preferences is None:
        return None
    if type(preferences) is not dict:
        return "must be an object"
    topics = preferences.get("topics")
    if topics is None:
        return None
    if type(topics) is not dict:
        return "must have an object of topics"
    if any(type(wanted) is not bool and wanted not in (None, "") for wanted in topics.values()):
        return "must have true or false for each topic"
    return None


def wrong_keywords(data: Mapping[str, Any]) -> bool:
    """Return whether the keywords of a page are anything but a list of strings."""
    keywords = data.get("keywords", [])
    return type(keywords) is not list or not all(isinstance(each, str) for each in keywords)


def longer(text: str, limit: int) -> bool:
    """Return whether a text is longer than `limit` bytes in UTF-8.

    Encode it only if its length in characters does not decide.
    """
    length = len(text)
    return length > limit or (length * 4 > limit and len(text.encode()) > limit)


def value_too_long(value: Any) -> bool:
    """Return whether an attribute value exceeds the limit; lists and objects count as JSON."""
    if isinstance(value, str):
        return longer(value, published_limits.ATTRIBUTE_VALUE_BYTES)
    if isinstance(value, list | dict):
        return len(msgspec.json.encode(value)) > published_limits.ATTRIBUTE_VALUE_BYTES
    return False


def overlong_name(attributes: Mapping[str, Any]) -> str | None:
    """Return the first attribute name that exceeds the limit, or None."""
    for name in attributes:
        if longer(name, published_limits.ATTRIBUTE_NAME_BYTES):
            return name
    return None


def overlong_value(attributes: Mapping[str, Any]) -> str | None:
    """Return the name of the first attribute whose value exceeds the limit, or None."""
    for name, value in attributes.items():
        if value_too_long(value) and name not in UNMEASURED:
            return name
    return None


def too_large(attributes: Mapping[str, Any], limit: int) -> bool:
    """Return whether all attributes together, as JSON, exceed `limit` bytes."""
    return len(msgspec.json.encode(attributes)) > limit
