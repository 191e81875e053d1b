"""Attribute values in one form, to compare what was sent with what the App API returns.

The App API returns every value as a string: ``1000`` for ``1e3``, ``"true"`` for ``true``, JSON
text for an object. A value that was sent has an exact form, and sometimes a loose one. If only the
loose forms are equal, the value kept its meaning and lost its type or its precision.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from trackrelay.operations.checks.name_checks import compared_email

#: A JSON number. Decimal alone would take more, such as ``1_000`` or digits of other scripts.
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?")
#: Longer texts are no numbers that anybody compares.
MAX_NUMBER_LENGTH = 400
_TRUE = frozenset({"true", "1"})


class Tag(StrEnum):
    """The type of a value that was sent. The values stand in the column ``items``."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    JSON = "json"
    #: ``null`` or ``""``: the attribute was removed.
    EMPTY = "empty"
    EMAIL = "email"
    #: ``unsubscribed``: Customer.io keeps only whether it is true.
    TRUTH = "truth"


class Form(NamedTuple):
    """A value, ready to be compared."""

    tag: Tag
    exact: str
    #: "" if it is the exact form.
    loose: str = ""


def sent_form(name: str, value: Any) -> Form:
    """Return the form of a value that was sent as the attribute ``name``.

    Args:
        name: some attributes are compared in their own way.
        value: as decoded by :func:`decode_document`.
    """
    if name == "unsubscribed":
        return Form(Tag.TRUTH, str(_is_true(value)))
    if value is None or value == "":
        return Form(Tag.EMPTY, "")
    if isinstance(value, str) and name == "email":
        return Form(Tag.EMAIL, compared_email(value))
    if name == "id" and not isinstance(value, dict | list):
        return Form(Tag.TEXT, _text_of(value))
    tag, exact = _exact(value)
    loose = _loosened(value)
    return Form(tag, exact, "" if loose == exact else loose)


def returned_exact(tag: Tag, text: str | None) -> str | None:
    """Return what the App API returned in the exact form of ``tag``.

    Returns:
        None if it has no such form, for example if a number was sent and text is there.
    """
    match tag:
        case Tag.TRUTH:
            return str(_is_true(text))
        case Tag.EMPTY:
            return "" if text is None or text == "" else None
    if text is None:
        return None
    match tag:
        case Tag.EMAIL:
            return compared_email(text)
        case Tag.NUMBER:
            return number_form(text.strip())
        case Tag.FLAG:
            lowered = text.strip().lower()
            return lowered if lowered in ("true", "false") else None
        case Tag.JSON:
            value = _decoded(text)
            return _canonical(value) if isinstance(value, dict | list) else None
    return text


def returned_loose(text: str | None) -> str | None:
    """Return what the App API returned in the loose form that all types share."""
    if text is None:
        return None
    value = _decoded(text) if text.lstrip()[:1] in ("{", "[") else text
    return _loosened(value)


def decode_document(body: bytes | str) -> Any:
    """Return JSON with its numbers as they were written.

    Raises:
        ValueError: it is no JSON, or has a number that no program takes.
        RecursionError: it is nested too deep.
    """
    return json.loads(body, parse_float=_decimal)


def number_form(text: str) -> str | None:
    """Return a number in one form, ``1e3`` for ``1000`` and ``1000.0``; None if it is no number."""
    if len(text) > MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        return None
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):
        return None
    shown = "".join(map(str, digits)).lstrip("0")
    significant = shown.rstrip("0")
    if not significant:
        return "0"
    exponent += len(shown) - len(significant)
    return f"{'-' if sign else ''}{significant}" + (f"e{exponent}" if exponent else "")


def _decimal(text: str) -> Decimal | float:
    # Decimal raises for an exponent that has too many digits.
    return Decimal(text) if _NUMBER.fullmatch(text) else float(text)


def _exact(value: Any) -> tuple[Tag, str]:
    if isinstance(value, bool):
        return Tag.FLAG, "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        # A number that has no such form is compared as the text that stood in the request.
        written = _text_of(value)
        return Tag.NUMBER, number_form(written) or written
    if isinstance(value, dict | list):
        return Tag.JSON, _canonical(value)
    return Tag.TEXT, str(value)


def _text_of(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 10_000:
        return "a number of too many digits"
    return str(value)


def _loosened(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(
            {str(name): _loosened(each) for name, each in value.items()}, sort_keys=True
        )
    if isinstance(value, list):
        return json.dumps([_loosened(each) for each in value])
    text = "" if value is None else _text_of(value)
    text = text.strip() or text
    lowered = text.lower()
    if lowered in ("true", "false"):
        return "1" if lowered == "true" else "0"
    if number_form(text) is None:
        return text
    # As a program reads it that keeps all numbers as floats.
    return number_form(repr(float(text))) or text


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        members = sorted((str(name), _canonical(each)) for name, each in value.items())
        return "{" + ",".join(f"{json.dumps(name)}:{each}" for name, each in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value)
    return "null" if value is None else _exact(value)[1]


def _decoded(text: str) -> Any:
    try:
        return decode_document(text)
    except (ValueError, RecursionError):
        return text


def _is_true(value: Any) -> bool:
    # As the App API's description says: true, TRUE, 1 and "1" count as true.
    return str(value).strip().lower() in _TRUE
