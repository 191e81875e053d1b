"""An operation as people write it: a JSON object, with an optional ``idempotency_key``."""

from __future__ import annotations

from typing import Any

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.operations.operation import Operation
from trackrelay.operations.validation import check


class DocumentError(Exception):
    """The text is not an operation, or Customer.io would refuse the operation."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def parse_document(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in ``text``.

    Raises:
        DocumentError: the text is not a JSON object.
    """
    try:
        document = decode_json(text)
    except NotJsonError as error:
        raise DocumentError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise DocumentError(
            'not a JSON object such as {"type": "person", "action": "identify", '
            '"identifiers": {"id": "42"}}'
        )
    return document


def operation_of(document: dict[str, Any], *, idempotency_key: str | None = None) -> Operation:
    """Return the operation that ``document`` describes, checked.

    Args:
        document: the operation, with an optional ``idempotency_key``.
        idempotency_key: used if the document has no ``idempotency_key``.

    Raises:
        DocumentError: Customer.io would refuse the operation.
    """
    own = document.get("idempotency_key")
    if own is not None and idempotency_key is not None and own != idempotency_key:
        raise DocumentError(
            f"the document has the idempotency_key {own!r}, but {idempotency_key!r} was given",
            "idempotency_key",
        )
    bare = {name: value for name, value in document.items() if name != "idempotency_key"}
    try:
        return check(bare, idempotency_key=own if own is not None else idempotency_key)
    except InvalidOperationError as error:
        raise DocumentError(str(error), error.field or None) from None
