"""Checks of names: text that identifies a person, an object or a delivery."""

from __future__ import annotations

import re
from enum import Enum
from numbers import Integral
from unicodedata import normalize
from uuid import UUID

from trackrelay.operations import limits

from .lazy_values import resolved
from .placeholders import NOT_NAMES, refuse_placeholder
from .rejection import RefusalError, too_many_bytes, wrong_type

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# An address that mail can reach: a local part, one @, a domain of two labels or more. RFC 5322
# allows more.
_OUTSIDE_EMAIL = r"\s@<>(),;:\"\[\]\\"
_EMAIL = re.compile(rf"[^{_OUTSIDE_EMAIL}]+@[^{_OUTSIDE_EMAIL}.]+(\.[^{_OUTSIDE_EMAIL}.]+)+")
# Track API, person_common: a leading + followed by up to 15 digits.
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")


def size(text: str) -> int:
    """Return the size of ``text`` in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def name_of(value: object, max_bytes: int = limits.ID_BYTES) -> str:
    """Return the name of a person, object or delivery; an int or a UUID becomes text.

    Raises:
        RefusalError: it is of another type, blank, too long, a placeholder, has control characters,
            or is ``.`` or ``..``, which name another endpoint in a path of v1.
    """
    # 37 characters of four bytes are within every limit. Printable blanks are among NOT_NAMES.
    if (
        type(value) is str
        and 2 < len(value) <= 37
        and value.isprintable()
        and value not in NOT_NAMES
        and "{" not in value
    ):
        return value
    text = plain_text(value)
    if not text.strip():
        raise RefusalError("is blank", limit="not blank", actual="blank")
    if text in (".", ".."):
        raise RefusalError(
            f"is {text!r}, which is a path and not a name",
            limit="neither '.' nor '..'",
            actual=repr(text),
        )
    if size(text) > max_bytes:
        raise too_many_bytes(size(text), max_bytes)
    refuse_placeholder(text)
    return refuse_controls(text)


def plain_text(value: object) -> str:
    """Return a str, an int or a UUID as text."""
    if type(value) is str:
        return value
    value = resolved(value)
    if isinstance(value, Enum):
        return plain_text(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return _digits(int(value))
    raise wrong_type(value, "text, a whole number or a UUID")


def _digits(number: int) -> str:
    if number.bit_length() > limits.NAME_BITS:
        raise RefusalError(
            f"is a whole number of {number.bit_length():,} bits",
            limit=f"{limits.NAME_BITS:,} bits",
            actual=f"{number.bit_length():,} bits",
        )
    return str(number)


def text_in(value: object, takes: str) -> str:
    """Return ``value``, which must be text or stand for text.

    Args:
        value: the text.
        takes: what the message says is accepted.
    """
    if type(value) is str:
        return value
    value = resolved(value)
    if not isinstance(value, str):
        raise wrong_type(value, takes)
    return str.__str__(value)


def refuse_controls(text: str) -> str:
    """Return ``text``, and refuse control characters and lone surrogates."""
    if text.isprintable():
        return text
    if _CONTROL.search(text):
        raise RefusalError(
            "has control characters in it", limit="printable text", actual="control characters"
        )
    return refuse_surrogates(text)


def refuse_surrogates(text: str) -> str:
    """Return ``text``, and refuse lone surrogates."""
    if _SURROGATE.search(text):
        raise RefusalError(
            "has half a surrogate pair in it, which UTF-8 cannot encode",
            limit="text",
            actual="a lone surrogate",
        )
    return text


def email(value: object) -> str:
    """Return an email address that identifies a person: trimmed, lower-case, in form NFC.

    Customer.io ignores case when it compares addresses, and Unicode can write an accent in two
    ways.
    """
    return compared_email(email_address(value))


def compared_email(text: str) -> str:
    """Return an address in the form that is compared."""
    text = text.strip().lower()
    # Lower-casing decomposes some letters.
    return text if text.isascii() else normalize("NFC", text)


def email_address(value: object) -> str:
    """Return an email address, trimmed and in Unicode's form NFC."""
    text = text_in(value, "an email address").strip()
    if not text.isascii() and len(text) <= limits.EMAIL_BYTES:
        text = normalize("NFC", text)
    if size(text) > limits.EMAIL_BYTES:
        raise too_many_bytes(size(text), limits.EMAIL_BYTES)
    if not _EMAIL.fullmatch(text):
        wrong = _what_is_wrong(text)
        raise RefusalError(
            f"is not an email address: {wrong}", limit="an email address", actual=wrong
        )
    refuse_placeholder(text)
    return refuse_controls(text)


def _what_is_wrong(text: str) -> str:
    local, at, domain = text.partition("@")
    wrongs = {
        "blank": not text,
        "no @ in it": not at,
        "more than one @": "@" in domain,
        "a blank inside": re.search(r"\s", text),
        "nothing before the @": not local,
        "nothing after the @": not domain,
        "no dot after the @": "." not in domain,
    }
    return next(
        (wrong for wrong, holds in wrongs.items() if holds),
        "characters or dots that cannot stand there",
    )


def phone(value: object) -> str:
    """Return a phone number in E.164, trimmed, that identifies a person."""
    text = text_in(value, "a phone number such as +14155552671").strip()
    if not is_phone(text):
        raise RefusalError(
            "is not a phone number as Customer.io takes them: + and up to 15 digits, nothing else",
            limit="+ and up to 15 digits (E.164)",
            actual="something else" if text else "blank",
        )
    return text


def is_phone(text: str) -> bool:
    """Return whether ``text`` has the shape of a phone number in E.164."""
    return _PHONE.fullmatch(text) is not None
