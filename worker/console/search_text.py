"""What somebody means who types a text into a search."""

from __future__ import annotations

import re

from click import UsageError

from trackrelay.operations.ids import is_ulid
from trackrelay.operations.keys import KINDS
from trackrelay.worker.cli.common.command_options import PERSON_KINDS
from trackrelay.worker.cli.find.job_query import Query, parse_query

_PHONE = re.compile(r"\+[\d\s().-]{6,}")


def with_kind(text: str) -> str:
    """Return ``email:…`` for an email address, ``phone:…`` for a phone number, other text as it is.

    An id that looks like one of them is found as ``id:…``.
    """
    kind, separator, _ = text.partition(":")
    if separator and kind in {*PERSON_KINDS, *KINDS}:
        return text
    if "@" in text:
        return f"email:{text}"
    # As people write it; a key has the digits alone.
    return "phone:+" + re.sub(r"\D", "", text) if _PHONE.fullmatch(text) else text


def parse_search(text: str) -> list[Query]:
    """Return what a text can look for: one query, or two that it may be.

    Raises:
        UsageError: it can be nothing.
    """
    text = with_kind(text)
    kind, separator, value = text.partition(":")
    if is_ulid(text.upper()):
        return [parse_query(text, None, None, None)]
    if separator and value and (kind in PERSON_KINDS or kind in KINDS):
        if kind in PERSON_KINDS and "#" not in value[:1]:
            return [parse_query(None, None, text, None)]
        return [parse_query(None, None, None, text)]
    by_idempotency_key = parse_query(None, text, None, None)
    try:
        return [by_idempotency_key, parse_query(None, None, text, None)]
    except UsageError:
        return [by_idempotency_key]
