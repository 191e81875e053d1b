"""An operation as people write it: a JSON object, with ``idempotency_key`` if they like."""

from __future__ import annotations

from typing import Any

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.operations.operation import Operation
from trackrelay.operations.validation import check


class BadDocument(Exception):
    """It is no operation, or one that Customer.io would refuse."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def parsed(text: str | bytes) -> dict[str, Any]:
    """The JSON object in ``text``.

    Raises:
        BadDocument: it is something else.
    """
    try:
        document = decode_json(text)
    except NotJsonError as error:
        raise BadDocument(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadDocument(
            'not a JSON object such as {"type": "person", "action": "identify", "identifiers": {"id": "42"}}'
        )
    return document


def operation_of(document: dict[str, Any], *, idempotency_key: str | None = None) -> Operation:
    """The operation that ``document`` describes, checked.

    Args:
        idempotency_key: used if the document has no ``idempotency_key`` of its own.

    Raises:
        BadDocument: Customer.io would refuse it.
    """
    own = document.get("idempotency_key")
    if own is not None and idempotency_key is not None and own != idempotency_key:
        raise BadDocument(
            "it has an idempotency_key of its own, and another one was given", "idempotency_key"
        )
    bare = {name: value for name, value in document.items() if name != "idempotency_key"}
    try:
        return check(bare, idempotency_key=own if own is not None else idempotency_key)
    except InvalidOperationError as error:
        raise BadDocument(str(error), error.field or None) from None
