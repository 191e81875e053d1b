"""Names: text that says which person, object or delivery is meant."""

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
# What mail can reach: something, one @, a domain of two labels or more. Deliberately less than RFC 5322.
_OUTSIDE_EMAIL = r"\s@<>(),;:\"\[\]\\"
_EMAIL = re.compile(rf"[^{_OUTSIDE_EMAIL}]+@[^{_OUTSIDE_EMAIL}.]+(\.[^{_OUTSIDE_EMAIL}.]+)+")
# Track API, person_common: a leading + followed by up to 15 digits.
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")


def size(text: str) -> int:
    """The bytes of ``text`` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def name_of(value: object, max_bytes: int = limits.ID_BYTES) -> str:
    """``value`` as text that can name a person, an object, a delivery: a str as it is, an int or a UUID made text.

    Raises:
        RefusalError: it is something else, blank, too long, ``.`` or ``..`` (which name another endpoint in a v1 path), or
            has control characters in it; or it is what is written for a value that is not there.
    """
    # At most four bytes a character, so within every limit. What is blank, and would be printable, is among NOT_NAMES.
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
    """``value``, a str, an int or a UUID, as text."""
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
    """``value`` as text, if it is text or stands for it.

    Args:
        takes: what is taken in its place, for the message.
    """
    if type(value) is str:
        return value
    value = resolved(value)
    if not isinstance(value, str):
        raise wrong_type(value, takes)
    return str.__str__(value)


def refuse_controls(text: str) -> str:
    """``text``, unless control characters or halves of surrogate pairs are in it."""
    if text.isprintable():
        return text
    if _CONTROL.search(text):
        raise RefusalError(
            "has control characters in it", limit="printable text", actual="control characters"
        )
    return refuse_surrogates(text)


def refuse_surrogates(text: str) -> str:
    """``text``, unless halves of surrogate pairs are in it."""
    if _SURROGATE.search(text):
        raise RefusalError(
            "has half a surrogate pair in it, which UTF-8 cannot say",
            limit="text",
            actual="a lone surrogate",
        )
    return text


def email(value: object) -> str:
    """``value`` as an email address that identifies somebody: trimmed, lower-cased and in Unicode's form NFC.

    Customer.io compares addresses without regard to case, and a letter with an accent can be written in two ways.
    """
    return compared_email(email_address(value))


def compared_email(text: str) -> str:
    """An address in the one form in which addresses are compared."""
    text = text.strip().lower()
    # Some letters fall apart when they are lower-cased.
    return text if text.isascii() else normalize("NFC", text)


def email_address(value: object) -> str:
    """``value`` as an email address: trimmed, in Unicode's form NFC."""
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
    """``value`` as a phone number that identifies somebody: E.164, trimmed."""
    text = text_in(value, "a phone number such as +14155552671").strip()
    if not is_phone(text):
        raise RefusalError(
            "is not a phone number as Customer.io takes them: + and up to 15 digits, nothing else",
            limit="+ and up to 15 digits (E.164)",
            actual="something else" if text else "blank",
        )
    return text


def is_phone(text: str) -> bool:
    """Whether ``text`` has the shape of a phone number in E.164."""
    return _PHONE.fullmatch(text) is not None
