"""Values in the form in which the official client sends them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from .client_base import CustomerIOException


def clean(data: Any) -> Any:
    """Return a dict with datetimes as unix seconds and NaN as None, also inside dicts and lists.

    Raises:
        AttributeError: ``data`` is no dict. The official client raises it, too.
    """
    return {name: _value(value) for name, value in data.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return seconds(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return clean(value)
    return [_value(item) for item in value] if isinstance(value, list) else value


def seconds(moment: datetime) -> int:
    """Return unix seconds. A naive datetime counts as UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def whole_seconds(timestamp: Any) -> int:
    """Return a datetime, a number or a number in text as unix seconds.

    Raises:
        TypeError, ValueError, OverflowError: it is none of these.
    """
    if isinstance(timestamp, datetime):
        return seconds(timestamp)
    return timestamp if isinstance(timestamp, int) else int(timestamp)


def as_sent(data: Any) -> Any:
    """Return ``data`` as it would arrive: JSON makes lists of tuples, and text of Enums of text.

    Raises:
        CustomerIOException: JSON cannot express it.
    """
    try:
        return json.loads(json.dumps(clean(data), allow_nan=False))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise CustomerIOException(
            f"this cannot be sent as JSON: {type(error).__name__}: {error}"
        ) from error
