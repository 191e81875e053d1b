"""What the tests of the vocabulary share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation


def refusal_of(call: Callable[[], object]) -> InvalidOperationError:
    """The refusal that a call must end in; it always names field, limit and actual."""
    with pytest.raises(InvalidOperationError) as caught:
        call()
    error = caught.value
    assert error.field
    assert error.limit
    assert error.actual
    return error


def document_of(operation: Operation) -> dict[str, Any]:
    """The document of an operation, but for the id that is new every time."""
    document: dict[str, Any] = json.loads(operation.body)
    if "id" in document:
        assert document.pop("id") == operation.id
    return document
